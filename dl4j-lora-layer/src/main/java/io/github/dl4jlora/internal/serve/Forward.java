package io.github.dl4jlora.internal.serve;

import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.api.ndarray.INDArray;

/** A forward pass in test mode. */
record Forward(Features features) implements NetworkPool.Work {

    @Override
    public INDArray[] with(Model network) {
        if (features.masks() == null) {
            return network instanceof ComputationGraph graph ? graph.output(features.inputs())
                    : new INDArray[] {((MultiLayerNetwork) network).output(Features.only(features.inputs()))};
        }
        return network instanceof ComputationGraph graph ? masked(graph) : masked((MultiLayerNetwork) network);
    }

    /** DL4J clears masks after a pass, but not after one that failed: the next caller's examples would be masked by them. */
    private INDArray[] masked(ComputationGraph graph) {
        try {
            return graph.output(false, features.inputs(), features.masks());
        } finally {
            graph.clearLayerMaskArrays();
        }
    }

    private INDArray[] masked(MultiLayerNetwork layers) {
        try {
            return new INDArray[] {layers.output(Features.only(features.inputs()), false, features.masks()[0], null)};
        } finally {
            layers.clearLayerMaskArrays();
        }
    }
}
