package io.github.dl4jlora.onnx;

import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;

/** Networks with random values. */
public final class Initialised {

    private Initialised() {
    }

    public static MultiLayerNetwork of(MultiLayerConfiguration conf) {
        MultiLayerNetwork network = new MultiLayerNetwork(conf);
        network.init();
        return network;
    }

    public static ComputationGraph of(ComputationGraphConfiguration conf) {
        ComputationGraph graph = new ComputationGraph(conf);
        graph.init();
        return graph;
    }

    /** A chain that reads inputs of that type. */
    static MultiLayerNetwork of(int seed, InputType type, Layer... layers) {
        return of(new NeuralNetConfiguration.Builder().seed(seed).list(layers).setInputType(type).build());
    }
}
