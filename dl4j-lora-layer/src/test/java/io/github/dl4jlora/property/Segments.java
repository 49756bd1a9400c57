package io.github.dl4jlora.property;

import io.github.dl4jlora.Gradients;
import io.github.dl4jlora.Models;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.BackpropType;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.optimize.api.BaseTrainingListener;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;

/** Trains by truncated backpropagation through time. */
final class Segments {

    private static final int LENGTH = 3;

    private Segments() {
    }

    static void check(Trial trial) {
        Model tuned = trial.tuned();
        Model merged = Models.merge(tuned);
        List<Map<String, INDArray>> stock;
        try {
            stock = gradients(merged, trial.batch());
        } catch (RuntimeException e) {
            throw new StockFails("truncated backpropagation", e);
        }
        List<Map<String, INDArray>> segments = gradients(tuned, trial.batch());
        assertThat(segments).as("segments").hasSameSizeAs(stock).hasSizeGreaterThan(1);
        for (int i = 0; i < segments.size(); i++) {
            Map<String, INDArray> adapted = segments.get(i);
            Map<String, INDArray> expected = stock.get(i);
            Law.orVacuous(() -> Gradients.assertProjections(tuned, adapted, expected));
        }
    }

    /** The gradients of each segment of a batch's sequences; the parameters stay as they are in between. */
    static List<Map<String, INDArray>> gradients(Model network, DataSet batch) {
        List<Map<String, INDArray>> segments = new ArrayList<>();
        INDArray start = network.params().dup();
        truncate(network);
        network.setListeners(new BaseTrainingListener() {
            @Override
            public void onGradientCalculation(Model model) {
                segments.add(Gradients.copyOf(model.gradient()));
            }

            @Override
            public void iterationDone(Model model, int iteration, int epoch) {
                model.params().assign(start);
            }
        });
        Models.fit(network, batch);
        return segments;
    }

    private static void truncate(Model network) {
        if (network instanceof ComputationGraph graph) {
            ComputationGraphConfiguration conf = graph.getConfiguration();
            conf.setBackpropType(BackpropType.TruncatedBPTT);
            conf.setTbpttFwdLength(LENGTH);
            conf.setTbpttBackLength(LENGTH);
        } else {
            MultiLayerConfiguration conf = ((MultiLayerNetwork) network).getLayerWiseConfigurations();
            conf.setBackpropType(BackpropType.TruncatedBPTT);
            conf.setTbpttFwdLength(LENGTH);
            conf.setTbpttBackLength(LENGTH);
        }
    }
}
