package io.github.dl4jlora.examples;

import io.github.dl4jlora.LoRA;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.stream.Stream;

/** Formats figures for tables. */
public final class Figures {

    private Figures() {
    }

    static String trained(MultiLayerNetwork network) {
        return String.format(Locale.ROOT, "%,d", LoRA.summary(network).trainableParams());
    }

    static String millis(StepTimer timer) {
        return String.format(Locale.ROOT, "%.2f ms", timer.medianMillis());
    }

    static String seconds(StepTimer timer) {
        return String.format(Locale.ROOT, "%.1f s", timer.totalSeconds());
    }

    static String bytes(Path path) throws IOException {
        return String.format(Locale.ROOT, "%,d bytes", size(path));
    }

    /** {@return the bytes of a file, or of all files in a folder} */
    public static long size(Path path) throws IOException {
        long sum = 0;
        try (Stream<Path> files = Files.walk(path)) {
            for (Path file : files.filter(Files::isRegularFile).toList()) {
                sum += Files.size(file);
            }
        }
        return sum;
    }

    /** The share of examples that a network classifies correctly. */
    static String accuracy(MultiLayerNetwork network, DataSetIterator test) {
        return String.format(Locale.ROOT, "%.1f %%", 100 * network.evaluate(test).accuracy());
    }
}
