package io.github.dl4jlora.internal.file;

import org.deeplearning4j.util.ModelSerializer;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.io.File;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;

/** Reads merged networks in a JVM that has DL4J alone: refers to nothing of this library, and makes sure it is not there. */
final class StockReader {

    private StockReader() {
    }

    /** @param arguments graph file, layers file, features, file for the outputs */
    public static void main(String[] arguments) throws Exception {
        try {
            Class.forName("io.github.dl4jlora.LoRA");
            throw new AssertionError("the plugin is on the classpath");
        } catch (ClassNotFoundException expected) {
            INDArray features = Nd4j.readNpy(new File(arguments[2])).castTo(DataType.FLOAT);
            INDArray graph = ModelSerializer.restoreComputationGraph(new File(arguments[0])).outputSingle(features);
            INDArray layers = ModelSerializer.restoreMultiLayerNetwork(new File(arguments[1])).output(features);
            Files.writeString(Path.of(arguments[3]), Arrays.toString(graph.dup('c').data().asDouble()) + "\n"
                    + Arrays.toString(layers.dup('c').data().asDouble()));
        }
    }
}
