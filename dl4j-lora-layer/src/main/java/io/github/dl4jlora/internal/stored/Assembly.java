package io.github.dl4jlora.internal.stored;

import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.io.IOException;
import java.util.Map;

/**
 * Makes a network of a configuration that a stranger may have written. The number of parameters that it asks for is known before
 * anything of that size is made. ND4J's random generator is not touched.
 */
public final class Assembly {

    /** Makes the parameters of a network. */
    @FunctionalInterface
    public interface Parameters {

        /**
         * @param length at least 1
         * @return shape {@code [1, length]}, of the type that the network is to have
         */
        INDArray of(long length) throws IOException;
    }

    private Assembly() {
    }

    public static ComputationGraph of(ComputationGraphConfiguration conf, Parameters parameters) throws IOException {
        long length = 0;
        for (Map.Entry<String, GraphVertex> vertex : conf.getVertices().entrySet()) {
            // A SameDiffLambdaVertex is defined when its parameters are counted, for which it needs its type.
            vertex.getValue().setDataType(conf.getDataType());
            length = sum(length, vertex.getValue().numParams(true), vertex.getKey());
        }
        INDArray vector = length == 0 ? null : parameters.of(length);
        if (vector != null) {
            conf.setDataType(vector.dataType());
        }
        ComputationGraph graph = new ComputationGraph(conf);
        graph.init(vector, false);
        return graph;
    }

    public static MultiLayerNetwork of(MultiLayerConfiguration conf, Parameters parameters) throws IOException {
        long length = 0;
        for (NeuralNetConfiguration layer : conf.getConfs()) {
            length = sum(length, layer.getLayer().initializer().numParams(layer), layer.getLayer().getLayerName());
        }
        INDArray vector = length == 0 ? null : parameters.of(length);
        if (vector != null) {
            conf.setDataType(vector.dataType());
        }
        MultiLayerNetwork network = new MultiLayerNetwork(conf);
        network.init(vector, false);
        return network;
    }

    private static long sum(long soFar, long more, @Nullable String layer) throws IOException {
        if (more < 0 || soFar + more < 0) {
            throw new IOException("layer \"" + layer + "\" has a number of parameters out of range");
        }
        return soFar + more;
    }
}
