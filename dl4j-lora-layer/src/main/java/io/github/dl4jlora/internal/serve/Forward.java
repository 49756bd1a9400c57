package io.github.dl4jlora.internal.serve;

import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.function.Function;

/** A forward pass in test mode. */
record Forward(Features features) implements Function<Model, INDArray[]> {

    @Override
    public INDArray[] apply(Model network) {
        INDArray[] masks = features.masks();
        if (masks == null) {
            return network instanceof ComputationGraph graph ? graph.output(features.inputs())
                    : new INDArray[] {((MultiLayerNetwork) network).output(features.inputs()[0])};
        }
        return network instanceof ComputationGraph graph ? masked(graph, masks) : masked((MultiLayerNetwork) network, masks);
    }

    /** DL4J clears masks after a pass, but not after one that failed: the next caller's examples would be masked by them. */
    private INDArray[] masked(ComputationGraph graph, @Nullable INDArray[] masks) {
        try {
            return graph.output(false, features.inputs(), masks);
        } finally {
            graph.clearLayerMaskArrays();
        }
    }

    private INDArray[] masked(MultiLayerNetwork layers, @Nullable INDArray[] masks) {
        try {
            return new INDArray[] {layers.output(features.inputs()[0], false, masks[0], null)};
        } finally {
            layers.clearLayerMaskArrays();
        }
    }
}
