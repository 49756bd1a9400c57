package io.github.dl4jlora.layer;

import io.github.dl4jlora.DoublePrecision;
import io.github.dl4jlora.Gradients;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.gradientcheck.GradientCheckUtil;
import org.deeplearning4j.nn.conf.BackpropType;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.GravesLSTM;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.conf.layers.recurrent.Bidirectional;
import org.deeplearning4j.nn.conf.layers.recurrent.LastTimeStep;
import org.deeplearning4j.nn.conf.layers.recurrent.SimpleRnn;
import org.deeplearning4j.nn.conf.layers.util.MaskZeroLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.util.Map;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;

/** Adapted recurrent layers keep state, masks and truncated backpropagation as the stock layers do. */
@SuppressWarnings("deprecation")
@ExtendWith(DoublePrecision.class)
class DeltaRecurrentTest {

    private static final int IN = 3;
    private static final int STEPS = 6;
    private static final double RATE = 1e-5;

    private static final LoRAConfig CONFIG = LoRAConfig.builder().rank(2).alpha(1.5).updater(new Sgd(1)).targets("rnn").build();

    static Stream<Arguments> stateful() {
        return Stream.of(Arguments.of("LSTM", new LSTM.Builder().nIn(IN).nOut(4).build()),
                Arguments.of("Graves LSTM", new GravesLSTM.Builder().nIn(IN).nOut(4).build()),
                Arguments.of("simple RNN", new SimpleRnn.Builder().nIn(IN).nOut(4).build()));
    }

    static Stream<Arguments> maskable() {
        return Stream.concat(stateful(), Stream.of(
                Arguments.of("LSTM that skips zeros", new MaskZeroLayer(new LSTM.Builder().nIn(IN).nOut(4).build(), 0)),
                Arguments.of("bidirectional LSTM",
                        new Bidirectional(Bidirectional.Mode.ADD, new LSTM.Builder().nIn(IN).nOut(4).build()))));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("maskable")
    void masksCountAsInTheStockLayer(String name, Layer layer) {
        MultiLayerNetwork adapted = LoRA.apply(base(layer, new Sgd(1), BackpropType.Standard), CONFIG);
        Networks.randomizeAdapters(adapted.paramTable(), 3);
        MultiLayerNetwork merged = LoRA.merge(adapted);
        INDArray mask = Nd4j.createFromArray(new double[][]{{1, 1, 1, 1, 1, 1}, {1, 1, 1, 0, 0, 0}});
        INDArray features = Networks.random(DataType.DOUBLE, 1, 2, IN, STEPS);
        INDArray labels = Networks.random(DataType.DOUBLE, 2, 2, 2, STEPS);

        INDArray output = adapted.output(features, false, mask, mask).dup();

        assertThat(Networks.difference(output, merged.output(features, false, mask, mask))).isLessThan(1e-12);
        assertThat(Networks.difference(output, adapted.output(features))).as("what the mask changes").isGreaterThan(1e-3);
        MultiDataSet data = new MultiDataSet(new INDArray[]{features}, new INDArray[]{labels}, new INDArray[]{mask},
                new INDArray[]{mask});
        Gradients.assertProjections(adapted, Gradients.of(adapted, data), Gradients.of(merged, data));
        assertThat(GradientCheckUtil.checkGradients(new GradientCheckUtil.MLNConfig().net(adapted).input(features).labels(labels)
                .inputMask(mask).labelMask(mask).epsilon(1e-6).maxRelError(1e-5).minAbsoluteError(1e-8)
                .print(GradientCheckUtil.PrintMode.FAILURES_ONLY))).isTrue();
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("stateful")
    void stepsWithStoredStateAndForgetsItWhenTold(String name, Layer layer) {
        MultiLayerNetwork adapted = LoRA.apply(base(layer, new Sgd(1), BackpropType.Standard), CONFIG);
        Networks.randomizeAdapters(adapted.paramTable(), 3);
        INDArray features = Networks.random(DataType.DOUBLE, 1, 2, IN, STEPS);
        INDArray whole = adapted.output(features).dup();

        for (int round = 0; round < 2; round++) {
            for (int step = 0; step < STEPS; step++) {
                INDArray output = adapted.rnnTimeStep(step(features, step));
                assertThat(Networks.difference(output, step(whole, step))).as("step %d of round %d", step, round)
                        .isLessThan(1e-12);
            }
            assertThat(adapted.rnnGetPreviousState(0)).isNotEmpty();
            adapted.rnnClearPreviousState();
        }
        assertThat(Networks.difference(adapted.output(features), whole)).as("no state leaks into a whole sequence").isZero();
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("stateful")
    void stepsFromAStateThatIsSet(String name, Layer layer) {
        MultiLayerNetwork adapted = LoRA.apply(base(layer, new Sgd(1), BackpropType.Standard), CONFIG);
        Networks.randomizeAdapters(adapted.paramTable(), 3);
        INDArray features = Networks.random(DataType.DOUBLE, 1, 2, IN, STEPS);
        adapted.rnnTimeStep(step(features, 0));
        Map<String, INDArray> state = Map.copyOf(adapted.rnnGetPreviousState(0));
        INDArray expected = adapted.rnnTimeStep(step(features, 1)).dup();

        adapted.rnnClearPreviousState();
        adapted.rnnSetPreviousState(0, state);

        assertThat(Networks.difference(adapted.rnnTimeStep(step(features, 1)), expected)).isZero();
    }

    /**
     * With A the identity, B at zero and plain gradient descent, W + A·B follows the stock layer's W but for terms of the
     * second order in the learning rate.
     */
    @ParameterizedTest(name = "{0}")
    @MethodSource("stateful")
    void truncatedBackpropagationMovesWAsTheStockLayerDoes(String name, Layer layer) {
        MultiLayerNetwork base = base(layer, new Sgd(RATE), BackpropType.TruncatedBPTT);
        LoRAConfig.Builder config = LoRAConfig.builder().updater(new Sgd(RATE)).targets("rnn").alpha(1);
        base.getLayer(0).paramTable().forEach((key, value) -> {
            if (key.endsWith("W")) {
                config.override("rnn/" + key, o -> o.rank((int) value.size(0)));
            }
        });
        MultiLayerNetwork adapted = LoRA.apply(base, config.copyBase(true).build());
        adapted.paramTable().forEach((key, value) -> {
            if (key.endsWith(".A")) {
                value.assign(Nd4j.eye(value.size(0)));
            }
        });
        INDArray features = Networks.random(DataType.DOUBLE, 1, 2, IN, STEPS);
        INDArray labels = Networks.random(DataType.DOUBLE, 2, 2, 2, STEPS);
        Map<String, INDArray> before = base.clone().paramTable();

        base.fit(features, labels);
        adapted.fit(features, labels);

        Map<String, INDArray> merged = LoRA.merge(adapted).paramTable();
        for (String key : new String[]{"0_W", "0_RW"}) {
            double moved = Networks.difference(base.getParam(key), before.get(key));
            assertThat(moved).as("how far %s moved", key).isGreaterThan(RATE / 100);
            assertThat(Networks.difference(merged.get(key), base.getParam(key))).as(key).isLessThan(moved / 1000);
        }
    }

    @Test
    void lastTimeStepKeepsItsInnerStateAsInTheStockNetwork() {
        MultiLayerConfiguration conf = new NeuralNetConfiguration.Builder().seed(5).dataType(DataType.DOUBLE).updater(new Sgd(1))
                .activation(Activation.TANH).list()
                .layer(new LastTimeStep(new LSTM.Builder().nIn(IN).nOut(4).name("rnn").build()))
                .layer(new OutputLayer.Builder(LossFunction.MSE).nIn(4).nOut(2).activation(Activation.IDENTITY)
                        .name("out").build())
                .build();
        conf.getConf(0).getLayer().setLayerName("rnn");
        MultiLayerNetwork base = Networks.of(conf);
        MultiLayerNetwork adapted = LoRA.apply(base, CONFIG);
        Networks.randomizeAdapters(adapted.paramTable(), 3);
        MultiLayerNetwork merged = LoRA.merge(adapted);
        INDArray features = Networks.random(DataType.DOUBLE, 1, 2, IN, 1);

        for (int step = 0; step < 3; step++) {
            INDArray ofMerged = merged.getLayer(0).activate(features, false,
                    org.deeplearning4j.nn.workspace.LayerWorkspaceMgr.noWorkspaces());
            INDArray ofAdapted = adapted.getLayer(0).activate(features, false,
                    org.deeplearning4j.nn.workspace.LayerWorkspaceMgr.noWorkspaces());
            assertThat(Networks.difference(ofAdapted, ofMerged)).isLessThan(1e-12);
            assertThat(adapted.getLayer(0)).isInstanceOfSatisfying(org.deeplearning4j.nn.layers.wrapper.BaseWrapperLayer.class,
                    wrapper -> assertThat(wrapper.getUnderlying())
                    .isInstanceOf(org.deeplearning4j.nn.api.layers.RecurrentLayer.class));
        }
    }

    @Test
    void graphsStepAndTruncateToo() {
        ComputationGraph base = Networks.of(new NeuralNetConfiguration.Builder().seed(5).dataType(DataType.DOUBLE)
                .updater(new Sgd(0.1)).activation(Activation.TANH).graphBuilder().addInputs("in")
                .addLayer("rnn", new LSTM.Builder().nOut(4).build(), "in")
                .addLayer("out", new RnnOutputLayer.Builder(LossFunction.MSE).nOut(2).activation(Activation.IDENTITY)
                        .build(), "rnn")
                .setOutputs("out").setInputTypes(InputType.recurrent(IN)).backpropType(BackpropType.TruncatedBPTT)
                .tBPTTLength(2).build());
        ComputationGraph adapted = LoRA.apply(base, LoRAConfig.builder().rank(2).targets("rnn/RW").updater(new Sgd(0.1)).build());
        double[] frozen = base.params().toDoubleVector();
        INDArray features = Networks.random(DataType.DOUBLE, 1, 2, IN, STEPS);
        for (int i = 0; i < 3; i++) {
            adapted.fit(new DataSet(features, Networks.random(DataType.DOUBLE, 2, 2, 2, STEPS)));
        }
        assertThat(adapted.paramTable()).containsOnlyKeys("rnn_RW.A", "rnn_RW.B");
        assertThat(base.params().toDoubleVector()).containsExactly(frozen);

        INDArray whole = adapted.outputSingle(features).dup();

        for (int step = 0; step < STEPS; step++) {
            assertThat(Networks.difference(adapted.rnnTimeStep(step(features, step))[0], step(whole, step))).isLessThan(1e-12);
        }
    }

    private static INDArray step(INDArray sequence, int step) {
        return sequence.get(NDArrayIndex.all(), NDArrayIndex.all(), NDArrayIndex.interval(step, step + 1)).dup();
    }

    private static MultiLayerNetwork base(Layer layer, Sgd updater, BackpropType type) {
        layer.setLayerName("rnn");
        return Networks.of(new NeuralNetConfiguration.Builder().seed(5).dataType(DataType.DOUBLE)
                .updater(updater).activation(Activation.TANH).list().layer(layer)
                .layer(new RnnOutputLayer.Builder(LossFunction.MSE).nIn(4).nOut(2).activation(Activation.IDENTITY)
                        .name("out").build())
                .backpropType(type).tBPTTLength(2).setInputType(InputType.recurrent(IN)).build());
    }
}
