package io.github.dl4jlora.internal.file;

import io.github.dl4jlora.LoRA;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;

/** The main class of a JVM that opens a base which another one has open, and says what it computes and how much it shares. */
final class MappedElsewhere {

    private MappedElsewhere() {
    }

    /** @param arguments path of the base */
    public static void main(String[] arguments) throws IOException {
        Path file = Path.of(arguments[0]);
        MultiLayerNetwork opened = LoRA.openMultiLayerNetworkBase(file);
        System.out.println("first=" + first(opened));
        memory(file).forEach((what, kilobytes) -> System.out.println(what + "=" + kilobytes));
    }

    static double first(MultiLayerNetwork network) {
        INDArray x = Nd4j.ones(DataType.FLOAT, 1, network.layerInputSize(0));
        return network.output(x).getDouble(0);
    }

    /** Kilobytes of this process's mappings of a file, by what Linux calls them. */
    private static Map<String, Long> memory(Path file) throws IOException {
        Map<String, Long> sums = new HashMap<>();
        boolean here = false;
        for (String line : Files.readAllLines(Path.of("/proc/self/smaps"))) {
            if (line.matches("[0-9a-f]+-[0-9a-f]+ .*")) {
                here = line.endsWith(file.getFileName().toString());
            } else if (here && line.endsWith(" kB")) {
                sums.merge(line.substring(0, line.indexOf(':')), Long.parseLong(line.replaceAll("\\D", "")), Long::sum);
            }
        }
        return sums;
    }
}
