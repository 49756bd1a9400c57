package io.github.dl4jlora.regression;

import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;

/** How long a network has been trained, by its own count. */
final class Counts {

    private Counts() {
    }

    static void set(Model model, int iterations, int epochs) {
        if (model instanceof ComputationGraph graph) {
            graph.getConfiguration().setIterationCount(iterations);
            graph.getConfiguration().setEpochCount(epochs);
        } else {
            ((MultiLayerNetwork) model).getLayerWiseConfigurations().setIterationCount(iterations);
            ((MultiLayerNetwork) model).getLayerWiseConfigurations().setEpochCount(epochs);
        }
    }

    static int iterations(Model model) {
        return model instanceof ComputationGraph graph ? graph.getIterationCount()
                : ((MultiLayerNetwork) model).getIterationCount();
    }

    static int epochs(Model model) {
        return model instanceof ComputationGraph graph ? graph.getEpochCount() : ((MultiLayerNetwork) model).getEpochCount();
    }
}
