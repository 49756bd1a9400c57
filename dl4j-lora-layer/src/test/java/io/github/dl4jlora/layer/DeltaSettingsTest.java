package io.github.dl4jlora.layer;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.Engine;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.internal.adapted.AdaptedParameter;
import org.deeplearning4j.datasets.iterator.utilty.ListDataSetIterator;
import org.deeplearning4j.nn.conf.GradientNormalization;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.WorkspaceMode;
import org.deeplearning4j.nn.conf.constraint.MaxNormConstraint;
import org.deeplearning4j.nn.conf.dropout.Dropout;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.BaseLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.conf.layers.recurrent.Bidirectional;
import org.deeplearning4j.nn.conf.memory.LayerMemoryReport;
import org.deeplearning4j.nn.conf.weightnoise.DropConnect;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.transferlearning.FineTuneConfiguration;
import org.deeplearning4j.nn.transferlearning.TransferLearning;
import org.deeplearning4j.parallelism.ParallelWrapper;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.ObjectInputStream;
import java.io.ObjectOutputStream;
import java.util.List;
import java.util.Set;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** An adapted layer that is not dense is a citizen of DL4J: settings of a layer act on its A and B, or on the stock layer. */
@Tag("heavy")
class DeltaSettingsTest {

    private static final INDArray FEATURES = Networks.random(DataType.FLOAT, 1, 4, 3, 5);
    private static final DataSet DATA = new DataSet(FEATURES, Networks.random(DataType.FLOAT, 2, 4, 2, 5));

    private MultiLayerNetwork base;

    @BeforeEach
    void makeBase() {
        base = base(DataType.FLOAT, new LSTM.Builder().nIn(3).nOut(4).name("lstm").build());
    }

    private static MultiLayerNetwork base(DataType type, org.deeplearning4j.nn.conf.layers.Layer layer) {
        return Networks.of(new NeuralNetConfiguration.Builder().seed(5).dataType(type).updater(new Sgd(0.1))
                .activation(Activation.TANH).list().layer(layer)
                .layer(new RnnOutputLayer.Builder(LossFunction.MSE).nIn(4).nOut(2).activation(Activation.IDENTITY)
                        .name("out").build())
                .setInputType(InputType.recurrent(3)).build());
    }

    private static LoRAConfig.Builder config() {
        return LoRAConfig.builder().rank(2).alpha(1.5).updater(new Sgd(0.1)).targets("lstm");
    }

    private MultiLayerNetwork adapted() {
        MultiLayerNetwork adapted = LoRA.apply(base, config().build());
        Networks.randomizeAdapters(adapted.paramTable(), 3);
        return adapted;
    }

    private static LoRAWrapperLayer conf(MultiLayerNetwork network) {
        return (LoRAWrapperLayer) network.getLayer(0).conf().getLayer();
    }

    @Test
    void everyWayOfChangingAParameterIsSeen() {
        MultiLayerNetwork adapted = adapted();
        adapted.output(FEATURES);
        adapted.getParam("0_RW.B").putScalar(1, 3.0);
        assertComputesWhatItMergesTo(adapted, "after putScalar");
        adapted.setParams(Networks.random(DataType.FLOAT, 7, 1, adapted.params().length()).mul(0.3));
        assertComputesWhatItMergesTo(adapted, "after setParams");
        adapted.setParam("0_W.A", Networks.random(DataType.FLOAT, 8, 3, 2));
        assertComputesWhatItMergesTo(adapted, "after setParam");
        adapted.params().muli(-1);
        assertComputesWhatItMergesTo(adapted, "after a write into the vector");
        adapted.fit(DATA);
        assertComputesWhatItMergesTo(adapted, "after fit");
    }

    private static void assertComputesWhatItMergesTo(MultiLayerNetwork adapted, String when) {
        assertThat(Networks.difference(adapted.output(FEATURES), LoRA.merge(adapted).output(FEATURES))).as(when).isLessThan(1e-6);
    }

    @Test
    void learningRatesCanBeChanged() {
        MultiLayerNetwork adapted = adapted();
        adapted.setLearningRate(0, 0);
        INDArray before = adapted.params().dup();

        adapted.fit(DATA);

        assertThat(adapted.getLearningRate(0)).isZero();
        assertThat(adapted.params()).isEqualTo(before);
    }

    @Test
    void gradientNormalizationActsOnTheAdapter() {
        ((BaseLayer) base.getLayer(0).conf().getLayer())
                .setGradientNormalization(GradientNormalization.ClipElementWiseAbsoluteValue);
        ((BaseLayer) base.getLayer(0).conf().getLayer()).setGradientNormalizationThreshold(1e-3);
        MultiLayerNetwork adapted = adapted();
        INDArray before = adapted.params().dup();

        adapted.fit(DATA);

        // Summed over four examples, clipped, divided by four, times the learning rate, or in another order.
        assertThat(Networks.difference(adapted.params(), before)).isBetween(1e-6, 1.01e-4);
    }

    @Test
    void regularizationCountsAAndBAlone() {
        MultiLayerNetwork adapted = LoRA.apply(base, config().l2(0.5).build());
        Networks.randomizeAdapters(adapted.paramTable(), 3);

        double norms = adapted.paramTable().values().stream()
                .mapToDouble(value -> value.mul(value).sumNumber().doubleValue()).sum();

        assertThat(adapted.calcRegularizationScore(true)).isCloseTo(0.25 * norms, org.assertj.core.api.Assertions.within(1e-5));
    }

    @Test
    void constraintsHoldForAAndB() {
        MultiLayerNetwork adapted = adapted();
        conf(adapted).setConstraints(List.of(new MaxNormConstraint(0.1, Set.of("W.A"), 0)));
        double other = adapted.getParam("0_RW.A").norm2(0).maxNumber().doubleValue();

        adapted.fit(DATA);

        assertThat(adapted.getParam("0_W.A").norm2(0).maxNumber().doubleValue()).isLessThan(0.1001);
        assertThat(other).isGreaterThan(0.1);
        assertThat(adapted.getParam("0_RW.A").norm2(0).maxNumber().doubleValue()).isGreaterThan(0.1);
    }

    @Test
    void fineTuneConfigurationReachesTheStockLayerInside() {
        MultiLayerNetwork tuned = new TransferLearning.Builder(adapted())
                .fineTuneConfiguration(new FineTuneConfiguration.Builder().seed(1)
                .updater(new Adam(0.25)).activation(Activation.SIGMOID).dropOut(0.5).build()).build();

        LoRAWrapperLayer conf = conf(tuned);
        assertThat(conf.getIUpdater()).isEqualTo(new Adam(0.25));
        assertThat(((LSTM) conf.stockLayer()).getActivationFn()).isEqualTo(Activation.SIGMOID.getActivationFunction());
        assertThat(conf.stockLayer().getIDropout()).isEqualTo(new Dropout(0.5));
        assertComputesWhatItMergesTo(tuned, "with another activation");
        tuned.setInput(FEATURES);
        INDArray once = tuned.feedForward(true).get(1).dup();
        assertThat(Networks.difference(once, tuned.feedForward(true).get(1))).as("dropout is at work").isPositive();
    }

    @Test
    void theBasesDropoutStaysAndItsRulesForWeightsGo() {
        base = base(DataType.FLOAT, new LSTM.Builder().nIn(3).nOut(4).dropOut(0.5).weightNoise(new DropConnect(0.5))
                .constrainWeights(new MaxNormConstraint(1e-3, 1)).name("lstm").build());
        INDArray expected = base.output(FEATURES).dup();
        MultiLayerNetwork adapted = LoRA.apply(base, config().build());
        adapted.setInput(FEATURES);
        INDArray once = adapted.feedForward(true).get(1).dup();
        assertThat(Networks.difference(once, adapted.feedForward(true).get(1))).as("dropout is at work").isPositive();

        adapted.fit(DATA);

        assertThat(Networks.difference(LoRA.unload(adapted).output(FEATURES), expected))
                .as("the constraint left W alone").isZero();
    }

    @Test
    void aFeatureExtractorFreezesItWhole() {
        MultiLayerNetwork adapted = adapted();
        INDArray before = adapted.output(FEATURES).dup();
        MultiLayerNetwork extracted = new TransferLearning.Builder(adapted)
                .fineTuneConfiguration(new FineTuneConfiguration.Builder().seed(3).build()).setFeatureExtractor(0)
                .removeOutputLayer()
                .addLayer(new RnnOutputLayer.Builder(LossFunction.MSE).dataFormat(RNNFormat.NCW).nIn(4).nOut(2)
                        .activation(Activation.IDENTITY).updater(new Sgd(0.1))
                        .name("head").build()).build();
        INDArray frozen = extracted.getLayer(0).params().dup();

        extracted.fit(DATA);

        assertThat(extracted.getLayer(0).params()).isEqualTo(frozen);
        assertThat(Networks.difference(LoRA.merge(extracted).output(FEATURES), extracted.output(FEATURES))).isLessThan(1e-6);
        assertThat(Networks.difference(adapted.output(FEATURES), before)).isZero();
    }

    @Test
    void sizesCannotBeChanged() {
        assertThatThrownBy(() -> new TransferLearning.Builder(adapted())
                .nOutReplace(0, 7, org.deeplearning4j.nn.weights.WeightInit.XAVIER)
                .build()).hasMessageContainingAll("Layer \"lstm\": nOut cannot be changed from 4 to 7", "LoRA.merge");
    }

    @ParameterizedTest
    @EnumSource(value = DataType.class, names = {"DOUBLE", "HALF"})
    void otherDataTypesUseACastOfTheSameBase(DataType type) {
        MultiLayerNetwork adapted = adapted();
        INDArray expected = adapted.output(FEATURES).dup();

        MultiLayerNetwork converted = adapted.convertDataType(type);

        INDArray output = converted.output(FEATURES.castTo(type));
        assertThat(output.dataType()).isEqualTo(type);
        double precision = type == DataType.DOUBLE ? 1e-5 : 1e-2;
        assertThat(Networks.difference(output, expected)).isLessThan(precision);
        converted.fit(new DataSet(FEATURES.castTo(type), DATA.getLabels().castTo(type)));
        assertThat(converted.params().castTo(DataType.DOUBLE).sub(adapted.params().castTo(DataType.DOUBLE)).amaxNumber()
                .doubleValue())
                .as("what a step changes").isPositive();
    }

    @ParameterizedTest
    @EnumSource(value = WorkspaceMode.class, names = {"ENABLED", "NONE"})
    void workspacesMakeNoDifference(WorkspaceMode mode) {
        MultiLayerNetwork adapted = adapted();
        MultiLayerNetwork other = adapted.clone();
        other.getLayerWiseConfigurations().setTrainingWorkspaceMode(mode);
        other.getLayerWiseConfigurations().setInferenceWorkspaceMode(mode);
        for (int i = 0; i < 3; i++) {
            adapted.fit(DATA);
            other.fit(DATA);
        }

        assertThat(other.params().toDoubleVector()).containsExactly(adapted.params().toDoubleVector());
        assertThat(Networks.difference(other.output(FEATURES), adapted.output(FEATURES))).isZero();
    }

    @Test
    void javaSerializationKeepsTheFunction() throws IOException, ClassNotFoundException {
        MultiLayerNetwork adapted = adapted();
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (ObjectOutputStream out = new ObjectOutputStream(bytes)) {
            out.writeObject(adapted);
        }

        MultiLayerNetwork read = (MultiLayerNetwork) new ObjectInputStream(new ByteArrayInputStream(bytes.toByteArray()))
                .readObject();

        assertThat(Networks.difference(read.output(FEATURES), adapted.output(FEATURES))).isZero();
    }

    @Test
    void replicasOfAParallelWrapperTrainTheSameAdapter() {
        MultiLayerNetwork adapted = adapted();
        double[] frozen = base.params().toDoubleVector();
        INDArray before = adapted.params().dup();
        ParallelWrapper wrapper = new ParallelWrapper.Builder<>(adapted).workers(2).averagingFrequency(1)
                .trainingMode(ParallelWrapper.TrainingMode.AVERAGING).build();

        wrapper.fit(new ListDataSetIterator<>(List.of(DATA, DATA, DATA, DATA), 4));
        wrapper.shutdown();

        assertThat(Networks.difference(adapted.params(), before)).isPositive();
        assertThat(base.params().toDoubleVector()).containsExactly(frozen);
        assertComputesWhatItMergesTo(adapted, "after parallel training");
    }

    @Test
    void nothingIsKeptThatAWorkspaceTakesBack() {
        MultiLayerNetwork adapted = adapted();
        for (int i = 0; i < 3; i++) {
            adapted.fit(DATA);
        }
        assertThat(adapted.gradient().gradientForVariable().values())
                .allSatisfy(gradient -> assertThat(gradient.isAttached()).isFalse());
        assertThat(adapted.output(FEATURES).isAttached()).isFalse();
    }

    @Test
    void restoredWithoutItsBaseItSaysWhatIsMissing() {
        MultiLayerNetwork adapted = adapted();
        String json = adapted.getLayerWiseConfigurations().toJson().replaceAll("\"id\" : \"[0-9a-f]{8}", "\"id\" : \"00000000");
        MultiLayerNetwork lost = new MultiLayerNetwork(MultiLayerConfiguration.fromJson(json));
        lost.init(adapted.params().dup(), false);

        lost.rnnClearPreviousState();
        assertThatThrownBy(() -> lost.output(FEATURES)).hasMessageContainingAll("\"lstm\"", "LoRA.attach");
    }

    @Test
    void parametersThatAreNotItsOwnAreRefused() {
        MultiLayerNetwork adapted = adapted();

        assertThatThrownBy(() -> adapted.setParam("0_W", Nd4j.zeros(3, 16))).hasMessageContainingAll("Layer \"lstm\"", "\"W\"",
                "W.A [3, 2]", "RW.B [2, 16]");
        assertThatThrownBy(() -> adapted.setParam("0_W.A", Nd4j.zeros(3, 3)))
                .hasMessageContainingAll("W.A has shape [3, 2]", "[3, 3]");
    }

    @Test
    void trainingWhileDisabledIsRefused() {
        MultiLayerNetwork adapted = adapted();
        try (LoRA.Scope off = LoRA.disabled(adapted)) {
            assertThatThrownBy(() -> adapted.fit(DATA)).isInstanceOf(IllegalStateException.class)
                    .hasMessageContainingAll("Layer \"lstm\"", "disabled");
        }
        adapted.fit(DATA);
    }

    @Test
    void configurationsAreEqualWhenTheyMeanTheSame() {
        LoRAWrapperLayer conf = conf(adapted());
        assertThat(conf.clone()).isEqualTo(conf).hasSameHashCodeAs(conf).isNotSameAs(conf);
        LoRAWrapperLayer other = conf.clone();
        other.rescale("RW", 7, io.github.dl4jlora.conf.Scaling.ALPHA);
        assertThat(other).isNotEqualTo(conf);
        assertThat(conf.adapted()).extracting(AdaptedParameter::alpha).containsExactly(1.5, 1.5);
        LoRAWrapperLayer renamed = conf.clone();
        renamed.setLayerName("x");
        assertThat(renamed.getOrigin().getLayerName()).isEqualTo("x");
        assertThat(conf.getOrigin().getLayerName()).isEqualTo("lstm");
    }

    @Test
    void sizesAndMemoryAreReported() {
        MultiLayerNetwork adapted = adapted();
        assertThat(adapted.layerSize(0)).isEqualTo(4);
        assertThat(adapted.layerInputSize(0)).isEqualTo(3);
        assertThat(adapted.summary(InputType.recurrent(3))).contains("StockRecurrentRuntime", "RW.A:{4,2}");
        LayerMemoryReport memory = conf(adapted).getMemoryReport(InputType.recurrent(3, 5));
        assertThat(memory.getParameterSize()).isEqualTo(78);
        assertThat(memory.getWorkingMemoryFixedInference()).isZero();
        LoRAWrapperLayer effective = conf(adapted).clone();
        effective.setEngine(Engine.EFFECTIVE_WEIGHTS);
        assertThat(effective.getMemoryReport(InputType.recurrent(3, 5)).getWorkingMemoryFixedInference()).as("W + s·A·B")
                .isGreaterThanOrEqualTo(base.getLayer(0).numParams());
        MultiLayerNetwork both = base(DataType.FLOAT, new Bidirectional(Bidirectional.Mode.ADD, new LSTM.Builder().nIn(3)
                .nOut(4).build()));
        both.getLayer(0).conf().getLayer().setLayerName("lstm");
        assertThat(LoRA.apply(both, config().build()).layerSize(0)).isEqualTo(4);
    }
}
