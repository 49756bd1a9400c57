package io.github.dl4jlora.integration;

import io.github.dl4jlora.Models;
import io.github.dl4jlora.Models.Kind;
import io.github.dl4jlora.Networks;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.WorkspaceMode;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.deeplearning4j.optimize.api.BaseTrainingListener;
import org.deeplearning4j.optimize.listeners.CollectScoresIterationListener;
import org.deeplearning4j.optimize.listeners.ScoreIterationListener;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.common.primitives.Pair;
import org.nd4j.evaluation.classification.Evaluation;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.deeplearning4j.datasets.iterator.utilty.ListDataSetIterator;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.learning.config.Sgd;

import java.util.ArrayList;
import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;

/** Evaluation, listeners, and a training loop of the user's own. */
class TrainingLoopTest {

    @ParameterizedTest
    @EnumSource
    void evaluationInMidTrainingLeavesTrainingAsItIs(Kind kind) {
        Model base = kind.base();
        Model watched = kind.adapt(base);
        Model plain = kind.adapt(base);
        List<Long> frozen = Models.frozen(watched);
        List<Double> accuracies = new ArrayList<>();
        watched.setListeners(new BaseTrainingListener() {
            @Override
            public void onGradientCalculation(Model model) {
                accuracies.add(evaluate(model).accuracy());
            }

            @Override
            public void iterationDone(Model model, int iteration, int epoch) {
                accuracies.add(evaluate(model).accuracy());
            }
        });

        Models.fitSteps(watched, 0, 4);
        Models.fitSteps(plain, 0, 4);

        assertThat(accuracies).hasSizeGreaterThanOrEqualTo(8).allMatch(accuracy -> accuracy >= 0 && accuracy <= 1);
        assertThat(Models.params(watched)).isEqualTo(Models.params(plain));
        assertThat(evaluate(watched).accuracy()).isEqualTo(evaluate(Models.merge(plain)).accuracy());
        assertThat(Models.frozen(watched)).isEqualTo(frozen);
    }

    private static Evaluation evaluate(Model model) {
        DataSetIterator data = new ListDataSetIterator<>(Networks.data(DataType.FLOAT, 12, 21).asList(), 6);
        return model instanceof ComputationGraph graph ? graph.evaluate(data) : ((MultiLayerNetwork) model).evaluate(data);
    }

    @ParameterizedTest
    @EnumSource
    void listenersSeeEveryScore(Kind kind) {
        Model adapted = kind.adapt(kind.base());
        CollectScoresIterationListener scores = new CollectScoresIterationListener();
        adapted.setListeners(scores, new ScoreIterationListener(1));

        for (int i = 0; i < 30; i++) {
            Models.fit(adapted, 7);
        }

        double first = scores.getScoreVsIter().getEffectiveScores()[0];
        assertThat(scores.getScoreVsIter().getEffectiveScores()).hasSize(30);
        assertThat(adapted.score()).isLessThan(first);
    }

    /** The gradient of ½‖y − t‖² handed to a network without an output layer, as DL4J documents it: without workspaces. */
    @ParameterizedTest
    @EnumSource
    void externalErrorsTrainTheAdapters(Kind kind) {
        Model adapted = Models.apply(headless(kind.graph), kind.config().updater(new Sgd(0.1)).build());
        List<Long> frozen = Models.frozen(adapted);
        DataSet data = Networks.data(DataType.FLOAT, 8, 2);
        double before = error(adapted, data);

        for (int i = 0; i < 20; i++) {
            externalStep(adapted, data);
        }

        assertThat(error(adapted, data)).isLessThan(0.9 * before);
        assertThat(Models.frozen(adapted)).isEqualTo(frozen);
    }

    private static Model headless(boolean graph) {
        NeuralNetConfiguration.Builder conf = new NeuralNetConfiguration.Builder().seed(5).updater(new Sgd(0.1))
                .activation(Activation.TANH)
                .trainingWorkspaceMode(WorkspaceMode.NONE).inferenceWorkspaceMode(WorkspaceMode.NONE);
        DenseLayer first = new DenseLayer.Builder().name("fc1").nIn(Networks.IN).nOut(Networks.HIDDEN).build();
        DenseLayer second = new DenseLayer.Builder().name("fc2").nIn(Networks.HIDDEN).nOut(Networks.OUT).build();
        if (graph) {
            return Networks.of(conf.graphBuilder().addInputs("in").addLayer("fc1", first, "in")
                    .addLayer("fc2", second, "fc1").setOutputs("fc2").validateOutputLayerConfig(false).build());
        }
        return Networks.of(conf.list().layer(first).layer(second).validateOutputLayerConfig(false).build());
    }

    private static double error(Model model, DataSet data) {
        return Models.output(model, data.getFeatures()).sub(data.getLabels()).norm2Number().doubleValue();
    }

    private static void externalStep(Model model, DataSet data) {
        Gradient gradient;
        if (model instanceof ComputationGraph graph) {
            INDArray output = graph.feedForward(new INDArray[] {data.getFeatures()}, true, false).get("fc2");
            gradient = graph.backpropGradient(output.sub(data.getLabels()));
            graph.getUpdater().update(gradient, 0, 0, 8, LayerWorkspaceMgr.noWorkspaces());
        } else {
            MultiLayerNetwork layers = (MultiLayerNetwork) model;
            layers.setInput(data.getFeatures());
            INDArray output = layers.feedForward(true, false).get(2);
            Pair<Gradient, INDArray> result = layers.backpropGradient(output.sub(data.getLabels()),
                    LayerWorkspaceMgr.noWorkspaces());
            gradient = result.getFirst();
            assertThat(result.getSecond().shape()).isEqualTo(data.getFeatures().shape());
            layers.getUpdater().update(layers, gradient, 0, 0, 8, LayerWorkspaceMgr.noWorkspaces());
        }
        model.params().subi(gradient.gradient());
    }
}
