package io.github.dl4jlora.adapter;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import org.apache.commons.math3.linear.RealMatrix;
import org.apache.commons.math3.linear.SingularValueDecomposition;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.AttentionVertex;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.BatchNormalization;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.LocalResponseNormalization;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnLossLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.conf.preprocessor.CnnToFeedForwardPreProcessor;
import org.deeplearning4j.nn.conf.preprocessor.ComposableInputPreProcessor;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.transferlearning.TransferLearning;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;

import static io.github.dl4jlora.adapter.Adapters.matrix;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

class ExtractionTest {

    @TempDir
    private Path folder;

    private final ComputationGraph base = Networks.trainedGraph(DataType.DOUBLE);
    private final ComputationGraph tuned = fineTuned(base);
    private final INDArray input = Networks.random(DataType.DOUBLE, 5, 4, Networks.IN);

    private static ComputationGraph fineTuned(ComputationGraph base) {
        ComputationGraph tuned = base.clone();
        for (int i = 20; i < 40; i++) {
            tuned.fit(Networks.data(base.params().dataType(), 8, i));
        }
        return tuned;
    }

    @ParameterizedTest(name = "rank {0}")
    @CsvSource({"1", "2", "4"})
    void eachLayerGetsTheTruncatedDecompositionOfWhatChanged(int rank) {
        Extraction.Extracted extracted = LoRAAdapter.extract(base, tuned).rank(rank).build();

        assertThat(extracted.adapter().layers()).containsExactly("fc1", "fc2", "out");
        for (String layer : extracted.adapter().layers()) {
            RealMatrix change = matrix(tuned.getParam(layer + "_W")).subtract(matrix(base.getParam(layer + "_W")));
            double[] values = new SingularValueDecomposition(change).getSingularValues();
            double tail = Math.sqrt(Arrays.stream(values).skip(rank).map(value -> value * value).sum());
            double lost = change.subtract(matrix(extracted.adapter().deltaWeight(layer))).getFrobeniusNorm();
            assertThat(lost).isCloseTo(tail, within(1e-13));
            assertThat(extracted.relativeErrors().get(layer)).isCloseTo(tail / change.getFrobeniusNorm(), within(1e-13));
            // What a softmax layer learns by its outputs sums up to nothing: it has a direction less.
            assertThat(extracted.adapter().rank(layer)).isEqualTo(Math.min(rank, layer.equals("out") ? 2 : 5));
        }
    }

    @ParameterizedTest(name = "energy {0}, at most rank {1}")
    @CsvSource({"0.5, ", "0.9, ", "0.999, ", "0.999, 2"})
    void energyChoosesTheSmallestRankOfEachLayerThatKeepsIt(double energy, Integer most) {
        Extraction extraction = LoRAAdapter.extract(base, tuned).energy(energy);
        Extraction.Extracted extracted = (most == null ? extraction : extraction.rank(most)).build();

        for (String layer : extracted.adapter().layers()) {
            double[] squares = Arrays.stream(new SingularValueDecomposition(matrix(tuned.getParam(layer + "_W"))
                    .subtract(matrix(base.getParam(layer + "_W")))).getSingularValues()).map(value -> value * value).toArray();
            int needed = 1;
            while (Arrays.stream(squares).limit(needed).sum() < energy * Arrays.stream(squares).sum()) {
                needed++;
            }
            assertThat(extracted.adapter().rank(layer)).as(layer).isEqualTo(most == null ? needed : Math.min(most, needed));
        }
    }

    @Test
    void withFullValuesItComputesWhatTheFineTunedNetworkDoes() throws Exception {
        List<Long> before = bits(base);
        List<Long> after = bits(tuned);

        Extraction.Extracted extracted = LoRAAdapter.extract(base, tuned).energy(1).fullValues(true).build();
        extracted.adapter().save(folder);

        assertThat(extracted.leftOut()).isEmpty();
        assertThat(extracted.relativeErrors().values()).allSatisfy(error -> assertThat(error).isLessThan(1e-13));
        assertThat(Networks.difference(LoRA.apply(base, extracted.adapter()).outputSingle(input), tuned.outputSingle(input)))
                .isLessThan(1e-12);
        assertThat(Networks.difference(LoRA.apply(base, LoRAAdapter.load(folder)).outputSingle(input),
                tuned.outputSingle(input))).isLessThan(1e-12);
        assertThat(bits(base)).isEqualTo(before);
        assertThat(bits(tuned)).isEqualTo(after);
    }

    @Test
    void withoutFullValuesBiasesAreNamedAsLeftOut() {
        Extraction.Extracted extracted = LoRAAdapter.extract(base, tuned).energy(1).build();

        assertThat(extracted.leftOut()).containsExactly("fc1.b", "fc2.b", "out.b");
        ComputationGraph expected = tuned.clone();
        for (String layer : List.of("fc1", "fc2", "out")) {
            expected.getParam(layer + "_b").assign(base.getParam(layer + "_b"));
        }
        assertThat(Networks.difference(LoRA.apply(base, extracted.adapter()).outputSingle(input), expected.outputSingle(input)))
                .isLessThan(1e-12);
    }

    @ParameterizedTest
    @EnumSource
    void kernelsOfAllKinds(KernelAdapters kind) throws Exception {
        MultiLayerNetwork before = kind.base();
        MultiLayerNetwork after = before.clone();
        after.params().addi(Networks.random(DataType.DOUBLE, 9, after.params().shape()).muli(0.1));

        Extraction.Extracted extracted = LoRAAdapter.extract(before, after).energy(1).fullValues(true).build();
        extracted.adapter().save(folder);

        assertThat(extracted.adapter().layers()).containsExactly("kernel1");
        assertThat(Networks.difference(extracted.adapter().deltaWeight("kernel1"),
                kind.torchWeight(after).sub(kind.torchWeight(before)))).isLessThan(1e-13);
        assertThat(Networks.difference(LoRA.apply(before, LoRAAdapter.load(folder)).output(kind.input()),
                after.output(kind.input()))).isLessThan(1e-12);
    }

    @Test
    void eachMatrixOfALayerForItselfAndBiasesBesideThem() {
        MultiLayerNetwork before = layers(InputType.recurrent(3, 5), new LSTM.Builder().name("lstm").nOut(4).build(),
                new RnnOutputLayer.Builder(LossFunction.MSE).name("out").nOut(2).activation(Activation.IDENTITY).build());
        MultiLayerNetwork after = before.clone();
        after.getParam("0_RW").addi(Networks.random(DataType.DOUBLE, 1, 4, 16));
        after.getParam("0_b").addi(0.25);
        INDArray sequences = Networks.random(DataType.DOUBLE, 2, 2, 3, 5);

        Extraction.Extracted extracted = LoRAAdapter.extract(before, after).rank(4).fullValues(true).build();

        assertThat(extracted.adapter().layers()).containsExactly("lstm.RW");
        assertThat(Networks.difference(LoRA.apply(before, extracted.adapter()).output(sequences), after.output(sequences)))
                .isLessThan(1e-12);
    }

    @Test
    void normalisationIsCarriedWholeOrLeftOut() throws Exception {
        MultiLayerNetwork before = layers(InputType.convolutional(6, 6, 2),
                new ConvolutionLayer.Builder(3, 3).name("conv").nOut(4).build(),
                new BatchNormalization.Builder().name("norm").build(),
                new OutputLayer.Builder(LossFunction.MSE).name("out").nOut(2).activation(Activation.IDENTITY).build());
        MultiLayerNetwork after = before.clone();
        INDArray images = Networks.random(DataType.DOUBLE, 3, 5, 2, 6, 6);
        for (int i = 0; i < 5; i++) {
            after.fit(images, Networks.random(DataType.DOUBLE, 4, 5, 2));
        }

        Extraction.Extracted without = LoRAAdapter.extract(before, after).rank(8).build();
        Extraction.Extracted with = LoRAAdapter.extract(before, after).rank(8).fullValues(true).build();
        with.adapter().save(folder);

        assertThat(without.leftOut()).contains("conv.b", "norm.gamma", "norm.mean", "out.b");
        assertThat(with.leftOut()).isEmpty();
        assertThat(with.adapter().layers()).containsExactly("conv", "out");
        assertThat(with.adapter().trainedLayers()).containsExactly("norm");
        assertThat(Networks.difference(LoRA.apply(before, LoRAAdapter.load(folder)).output(images), after.output(images)))
                .isLessThan(1e-10);
    }

    @Test
    void whatTransferLearningFrozeIsLeftOutOfTheAdapter() {
        ComputationGraph before = Networks.trainedGraph();
        ComputationGraph after = fineTuned(new TransferLearning.GraphBuilder(before).setFeatureExtractor("fc1").build());

        Extraction.Extracted extracted = LoRAAdapter.extract(before, after).rank(5).fullValues(true).build();

        assertThat(extracted.adapter().layers()).containsExactly("fc2", "out");
        INDArray floats = input.castTo(DataType.FLOAT);
        assertThat(Networks.difference(LoRA.apply(before, extracted.adapter()).outputSingle(floats), after.outputSingle(floats)))
                .isLessThan(1e-5);
    }

    @Test
    void aBaseThatDl4jFroze() {
        ComputationGraph before = new TransferLearning.GraphBuilder(Networks.trainedGraph()).setFeatureExtractor("fc2").build();
        ComputationGraph after = fineTuned(Networks.trainedGraph());

        Extraction.Extracted extracted = LoRAAdapter.extract(before, after).energy(1).fullValues(true).build();

        assertThat(extracted.adapter().layers()).containsExactly("fc1", "fc2", "out");
        INDArray floats = input.castTo(DataType.FLOAT);
        assertThat(Networks.difference(LoRA.apply(before, extracted.adapter()).outputSingle(floats), after.outputSingle(floats)))
                .isLessThan(1e-5);
    }

    @Test
    void layersOfOneNameAreToldApart() {
        MultiLayerNetwork before = layers(InputType.feedForward(4), dense("same", 4, Activation.TANH),
                dense("same", 4, Activation.TANH));
        MultiLayerNetwork after = before.clone();
        after.getParam("1_W").addi(Networks.random(DataType.DOUBLE, 1, 4, 4));
        INDArray rows = Networks.random(DataType.DOUBLE, 2, 3, 4);

        Extraction.Extracted extracted = LoRAAdapter.extract(before, after).energy(1).build();

        assertThat(extracted.adapter().layers()).containsExactly("1");
        assertThat(Networks.difference(LoRA.apply(before, extracted.adapter()).output(rows), after.output(rows)))
                .isLessThan(1e-12);
    }

    @ParameterizedTest
    @EnumSource(value = DataType.class, names = {"FLOAT", "HALF", "BFLOAT16"})
    void reportedErrorsAreThoseOfTheRoundedAAndB(DataType type) {
        ComputationGraph before = base.convertDataType(type);
        ComputationGraph after = tuned.convertDataType(type);

        Extraction.Extracted extracted = LoRAAdapter.extract(before, after).energy(1).build();

        RealMatrix change = matrix(after.getParam("fc1_W")).subtract(matrix(before.getParam("fc1_W")));
        assertThat(extracted.adapter().content().delta("fc1").a().dataType()).isEqualTo(type);
        assertThat(extracted.relativeErrors().get("fc1")).isPositive().isLessThan(type == DataType.FLOAT ? 1e-6 : 2e-2)
                .isCloseTo(change.subtract(Adapters.product(extracted.adapter(), "fc1")).getFrobeniusNorm()
                        / change.getFrobeniusNorm(), within(1e-12));
    }

    @Test
    void anAdapterIsExtractedFromTheNetworkItWasMergedInto() {
        LoRAAdapter adapter = Adapters.on(base, LoRAConfig.builder().rank(2), 1);

        Extraction.Extracted extracted = LoRAAdapter.extract(base, LoRA.merge(LoRA.apply(base, adapter))).energy(1).build();

        assertThat(extracted.leftOut()).isEmpty();
        assertThat(extracted.adapter().layers()).isEqualTo(adapter.layers());
        assertThat(Networks.difference(extracted.adapter().deltaWeight("fc1"), adapter.deltaWeight("fc1"))).isLessThan(1e-13);
        LoRAAdapter nothing = LoRAAdapter.combine(Combination.Method.CAT).add(extracted.adapter(), 1).add(adapter, -1).build();
        assertThat(nothing.norm("fc2")).isLessThan(1e-13);
    }

    @Test
    void settingsOutOfTheirRangeAreRefused() {
        refused(LoRAAdapter.extract(base, tuned), "Neither the rank nor the energy");
        refused(LoRAAdapter.extract(base, tuned).rank(0), "The rank is 0");
        refused(LoRAAdapter.extract(base, tuned).energy(1.5), "is 1.5, but must be above 0 and at most 1");
        refused(LoRAAdapter.extract(base, tuned).energy(Double.NaN), "is NaN");
    }

    @Test
    void networksThatHaveNoAdapterBetweenThemAreRefused() {
        refused(LoRAAdapter.extract(base, base.clone()).rank(1), "has the same values as the base");
        ComputationGraph biasAlone = base.clone();
        biasAlone.getParam("fc1_b").addi(1);
        refused(LoRAAdapter.extract(base, biasAlone).rank(1), "[fc1]", "have no changed weight matrix");
        refused(LoRAAdapter.extract(base, biasAlone).rank(1).fullValues(true), "[fc1]", "would all be stored in full");
        refused(LoRAAdapter.extract(base, LoRA.apply(base, LoRAConfig.builder().build())).rank(1),
                "The fine-tuned network is adapted", "\"fc1\"", "LoRA.merge");
        refused(LoRAAdapter.extract(null, base).rank(1), "The base is null");
        refused(LoRAAdapter.extract(base, Networks.trainedLayers()).rank(1), "a ComputationGraph", "a MultiLayerNetwork");
    }

    @Test
    void networksOfOtherArchitectureAreRefusedNamingTheLayer() {
        Model dense = layers(InputType.feedForward(4), dense("a", 3, Activation.TANH));
        refused(LoRAAdapter.extract(dense, layers(InputType.feedForward(4), dense("b", 3, Activation.TANH))).rank(1),
                "missing [a]", "surplus [b]");
        refused(LoRAAdapter.extract(dense, layers(InputType.feedForward(4), dense("a", 2, Activation.TANH))).rank(1), "\"a\"",
                "parameters", "[4, 2]", "[4, 3]");
        refused(LoRAAdapter.extract(dense, layers(InputType.feedForward(4), dense("a", 3, Activation.RELU))).rank(1), "\"a\"",
                "activationFn", "ReLU");
        refused(LoRAAdapter.extract(base, Networks.trainedGraph(DataType.FLOAT)).rank(1), "\"fc1\"", "data type", "FLOAT");
        Model convolution = layers(InputType.convolutional(6, 6, 2), convolution(1));
        refused(LoRAAdapter.extract(convolution, layers(InputType.convolutional(6, 6, 2), convolution(2))).rank(1), "\"conv\"",
                "stride", "[2,2]");
    }

    @Test
    void constantsOfTheFunctionMayNotDiffer() {
        InputType images = InputType.convolutional(6, 6, 2);
        refused(LoRAAdapter.extract(layers(images, convolution(1), response(0.75)), layers(images, convolution(1), response(0.5)))
                .rank(1), "beta", "0.5", "0.75");
        refused(LoRAAdapter.extract(layers(images, convolution(1), new BatchNormalization.Builder(1, 0, true).build()),
                layers(images, convolution(1), new BatchNormalization.Builder(2, 0, true).build())).rank(1), "gamma");
        MultiLayerNetwork turned = layers(images, convolution(1));
        turned.getLayerWiseConfigurations().getInputPreProcessors().put(0, new ComposableInputPreProcessor());
        MultiLayerNetwork other = layers(images, convolution(1));
        other.getLayerWiseConfigurations().getInputPreProcessors().put(0, new CnnToFeedForwardPreProcessor(6, 6, 2));
        refused(LoRAAdapter.extract(turned, other).rank(1), "preprocessor");
        MultiLayerNetwork unset = layers(images, convolution(1));
        unset.getLayerWiseConfigurations().getInputPreProcessors().put(0, new CnnToFeedForwardPreProcessor());
        refused(LoRAAdapter.extract(unset, other).rank(1), "same values");
    }

    private static LocalResponseNormalization response(double beta) {
        return new LocalResponseNormalization.Builder().beta(beta).build();
    }

    @Test
    void anAttentionVertexMayBeAllThatChanged() {
        ComputationGraph before = new ComputationGraph(new NeuralNetConfiguration.Builder().seed(1)
                .dataType(DataType.DOUBLE).graphBuilder().addInputs("in").setInputTypes(InputType.recurrent(4, 5))
                .addVertex("attention", new AttentionVertex.Builder().nInKeys(4).nInQueries(4).nInValues(4).nOut(4).nHeads(2)
                        .projectInput(true).build(), "in", "in", "in")
                .addLayer("out", new RnnLossLayer.Builder(LossFunction.MSE).build(), "attention")
                .setOutputs("out").build());
        before.init();
        ComputationGraph after = before.clone();
        after.params().addi(Networks.random(DataType.DOUBLE, 3, after.params().shape()));
        INDArray sequences = Networks.random(DataType.DOUBLE, 4, 2, 4, 5);

        Extraction.Extracted extracted = LoRAAdapter.extract(before, after).energy(1).build();

        assertThat(Networks.difference(LoRA.apply(before, extracted.adapter()).outputSingle(sequences),
                after.outputSingle(sequences))).isLessThan(1e-10);
    }

    @Test
    void whatOnlyTrainingAsksForMayDiffer() {
        Model before = layers(InputType.feedForward(4), dense("a", 3, Activation.TANH));
        MultiLayerNetwork after = layers(InputType.feedForward(4), new DenseLayer.Builder().name("a").nOut(3)
                .activation(Activation.TANH).l2(0.1).dropOut(0.5).updater(new Adam(0.1)).biasInit(1).build());
        after.getParam("0_W").addi(1);

        assertThat(LoRAAdapter.extract(before, after).rank(3).build().leftOut()).containsExactly("a.b");
    }

    @Test
    void aDivergedNetworkIsRefusedNamingTheLayer() {
        tuned.getParam("fc2_W").putScalar(3, Double.NaN);

        assertThatThrownBy(() -> LoRAAdapter.extract(base, tuned).rank(1).build()).isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("\"fc2\"").hasMessageContaining("W of the fine-tuned network");
    }

    private static void refused(Extraction extraction, String... parts) {
        assertThatIllegalArgumentException().isThrownBy(extraction::build)
                .satisfies(refusal -> assertThat(refusal.getMessage()).contains(parts));
    }

    private static Layer dense(String name, int nOut, Activation activation) {
        return new DenseLayer.Builder().name(name).nOut(nOut).activation(activation).build();
    }

    private static Layer convolution(int stride) {
        return new ConvolutionLayer.Builder(3, 3).name("conv").stride(stride, stride).nOut(4).build();
    }

    private static MultiLayerNetwork layers(InputType input, Layer... layers) {
        return Networks.of(new NeuralNetConfiguration.Builder().seed(12).dataType(DataType.DOUBLE)
                .updater(new Adam(0.01)).list(layers).setInputType(input).build());
    }

    private static List<Long> bits(Model network) {
        return Arrays.stream(Models.params(network)).mapToObj(Double::doubleToRawLongBits).toList();
    }
}
