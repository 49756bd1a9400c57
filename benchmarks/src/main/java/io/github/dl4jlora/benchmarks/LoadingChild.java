package io.github.dl4jlora.benchmarks;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.conf.Quantization;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.util.ModelSerializer;
import org.nd4j.linalg.dataset.DataSet;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * A child process: prints the largest growth in bytes from before a base is read from its file and quantised to after the first
 * training step on it. Without a scheme as argument, writes the file.
 */
final class LoadingChild {

    private static final int WARM_UP = 20;

    private LoadingChild() {
    }

    public static void main(String[] args) throws IOException {
        Shape shape = Shape.decode(args[0]);
        Path file = Path.of(args[1]);
        if (args.length == 2) {
            ModelSerializer.writeModel(Networks.base(shape, false), file.toFile(), false);
            System.out.println(Child.RESULT + "written");
            System.exit(0);
        }
        // What ND4J and Java take themselves, including classes and compiled code, is allocated before.
        Shape small = Shape.of(64);
        Path little = Files.createTempFile("small", ".zip");
        ModelSerializer.writeModel(Networks.base(small, false), little.toFile(), false);
        for (int i = 0; i < WARM_UP; i++) {
            read(little, small, args[2]).fit(Networks.batch(small));
        }
        Files.delete(little);
        DataSet batch = Networks.batch(shape);
        System.gc();
        Memory.resetPeak();
        long before = Memory.resident();
        read(file, shape, args[2]).fit(batch);
        System.out.println(Child.RESULT + (Memory.peak() - before));
        System.exit(0);
    }

    private static MultiLayerNetwork read(Path file, Shape shape, String scheme) throws IOException {
        return (MultiLayerNetwork) LoRA.loadQuantized(file,
                Networks.config(shape).quantize(Quantization.valueOf(scheme)).build());
    }
}
