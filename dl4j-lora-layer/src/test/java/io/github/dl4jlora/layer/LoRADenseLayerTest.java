package io.github.dl4jlora.layer;

import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.Engine;
import io.github.dl4jlora.conf.FrozenStorage;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.internal.engine.DenseRuntime;
import org.deeplearning4j.nn.conf.CacheMode;
import org.deeplearning4j.nn.conf.GradientNormalization;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.conf.memory.LayerMemoryReport;
import org.deeplearning4j.nn.conf.memory.MemoryReport;
import org.deeplearning4j.nn.conf.memory.MemoryType;
import org.deeplearning4j.nn.conf.memory.MemoryUseMode;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.weights.WeightInit;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.activations.BaseActivationFunction;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

/** Whatever DenseLayer's builder offers does the same here; the oracle is a DenseLayer of W + ΔW. */
class LoRADenseLayerTest {

    private static final double TOLERANCE = 1e-12;

    /** z³ / 3 + z; DL4J wants activations in place. */
    public static final class Bulge extends BaseActivationFunction {

        @Override
        public INDArray getActivation(INDArray in, boolean training) {
            return in.addi(in.mul(in).muli(in).divi(3));
        }

        @Override
        public Pair<INDArray, INDArray> backprop(INDArray in, INDArray epsilon) {
            return new Pair<>(in.mul(in).addi(1).muli(epsilon), null);
        }
    }

    static Stream<Arguments> variants() {
        Stream<Twins.Recipe> activations = Stream.of(Activation.values()).filter(activation -> activation != Activation.RRELU)
                .map(activation -> new Twins.Recipe().common(builder -> builder.activation(activation)));
        Stream<Twins.Recipe> others = Stream.of(
                new Twins.Recipe().common(builder -> builder.activation(new Bulge())),
                new Twins.Recipe().hasBias(false),
                new Twins.Recipe().hasLayerNorm(true),
                new Twins.Recipe().hasLayerNorm(true).hasBias(false),
                new Twins.Recipe().hasLayerNorm(true).common(builder -> builder.activation(Activation.IDENTITY)),
                new Twins.Recipe().common(builder -> builder.biasInit(0.4)),
                new Twins.Recipe().hasLayerNorm(true).common(builder -> builder.gainInit(1.7)),
                new Twins.Recipe().lora(builder -> builder.rank(4).alpha(-3).scaling(Scaling.ALPHA_OVER_RANK)),
                new Twins.Recipe().lora(builder -> builder.rank(1).alpha(2).scaling(Scaling.ALPHA_OVER_SQRT_RANK)),
                new Twins.Recipe().lora(builder -> builder.alpha(1e-6)),
                new Twins.Recipe().lora(builder -> builder.storage(FrozenStorage.SHARED)),
                new Twins.Recipe().common(builder -> builder.gradientNormalization(GradientNormalization.ClipL2PerLayer)));
        return Stream.concat(activations, others).map(Arguments::of);
    }

    @ParameterizedTest
    @MethodSource("variants")
    void computesWhatADenseLayerOfTheSumComputes(Twins.Recipe recipe) {
        Twins twins = recipe.build();
        DataSet data = Networks.data(DataType.DOUBLE, 4, 1);

        assertThat(Networks.difference(twins.lora().output(data.getFeatures()), twins.stock().output(data.getFeatures())))
                .isLessThan(TOLERANCE);
        assertThat(twins.lora().score(data, true)).isCloseTo(twins.stock().score(data, true), within(TOLERANCE));
    }

    @ParameterizedTest
    @MethodSource("variants")
    void hasTheGradientsOfADenseLayerOfTheSum(Twins.Recipe recipe) {
        Twins twins = recipe.build();

        assertSameGradients(twins, Networks.data(DataType.DOUBLE, 4, 1));
    }

    @Test
    void appliesMasksAsADenseLayerDoes() {
        for (boolean norm : new boolean[]{false, true}) {
            Twins twins = new Twins.Recipe().hasLayerNorm(norm).common(builder -> builder.activation(Activation.SIGMOID)).build();
            DataSet data = Networks.data(DataType.DOUBLE, 4, 1);
            INDArray mask = Nd4j.createFromArray(1.0, 0.0, 1.0, 0.0).reshape(4, 1);
            data.setFeaturesMaskArray(mask);
            data.setLabelsMaskArray(mask);

            assertSameGradients(twins, data);
            INDArray masked = twins.lora().output(data.getFeatures(), false, mask, mask);
            assertThat(Networks.difference(masked, twins.stock().output(data.getFeatures(), false, mask, mask)))
                    .isLessThan(TOLERANCE);
            assertThat(Networks.difference(masked, twins.lora().output(data.getFeatures()))).isGreaterThan(1e-3);
        }
    }

    @Test
    void acceptsDropoutAsADenseLayerDoes() {
        Twins twins = new Twins.Recipe().common(builder -> builder.dropOut(0.5)).build();
        DataSet data = Networks.data(DataType.DOUBLE, 4, 1);
        Nd4j.getRandom().setSeed(77);
        Map<String, INDArray> expected = twins.expectedGradients(data);
        Nd4j.getRandom().setSeed(77);
        Map<String, INDArray> actual = Twins.gradients(twins.lora(), data);

        assertSame(actual, expected);
        assertThat(Networks.difference(twins.lora().output(data.getFeatures()), twins.stock().output(data.getFeatures())))
                .isLessThan(TOLERANCE);
    }

    @Test
    void initialisesItsFrozenWeightsAsADenseLayerDoes() {
        MultiLayerNetwork lora = network(new LoRADenseLayer.Builder().nIn(6).nOut(5).rank(2).weightInit(WeightInit.RELU)
                .biasInit(0.25).hasLayerNorm(true).gainInit(1.5).build());
        MultiLayerNetwork stock = network(new DenseLayer.Builder().nIn(6).nOut(5).weightInit(WeightInit.RELU)
                .biasInit(0.25).hasLayerNorm(true).gainInit(1.5).build());

        assertThat(lora.getParam("0_W")).isEqualTo(stock.getParam("0_W"));
        assertThat(lora.getParam("0_b")).isEqualTo(stock.getParam("0_b"));
        assertThat(lora.getParam("0_g")).isEqualTo(stock.getParam("0_g"));
    }

    @ParameterizedTest
    @EnumSource(FrozenStorage.class)
    void parametersAreFoundByNameWithTheirShapes(FrozenStorage storage) {
        MultiLayerNetwork network = network(lora().storage(storage).build());

        assertThat(network.getParam("0_A").shape()).containsExactly(6, 2);
        assertThat(network.getParam("0_B").shape()).containsExactly(2, 5);
        assertThat(network.getParam("0_B").sumNumber().doubleValue()).isZero();
        assertThat(Twins.largest(network.getParam("0_A"))).isPositive();
        assertThat(network.getLayer(0).paramTable().keySet()).containsExactlyElementsOf(
                storage == FrozenStorage.SHARED ? List.of("A", "B") : List.of("W", "b", "A", "B"));
        assertThat(network.getLayer(0).numParams()).isEqualTo(storage == FrozenStorage.SHARED ? 22 : 22 + 35);
    }

    @Test
    void parametersOfAGraphAreFoundByVertexName() {
        ComputationGraph graph = Networks.of(new NeuralNetConfiguration.Builder().seed(1).graphBuilder().addInputs("in")
                .addLayer("fc1", lora().build(), "in").addLayer("out", output().nIn(5).build(), "fc1").setOutputs("out").build());

        assertThat(graph.getParam("fc1_A").shape()).containsExactly(6, 2);
        assertThat(graph.getParam("fc1_B").shape()).containsExactly(2, 5);
    }

    // --- input types ---

    @Test
    void infersItsInputFromFeedForwardTypes() {
        assertInfers(InputType.feedForward(7), 7, DataType.FLOAT, 3, 7);
    }

    @Test
    void infersItsInputFromFlatImages() {
        assertInfers(InputType.convolutionalFlat(3, 4, 2), 24, DataType.FLOAT, 3, 24);
    }

    @Test
    void infersItsInputFromImages() {
        assertInfers(InputType.convolutional(3, 4, 2), 24, DataType.FLOAT, 3, 2, 3, 4);
    }

    private static void assertInfers(InputType type, int nIn, DataType dataType, long... inputShape) {
        MultiLayerNetwork lora = inferring(new LoRADenseLayer.Builder().nOut(5).rank(2).build(), type);
        MultiLayerNetwork stock = inferring(new DenseLayer.Builder().nOut(5).build(), type);
        stock.paramTable().forEach((key, value) -> value.assign(lora.getParam(key)));
        INDArray input = Networks.random(dataType, 3, inputShape);

        assertThat(lora.getParam("0_A").shape()).containsExactly(nIn, 2);
        assertThat(Networks.difference(lora.output(input), stock.output(input))).isLessThan(1e-6);
        lora.fit(new DataSet(input, Networks.data(dataType, 3, 1).getLabels()));
        assertThat(Twins.largest(lora.getParam("0_B"))).isPositive();
    }

    private static MultiLayerNetwork inferring(Layer layer, InputType type) {
        return Networks.of(new NeuralNetConfiguration.Builder().seed(1).updater(new Sgd(0.1)).list()
                .layer(layer).layer(output().build()).setInputType(type).build());
    }

    @Test
    void standsBehindConvolutionsThroughTheAutomaticPreprocessor() {
        MultiLayerNetwork network = Networks.of(new NeuralNetConfiguration.Builder().seed(1).updater(new Sgd(0.1)).list()
                .layer(new ConvolutionLayer.Builder(2, 2).nOut(3).build())
                .layer(new LoRADenseLayer.Builder().nOut(5).rank(2).build()).layer(output().build())
                .setInputType(InputType.convolutional(4, 4, 2)).build());
        INDArray before = network.getParam("0_W").dup();

        network.fit(Networks.random(DataType.FLOAT, 3, 3, 2, 4, 4), Networks.data(DataType.FLOAT, 3, 1).getLabels());

        assertThat(network.getParam("1_A").shape()).containsExactly(27, 2);
        assertThat(network.getParam("0_W")).isNotEqualTo(before);
    }

    @Test
    void standsBetweenRecurrentLayersThroughTheAutomaticPreprocessors() {
        MultiLayerNetwork lora = sequences(new LoRADenseLayer.Builder().nOut(5).rank(2).build());
        MultiLayerNetwork stock = sequences(new DenseLayer.Builder().nOut(5).build());
        stock.paramTable().forEach((key, value) -> value.assign(lora.getParam(key)));
        INDArray input = Networks.random(DataType.FLOAT, 3, 2, 6, 4);
        INDArray mask = Nd4j.createFromArray(new float[][]{{1, 1, 1, 1}, {1, 1, 0, 0}});

        INDArray output = lora.output(input, false, mask, mask);

        assertThat(Networks.difference(output, stock.output(input, false, mask, mask))).isLessThan(1e-6);
        assertThat(lora.getParam("1_A").shape()).containsExactly(4, 2);
    }

    private static MultiLayerNetwork sequences(Layer middle) {
        return Networks.of(new NeuralNetConfiguration.Builder().seed(1).updater(new Sgd(0.1)).list()
                .layer(new LSTM.Builder().nOut(4).build()).layer(middle)
                .layer(new RnnOutputLayer.Builder(LossFunction.MCXENT).nOut(Networks.OUT).activation(Activation.SOFTMAX).build())
                .setInputType(InputType.recurrent(6)).build());
    }

    @Test
    void firstLayerWithItsInputSetLetsTheOthersInferTheirs() {
        MultiLayerNetwork network = Networks.of(new NeuralNetConfiguration.Builder().seed(1).list()
                .layer(lora().build())
                .layer(new LoRADenseLayer.Builder().nOut(4).rank(2).build())
                .layer(output().build()).build());

        assertThat(network.getParam("1_A").shape()).containsExactly(5, 2);
        assertThat(network.getParam("2_W").shape()).containsExactly(4, Networks.OUT);
    }

    // --- setting and copying ---

    @Test
    void setParamSetsAdaptersAndRefusesOthers() {
        MultiLayerNetwork network = network(lora().name("fc1").build());
        INDArray value = Networks.random(DataType.FLOAT, 2, 6, 2);

        network.setParam("0_A", value);

        assertThat(network.getParam("0_A")).isEqualTo(value);
        assertThat(network.params().reshape(network.numParams()).getDouble(35)).isEqualTo(value.getDouble(0));
        assertThatThrownBy(() -> network.setParam("0_W", Networks.random(DataType.FLOAT, 2, 6, 5)))
                .hasMessageContaining("\"fc1\"").hasMessageContaining("\"W\"").hasMessageContaining("A [6, 2]");
        assertThatThrownBy(() -> network.setParam("0_A", Networks.random(DataType.FLOAT, 2, 2, 6)))
                .hasMessageContaining("\"fc1\"").hasMessageContaining("[6, 2]").hasMessageContaining("[2, 6]");
    }

    @ParameterizedTest
    @EnumSource(FrozenStorage.class)
    void setParamsOfLayerAndNetworkCopyValues(FrozenStorage storage) {
        MultiLayerNetwork network = network(lora().storage(storage).build());
        INDArray whole = Networks.random(DataType.FLOAT, 2, 1, network.numParams());
        INDArray layer = Networks.random(DataType.FLOAT, 4, 1, network.getLayer(0).numParams());
        INDArray x = Networks.random(DataType.FLOAT, 1, 4, 6);
        INDArray before = network.output(x);

        network.setParams(whole);
        assertThat(Networks.difference(network.params(), whole)).isZero();
        network.getLayer(0).setParams(layer);
        assertThat(Networks.difference(network.getLayer(0).params().reshape(layer.shape()), layer)).isZero();
        assertThat(network.output(x)).isNotEqualTo(before);
    }

    @ParameterizedTest
    @EnumSource(FrozenStorage.class)
    void cloneOfALayerComputesTheSameOnParametersOfItsOwn(FrozenStorage storage) {
        MultiLayerNetwork network = network(lora().storage(storage).build());
        Networks.randomizeAdapters(network.paramTable(), 3);
        INDArray x = Networks.random(DataType.FLOAT, 1, 4, 6);
        INDArray expected = network.feedForward(x).get(1);

        DenseRuntime clone = (DenseRuntime) ((DenseRuntime) network.getLayer(0)).clone();
        network.getParam("0_B").assign(0);
        INDArray actual = clone.activate(x, false, LayerWorkspaceMgr.noWorkspaces());

        assertThat(Networks.difference(actual, expected)).isLessThan(1e-6);
    }

    @ParameterizedTest
    @EnumSource(FrozenStorage.class)
    void clonedNetworkComputesTheSameAndTrainsApart(FrozenStorage storage) {
        MultiLayerNetwork network = network(lora().storage(storage).build());
        Networks.randomizeAdapters(network.paramTable(), 3);
        DataSet data = Networks.data(DataType.FLOAT, 4, 1);
        INDArray expected = network.output(data.getFeatures());

        MultiLayerNetwork clone = network.clone();
        assertThat(clone.output(data.getFeatures())).isEqualTo(expected);
        clone.fit(data);

        assertThat(network.output(data.getFeatures())).isEqualTo(expected);
        assertThat(clone.output(data.getFeatures())).isNotEqualTo(expected);
    }

    @Test
    void configurationSurvivesJsonAndYaml() {
        MultiLayerConfiguration conf = new NeuralNetConfiguration.Builder().seed(1).list()
                .layer(lora().alpha(3).scaling(Scaling.ALPHA_OVER_SQRT_RANK).loraDropout(0.25).engine(Engine.SAMEDIFF)
                        .hasLayerNorm(true).hasBias(false).name("mine").build()).layer(output().build()).build();

        assertThat(MultiLayerConfiguration.fromJson(conf.toJson())).isEqualTo(conf);
        assertThat(MultiLayerConfiguration.fromYaml(conf.toYaml()).getConf(0).getLayer()).isEqualTo(conf.getConf(0).getLayer());
        assertThat(conf.clone()).isEqualTo(conf);
    }

    @Test
    void memoryReportCountsUpdaterStateOfAdaptersAlone() {
        LoRADenseLayer layer = lora().updater(new Adam(0.1)).build();

        LayerMemoryReport report = (LayerMemoryReport) layer.getMemoryReport(InputType.feedForward(6));

        assertThat(report.getMemoryBytes(MemoryType.PARAMETERS, 1,
                MemoryUseMode.TRAINING, CacheMode.NONE, DataType.FLOAT))
                .isEqualTo(4 * (35 + 22));
        assertThat(report.getMemoryBytes(MemoryType.UPDATER_STATE, 1,
                MemoryUseMode.TRAINING, CacheMode.NONE, DataType.FLOAT))
                .isEqualTo(4 * 2 * 22);
        assertThat(new NeuralNetConfiguration.Builder().seed(1).list().layer(layer).layer(output().build()).build()
                .getMemoryReport(InputType.feedForward(6))).isInstanceOf(MemoryReport.class);
    }

    private static void assertSameGradients(Twins twins, DataSet data) {
        assertSame(Twins.gradients(twins.lora(), data), twins.expectedGradients(data));
    }

    private static void assertSame(Map<String, INDArray> actual, Map<String, INDArray> expected) {
        assertThat(actual).containsOnlyKeys(expected.keySet());
        expected.forEach((key, gradient) ->
                assertThat(Networks.difference(actual.get(key), gradient)).as(key).isLessThan(TOLERANCE));
    }

    static LoRADenseLayer.Builder lora() {
        return new LoRADenseLayer.Builder().nIn(6).nOut(5).rank(2);
    }

    static OutputLayer.Builder output() {
        return new OutputLayer.Builder(LossFunction.MCXENT).nOut(Networks.OUT).activation(Activation.SOFTMAX);
    }

    static MultiLayerNetwork network(Layer layer) {
        return network(DataType.FLOAT, layer);
    }

    static MultiLayerNetwork network(DataType type, Layer layer) {
        return Networks.of(new NeuralNetConfiguration.Builder().seed(1).dataType(type)
                .updater(new Sgd(0.1)).list().layer(layer).layer(output().build()).build());
    }
}
