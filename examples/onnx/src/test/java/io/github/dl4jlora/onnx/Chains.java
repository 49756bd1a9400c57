package io.github.dl4jlora.onnx;

import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;

/** Chains of layers. */
final class Chains {

    private Chains() {
    }

    /** A chain that reads inputs of that type. */
    static MultiLayerNetwork of(int seed, InputType type, Layer... layers) {
        MultiLayerNetwork network = new MultiLayerNetwork(new NeuralNetConfiguration.Builder().seed(seed).list(layers)
                .setInputType(type).build());
        network.init();
        return network;
    }
}
