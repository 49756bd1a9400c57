package io.github.dl4jlora.layer;

import io.github.dl4jlora.DoublePrecision;
import io.github.dl4jlora.Gradients;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.Engine;
import io.github.dl4jlora.conf.FrozenStorage;
import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.gradientcheck.GradientCheckUtil;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.graph.ElementWiseVertex;
import org.deeplearning4j.nn.conf.graph.MergeVertex;
import org.deeplearning4j.nn.conf.graph.SubsetVertex;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.ActivationLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.NoOp;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.BiFunction;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

/** DL4J's own finite differences agree with every gradient, whatever the activation, storage, engine and network type. */
@ExtendWith(DoublePrecision.class)
class GradientCheckTest {

    private static final int ROWS = 4;
    private static final int STEPS = 3;

    /** RRELU draws its slopes at random, so that finite differences say nothing. */
    static Stream<Activation> activations() {
        return Arrays.stream(Activation.values()).filter(activation -> activation != Activation.RRELU);
    }

    static Stream<Arguments> enginesAndStorages() {
        return Stream.of(Engine.FUSED, Engine.SAMEDIFF)
                .flatMap(engine -> Arrays.stream(FrozenStorage.values()).map(storage -> Arguments.of(engine, storage)));
    }

    @ParameterizedTest
    @MethodSource("activations")
    void declaredLayersHaveTheGradientsOfFiniteDifferences(Activation activation) {
        MultiLayerNetwork network = declared(activation, Engine.FUSED, true, false);

        assertGradientsRight(network);
        assertSame(declared(activation, Engine.SAMEDIFF, true, false), network, data());
    }

    @ParameterizedTest
    @MethodSource("activations")
    void convertedGraphsHaveTheGradientsOfFiniteDifferences(Activation activation) {
        assertEachRight((engine, storage) -> LoRA.apply(stockGraph(activation), config(engine, storage).build()), data());
    }

    /** Finite differences agree with one engine and storage, and the others with that one. */
    private static void assertEachRight(BiFunction<Engine, FrozenStorage, Model> networks, DataSet data) {
        Model right = networks.apply(Engine.FUSED, FrozenStorage.SHARED);
        if (right instanceof ComputationGraph graph) {
            assertGradientsRight(graph, data);
        } else {
            assertGradientsRight((MultiLayerNetwork) right, data);
        }
        enginesAndStorages().map(Arguments::get).forEach(both ->
                assertSame(networks.apply((Engine) both[0], (FrozenStorage) both[1]), right, data));
    }

    /** Both have the same loss and gradients: what finite differences say of one holds for the other. */
    private static void assertSame(Model network, Model right, DataSet data) {
        Networks.randomizeAdapters(network.paramTable(), 7);

        Gradients.assertSame(network, right, (MultiDataSet) data.toMultiDataSet(), 1e-10);
        assertThat(network.score()).isCloseTo(right.score(), within(1e-12));
    }

    @ParameterizedTest
    @MethodSource("enginesAndStorages")
    void convertedMultiLayerNetworksHaveTheGradientsOfFiniteDifferences(Engine engine, FrozenStorage storage) {
        MultiLayerNetwork base = Networks.of(new NeuralNetConfiguration.Builder().seed(3).dataType(DataType.DOUBLE)
                .updater(new NoOp()).activation(Activation.TANH).list()
                .layer(new DenseLayer.Builder().nIn(Networks.IN).nOut(4).build())
                .layer(new DenseLayer.Builder().nOut(4).hasLayerNorm(true).build())
                .layer(new DenseLayer.Builder().nOut(4).hasBias(false).activation(Activation.ELU).build())
                .layer(output(Networks.OUT).build()).build());

        assertGradientsRight(LoRA.apply(base, config(engine, storage).build()));
    }

    @ParameterizedTest
    @EnumSource(value = Engine.class, names = {"FUSED", "SAMEDIFF"})
    void declaredLayersWithoutBiasHaveTheGradientsOfFiniteDifferences(Engine engine) {
        assertGradientsRight(declared(Activation.TANH, engine, false, false));
    }

    @ParameterizedTest
    @EnumSource(mode = EnumSource.Mode.EXCLUDE, names = "RRELU")
    void declaredLayersWithLayerNormalisationHaveTheGradientsOfFiniteDifferences(Activation activation) {
        assertGradientsRight(declared(activation, Engine.FUSED, true, true));
    }

    @ParameterizedTest
    @EnumSource(value = Engine.class, names = {"FUSED", "SAMEDIFF"})
    void layerNormalisationWithoutBiasHasTheGradientsOfFiniteDifferences(Engine engine) {
        assertGradientsRight(declared(Activation.SIGMOID, engine, false, true));
    }

    @ParameterizedTest
    @MethodSource("enginesAndStorages")
    void adaptedOutputLayersHaveTheGradientsOfFiniteDifferences(Engine engine, FrozenStorage storage) {
        for (boolean masked : new boolean[]{false, true}) {
            ComputationGraph graph = LoRA.apply(stockGraph(Activation.TANH), config(engine, storage).targets(".*").build());
            DataSet data = data();
            data.setLabelsMaskArray(masked ? Nd4j.create(new double[]{1, 0, 1, 1}).reshape(ROWS, 1) : null);

            assertThat(graph.paramTable()).containsKeys("out_A", "out_B");
            assertGradientsRight(graph, data);
        }
    }

    @ParameterizedTest
    @EnumSource
    void adaptedRnnOutputLayersHaveTheGradientsOfFiniteDifferences(RNNFormat format) {
        for (boolean masked : new boolean[]{false, true}) {
            ComputationGraph base = Networks.of(new NeuralNetConfiguration.Builder().seed(3).dataType(DataType.DOUBLE)
                    .updater(new NoOp()).activation(Activation.TANH).graphBuilder().addInputs("in")
                    .addLayer("lstm", new LSTM.Builder().nIn(Networks.IN).nOut(2).dataFormat(format).build(), "in")
                    .addLayer("out", new RnnOutputLayer.Builder(LossFunction.MCXENT).nIn(2).nOut(Networks.OUT).dataFormat(format)
                            .activation(Activation.SOFTMAX).build(), "lstm")
                    .setOutputs("out").build());

            assertEachRight((engine, storage) ->
                    LoRA.apply(base, config(engine, storage).targets("out").trainable("lstm").build()),
                    new DataSet(sequence(format), sequenceLabels(format), null, masked ? stepMask() : null));
        }
    }

    @Test
    void layersBetweenRecurrentOnesHaveTheGradientsOfFiniteDifferencesUnderMasks() {
        MultiLayerNetwork base = Networks.of(new NeuralNetConfiguration.Builder().seed(3).dataType(DataType.DOUBLE)
                .updater(new NoOp()).activation(Activation.TANH).list()
                .layer(new LSTM.Builder().nOut(2).build())
                .layer(new DenseLayer.Builder().nOut(3).build())
                .layer(new RnnOutputLayer.Builder(LossFunction.MCXENT).nOut(Networks.OUT).activation(Activation.SOFTMAX).build())
                .setInputType(InputType.recurrent(Networks.IN)).build());

        assertEachRight((engine, storage) -> LoRA.apply(base, config(engine, storage).trainable("layer0").build()),
                new DataSet(sequence(RNNFormat.NCW), sequenceLabels(RNNFormat.NCW), stepMask(), stepMask()));
    }

    /** Embedded weights cannot be left out here: GradientCheckUtil finds names by the wrong offsets when vertices branch. */
    @ParameterizedTest
    @EnumSource(value = Engine.class, names = {"FUSED", "SAMEDIFF"})
    void layersBesideMergesSubsetsAndResidualsHaveTheGradientsOfFiniteDifferences(Engine engine) {
        ComputationGraph base = Networks.of(new NeuralNetConfiguration.Builder().seed(3).dataType(DataType.DOUBLE)
                .updater(new NoOp()).activation(Activation.IDENTITY).graphBuilder().addInputs("in")
                .addVertex("some", new SubsetVertex(1, 4), "in")
                .addLayer("a", new DenseLayer.Builder().nIn(4).nOut(4).build(), "some")
                .addLayer("b", new DenseLayer.Builder().nIn(Networks.IN).nOut(4).build(), "in")
                .addVertex("residual", new ElementWiseVertex(ElementWiseVertex.Op.Add), "a", "some")
                .addVertex("merge", new MergeVertex(), "residual", "b")
                .addVertex("half", new SubsetVertex(2, 6), "merge")
                .addLayer("c", new DenseLayer.Builder().nIn(5).nOut(4).hasLayerNorm(true).build(), "half")
                .addLayer("d", new DenseLayer.Builder().nIn(5).nOut(4).build(), "half")
                .addVertex("sum", new ElementWiseVertex(ElementWiseVertex.Op.Product), "c", "d", "b")
                .addLayer("out", output(Networks.OUT).nIn(4).build(), "sum")
                .setOutputs("out").build());

        ComputationGraph shared = LoRA.apply(base, config(engine, FrozenStorage.SHARED).build());
        ComputationGraph embedded = LoRA.apply(base, config(engine, FrozenStorage.EMBEDDED).build());
        Networks.randomizeAdapters(embedded.paramTable(), 7);

        assertGradientsRight(shared, data());
        Map<String, INDArray> same = Twins.gradients(embedded, data());
        Twins.gradients(shared, data()).forEach((key, gradient) -> assertThat(same.get(key)).as(key).isEqualTo(gradient));
    }

    private static LoRAConfig.Builder config(Engine engine, FrozenStorage storage) {
        return LoRAConfig.builder().rank(2).alpha(0.8).engine(engine).storage(storage);
    }

    private static OutputLayer.Builder output(int classes) {
        return new OutputLayer.Builder(LossFunction.MCXENT).nOut(classes).activation(Activation.SOFTMAX);
    }

    private static MultiLayerNetwork declared(Activation activation, Engine engine, boolean bias, boolean norm) {
        return Networks.of(new NeuralNetConfiguration.Builder().seed(3).dataType(DataType.DOUBLE)
                .updater(new NoOp()).activation(activation).list()
                .layer(new LoRADenseLayer.Builder().nIn(Networks.IN).nOut(4).rank(2).alpha(0.8).engine(engine)
                        .hasBias(bias).hasLayerNorm(norm).biasInit(0.3).gainInit(2).build())
                .layer(new LoRADenseLayer.Builder().nOut(3).rank(2).alpha(0.8).engine(engine)
                        .hasBias(bias).hasLayerNorm(norm).biasInit(0.3).gainInit(2).build())
                .layer(new ActivationLayer(Activation.TANH))
                .layer(output(Networks.OUT).build()).build());
    }

    private static ComputationGraph stockGraph(Activation activation) {
        return Networks.of(new NeuralNetConfiguration.Builder().seed(3).dataType(DataType.DOUBLE)
                .updater(new NoOp()).activation(activation).graphBuilder().addInputs("in")
                .addLayer("fc1", new DenseLayer.Builder().nIn(Networks.IN).nOut(4).biasInit(0.3).build(), "in")
                .addLayer("fc2", new DenseLayer.Builder().nIn(4).nOut(4).biasInit(0.3).build(), "fc1")
                .addLayer("tanh", new ActivationLayer(Activation.TANH), "fc2")
                .addLayer("out", output(Networks.OUT).nIn(4).build(), "tanh")
                .setOutputs("out").build());
    }

    private static void assertGradientsRight(MultiLayerNetwork network) {
        assertGradientsRight(network, Networks.data(DataType.DOUBLE, ROWS, 5));
    }

    private static void assertGradientsRight(MultiLayerNetwork network, DataSet data) {
        Networks.randomizeAdapters(network.paramTable(), 7);
        Map<String, INDArray> gradients = Twins.gradients(network, data);

        assertAdaptersLearn(network.paramTable(), gradients);
        assertThat(GradientCheckUtil.checkGradients(new GradientCheckUtil.MLNConfig().net(network)
                .input(data.getFeatures()).labels(data.getLabels())
                .inputMask(data.getFeaturesMaskArray()).labelMask(data.getLabelsMaskArray())
                .excludeParams(without(network.paramTable(), gradients)))).isTrue();
    }

    private static void assertGradientsRight(ComputationGraph graph, DataSet data) {
        Networks.randomizeAdapters(graph.paramTable(), 7);
        Map<String, INDArray> gradients = Twins.gradients(graph, data);

        assertAdaptersLearn(graph.paramTable(), gradients);
        assertThat(GradientCheckUtil.checkGradients(new GradientCheckUtil.GraphConfig().net(graph)
                .inputs(new INDArray[]{data.getFeatures()}).labels(new INDArray[]{data.getLabels()})
                .inputMask(one(data.getFeaturesMaskArray())).labelMask(one(data.getLabelsMaskArray()))
                .excludeParams(without(graph.paramTable(), gradients)))).isTrue();
    }

    private static INDArray[] one(INDArray mask) {
        return mask == null ? null : new INDArray[]{mask};
    }

    /** A check of zeros against zeros would say nothing. */
    private static void assertAdaptersLearn(Map<String, INDArray> parameters, Map<String, INDArray> gradients) {
        List<String> adapters = parameters.keySet().stream().filter(key -> key.endsWith("_A") || key.endsWith("_B")).toList();
        assertThat(adapters).isNotEmpty();
        for (String key : adapters) {
            assertThat(Twins.largest(gradients.get(key))).as(key).isGreaterThan(1e-5);
        }
    }

    /** The frozen parameters in the vector: they have no gradient, though finite differences would find one. */
    private static Set<String> without(Map<String, INDArray> parameters, Map<String, INDArray> gradients) {
        Set<String> frozen = new HashSet<>(parameters.keySet());
        frozen.removeAll(gradients.keySet());
        return frozen;
    }

    private static DataSet data() {
        return Networks.data(DataType.DOUBLE, ROWS, 5);
    }

    private static INDArray sequence(RNNFormat format) {
        INDArray ncw = Networks.random(DataType.DOUBLE, 11, ROWS, Networks.IN, STEPS);
        return format == RNNFormat.NCW ? ncw : ncw.permute(0, 2, 1).dup('c');
    }

    private static INDArray sequenceLabels(RNNFormat format) {
        INDArray ncw = Nd4j.zeros(DataType.DOUBLE, ROWS, Networks.OUT, STEPS);
        for (int i = 0; i < ROWS; i++) {
            for (int t = 0; t < STEPS; t++) {
                ncw.putScalar(new int[]{i, (i + 2 * t) % Networks.OUT, t}, 1);
            }
        }
        return format == RNNFormat.NCW ? ncw : ncw.permute(0, 2, 1).dup('c');
    }

    /** One sequence in full, the others shorter. */
    private static INDArray stepMask() {
        return Nd4j.create(new double[][]{{1, 1, 1}, {1, 1, 0}, {1, 0, 0}, {1, 1, 0}});
    }
}
