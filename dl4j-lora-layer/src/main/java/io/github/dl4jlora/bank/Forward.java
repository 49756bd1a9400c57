package io.github.dl4jlora.bank;

import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.api.ndarray.INDArray;

/** A forward pass in test mode. */
record Forward(Features features) implements NetworkPool.Work {

    @Override
    public INDArray[] with(Model network) {
        INDArray[] inputs = features.inputs();
        INDArray[] masks = features.masks();
        if (network instanceof ComputationGraph graph) {
            return masks == null ? graph.output(inputs) : graph.output(false, inputs, masks);
        }
        MultiLayerNetwork layers = (MultiLayerNetwork) network;
        INDArray input = Features.only(inputs);
        return new INDArray[] {masks == null ? layers.output(input) : layers.output(input, false, masks[0], null)};
    }
}
