package io.github.dl4jlora.internal.frozen;

import io.github.dl4jlora.DoublePrecision;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.exception.FrozenWeightsMissingException;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.BackpropType;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.GravesLSTM;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayer;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayerWithBackprop;
import org.deeplearning4j.nn.conf.layers.recurrent.Bidirectional;
import org.deeplearning4j.nn.conf.layers.util.MaskZeroLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.optimize.api.BaseTrainingListener;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.util.ArrayList;
import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** A frozen layer keeps state exactly where DL4J would find it in the base: inside one wrapper, and not inside two. */
@ExtendWith(DoublePrecision.class)
class FrozenStateTest {

    private static final int STEPS = 6;

    enum Wrapped {
        PLAIN, MASK_ZERO, FROZEN, FROZEN_WITH_BACKPROP, FROZEN_MASK_ZERO, MASK_ZERO_OF_FROZEN, MASK_ZERO_TWICE, GRAVES,
        MASK_ZERO_OF_GRAVES;

        Layer layer() {
            LSTM lstm = new LSTM.Builder().nIn(3).nOut(4).build();
            return switch (this) {
                case PLAIN -> lstm;
                case MASK_ZERO -> new MaskZeroLayer(lstm, 0);
                case FROZEN -> new FrozenLayer(lstm);
                case FROZEN_WITH_BACKPROP -> new FrozenLayerWithBackprop(lstm);
                case FROZEN_MASK_ZERO -> new FrozenLayerWithBackprop(new MaskZeroLayer(lstm, 0));
                case MASK_ZERO_OF_FROZEN -> new MaskZeroLayer(new FrozenLayerWithBackprop(lstm), 0);
                case MASK_ZERO_TWICE -> new MaskZeroLayer(new MaskZeroLayer(lstm, 0), 0);
                case GRAVES -> graves();
                case MASK_ZERO_OF_GRAVES -> new MaskZeroLayer(graves(), 0);
            };
        }
    }

    private static GravesLSTM graves() {
        return new GravesLSTM.Builder().nIn(3).nOut(4).build();
    }

    private static MultiLayerNetwork base(Layer recurrent, BackpropType type) {
        recurrent.setLayerName("rnn");
        return Networks.of(new NeuralNetConfiguration.Builder().seed(5).dataType(DataType.DOUBLE)
                .updater(new Sgd(0)).activation(Activation.TANH).list()
                .layer(new LSTM.Builder().nIn(3).nOut(3).name("below").build())
                .layer(recurrent)
                .layer(output())
                .backpropType(type).tBPTTLength(2).setInputType(InputType.recurrent(3)).build());
    }

    private static RnnOutputLayer output() {
        return new RnnOutputLayer.Builder(LossFunction.MSE).nIn(4).nOut(2).activation(Activation.IDENTITY).name("out").build();
    }

    private static LoRAConfig adapting(String name) {
        return LoRAConfig.builder().rank(2).targets(name).updater(new Sgd(0)).build();
    }

    private static INDArray step(INDArray sequence, int step) {
        return sequence.get(NDArrayIndex.all(), NDArrayIndex.all(), NDArrayIndex.interval(step, step + 1)).dup();
    }

    @ParameterizedTest
    @EnumSource
    void stepByStepItComputesWhatTheBaseComputes(Wrapped wrapped) {
        INDArray features = Networks.random(DataType.DOUBLE, 1, 2, 3, STEPS);
        for (String adapted : List.of("below", "out")) {
            MultiLayerNetwork base = base(wrapped.layer(), BackpropType.Standard);
            MultiLayerNetwork fresh = LoRA.apply(base, adapting(adapted));
            MultiLayerNetwork copy = fresh.clone();
            for (int round = 0; round < 2; round++) {
                for (int i = 0; i < STEPS; i++) {
                    INDArray expected = base.rnnTimeStep(step(features, i)).dup();
                    assertThat(Networks.difference(fresh.rnnTimeStep(step(features, i)), expected)).isLessThan(1e-12);
                    assertThat(Networks.difference(copy.rnnTimeStep(step(features, i)), expected)).isLessThan(1e-12);
                }
                for (MultiLayerNetwork network : List.of(base, fresh, copy)) {
                    network.rnnClearPreviousState();
                }
            }
        }
    }

    /** DL4J's truncated BPTT calls a recurrent layer in another way than other training does. */
    @ParameterizedTest
    @EnumSource
    void trainingOnABaseThatHasChangedIsRefused(Wrapped wrapped) {
        DataSet data = new DataSet(Networks.random(DataType.DOUBLE, 1, 2, 3, STEPS),
                Networks.random(DataType.DOUBLE, 2, 2, 2, STEPS));
        for (BackpropType type : BackpropType.values()) {
            // A wrapper inside a wrapper cannot be adapted.
            boolean canBeAdapted = wrapped != Wrapped.MASK_ZERO_TWICE && wrapped != Wrapped.MASK_ZERO_OF_FROZEN;
            for (String adapted : canBeAdapted ? List.of("below", "rnn", "out") : List.of("below", "out")) {
                MultiLayerNetwork base = base(wrapped.layer(), type);
                MultiLayerNetwork tuned = LoRA.apply(base, adapting(adapted));
                tuned.fit(data);
                base.getLayer("rnn").params().muli(3);

                assertThatIllegalStateException().as(type + ", " + adapted + " adapted").isThrownBy(() -> tuned.fit(data))
                        .withMessageContainingAll("\"rnn\"", "the base's weights have changed");
            }
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"PLAIN", "GRAVES"})
    void stateIsForgottenWhileTheBaseIsMissing(Wrapped wrapped) {
        for (String adapted : List.of("below", "rnn", "out")) {
            MultiLayerNetwork tuned = LoRA.apply(base(wrapped.layer(), BackpropType.Standard), adapting(adapted));
            MultiLayerNetwork elsewhere = Networks.of(MultiLayerConfiguration.fromJson(
                    Models.json(tuned).replaceAll("\"id\" : \"....", "\"id\" : \"0000")));

            assertThatCode(elsewhere::rnnClearPreviousState).doesNotThrowAnyException();
            assertThatThrownBy(() -> elsewhere.output(Networks.random(DataType.DOUBLE, 1, 2, 3, STEPS)))
                    .isInstanceOf(FrozenWeightsMissingException.class);
        }
    }

    @ParameterizedTest
    @EnumSource
    void aBaseThatIsAttachedAmidASequenceLeavesTheState(Wrapped wrapped) {
        INDArray features = Networks.random(DataType.DOUBLE, 1, 2, 3, STEPS);
        for (String adapted : List.of("below", "out")) {
            MultiLayerNetwork base = base(wrapped.layer(), BackpropType.Standard);
            MultiLayerNetwork fresh = LoRA.apply(base, adapting(adapted));
            for (int i = 0; i < STEPS; i++) {
                assertThat(Networks.difference(fresh.rnnTimeStep(step(features, i)), base.rnnTimeStep(step(features, i))))
                        .isLessThan(1e-12);
                LoRA.attach(fresh, base.clone());
            }
        }
    }

    @ParameterizedTest
    @EnumSource
    void stepByStepItComputesWhatTheBaseComputesInAGraph(Wrapped wrapped) {
        INDArray features = Networks.random(DataType.DOUBLE, 1, 2, 3, STEPS);
        ComputationGraph base = Networks.of(new NeuralNetConfiguration.Builder().seed(5).dataType(DataType.DOUBLE)
                .updater(new Sgd(0)).activation(Activation.TANH).graphBuilder().addInputs("in")
                .addLayer("rnn", wrapped.layer(), "in")
                .addLayer("out", output(), "rnn")
                .setOutputs("out").setInputTypes(InputType.recurrent(3)).build());
        ComputationGraph fresh = LoRA.apply(base, adapting("out"));

        for (int i = 0; i < STEPS; i++) {
            INDArray expected = base.rnnTimeStep(step(features, i))[0].dup();
            assertThat(Networks.difference(fresh.rnnTimeStep(step(features, i))[0], expected)).isLessThan(1e-12);
        }
    }

    @ParameterizedTest
    @EnumSource
    void segmentBySegmentItHasTheLossOfTheBase(Wrapped wrapped) {
        INDArray features = Networks.random(DataType.DOUBLE, 1, 2, 3, STEPS);
        INDArray labels = Networks.random(DataType.DOUBLE, 2, 2, 2, STEPS);
        MultiLayerNetwork base = base(wrapped.layer(), BackpropType.TruncatedBPTT);
        List<Double> expected = losses(base, features, labels);

        for (String adapted : List.of("below", "out")) {
            MultiLayerNetwork fresh = LoRA.apply(base, adapting(adapted));
            MultiLayerNetwork copy = fresh.clone();
            assertThat(losses(fresh, features, labels)).hasSize(3).isEqualTo(expected);
            assertThat(losses(copy, features, labels)).isEqualTo(expected);
        }
    }

    private static List<Double> losses(MultiLayerNetwork network, INDArray features, INDArray labels) {
        List<Double> losses = new ArrayList<>();
        network.setListeners(new BaseTrainingListener() {
            @Override
            public void iterationDone(Model model, int iteration, int epoch) {
                losses.add((double) Math.round(model.score() * 1e9));
            }
        });
        network.fit(features, labels);
        return losses;
    }

    @Test
    void freezingTakesNothingAwayFromTheBasesOwnConfiguration() {
        LSTM withDropout = new LSTM.Builder().nIn(3).nOut(4).dropOut(0.5).build();
        MultiLayerNetwork base = base(new Bidirectional(Bidirectional.Mode.ADD, withDropout), BackpropType.Standard);
        String before = base.getLayerWiseConfigurations().toJson();

        MultiLayerNetwork adapted = LoRA.apply(base, adapting("out"));
        adapted.output(Networks.random(DataType.DOUBLE, 1, 2, 3, STEPS));

        assertThat(before).contains("Dropout");
        assertThat(base.getLayerWiseConfigurations().toJson()).isEqualTo(before);
        assertThat(LoRA.unload(adapted).getLayerWiseConfigurations().toJson()).isEqualTo(before);
    }
}
