package io.github.dl4jlora.layer;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.Engine;
import io.github.dl4jlora.conf.FrozenStorage;
import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.LossLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.util.Map;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;

/** Every floating-point type trains and stays as close to DOUBLE as its digits allow. */
class DataTypesTest {

    private static final Map<DataType, Double> TOLERANCES = Map.of(DataType.DOUBLE, 1e-12, DataType.FLOAT, 1e-5,
            DataType.HALF, 2e-2, DataType.BFLOAT16, 1e-1);

    static Stream<Arguments> declared() {
        return TOLERANCES.keySet().stream().sorted().flatMap(type -> Stream.of(Engine.FUSED, Engine.SAMEDIFF).flatMap(engine ->
                Stream.of(FrozenStorage.values()).map(storage -> Arguments.of(type, engine, storage))));
    }

    @ParameterizedTest
    @MethodSource("declared")
    void trainsCloseToADoubleNetwork(DataType type, Engine engine, FrozenStorage storage) {
        MultiLayerNetwork exact = LoRA.apply(base(type), config(Engine.FUSED, storage));
        MultiLayerNetwork network = LoRA.apply(base(type).convertDataType(type), config(engine, storage));
        Networks.randomizeAdapters(exact.paramTable(), 3);
        Networks.randomizeAdapters(network.paramTable(), 3);
        INDArray start = network.params().dup();

        for (int step = 0; step < 5; step++) {
            exact.fit(Networks.data(DataType.DOUBLE, 8, step));
            network.fit(Networks.data(type, 8, step));
        }

        DataSet data = Networks.data(DataType.DOUBLE, 8, 9);
        INDArray output = network.output(data.getFeatures().castTo(type));
        assertThat(output.dataType()).isEqualTo(type);
        assertThat(Networks.difference(output, exact.output(data.getFeatures()))).isLessThan(TOLERANCES.get(type));
        assertThat(network.params()).isNotEqualTo(start);
        assertThat(network.getParam("0_A").dataType()).isEqualTo(type);
    }

    @ParameterizedTest
    @EnumSource(value = DataType.class, names = {"FLOAT", "DOUBLE", "HALF", "BFLOAT16"})
    void takesInputsOfAnotherType(DataType type) {
        MultiLayerNetwork network = LoRA.apply(Networks.trainedLayers(), config(Engine.FUSED, FrozenStorage.SHARED));
        Networks.randomizeAdapters(network.paramTable(), 3);
        DataSet data = Networks.data(DataType.FLOAT, 8, 1);
        INDArray expected = network.output(data.getFeatures());

        assertThat(Networks.difference(network.output(data.getFeatures().castTo(type)), expected)).isLessThan(5e-2);
        network.fit(new DataSet(data.getFeatures().castTo(type), data.getLabels().castTo(type)));
        assertThat(network.params().dataType()).isEqualTo(DataType.FLOAT);
    }

    static Stream<Arguments> conversions() {
        return declared().filter(arguments -> arguments.get()[0] != DataType.FLOAT);
    }

    @ParameterizedTest
    @MethodSource("conversions")
    void convertsToAnotherTypeAndBack(DataType type, Engine engine, FrozenStorage storage) {
        ComputationGraph graph = LoRA.apply(base(type).convertDataType(DataType.FLOAT)
                .toComputationGraph(), config(engine, storage));
        Networks.randomizeAdapters(graph.paramTable(), 3);
        DataSet data = Networks.data(DataType.FLOAT, 8, 1);
        INDArray expected = graph.outputSingle(data.getFeatures());

        ComputationGraph there = graph.convertDataType(type);
        INDArray output = there.outputSingle(data.getFeatures().castTo(type));
        there.fit(Networks.data(type, 8, 2));
        ComputationGraph back = graph.convertDataType(type).convertDataType(DataType.FLOAT);

        double tolerance = Math.max(1e-6, TOLERANCES.get(type));
        assertThat(output.dataType()).isEqualTo(type);
        assertThat(Networks.difference(output, expected)).isLessThan(tolerance);
        assertThat(there.params().dataType()).isEqualTo(type);
        assertThat(Networks.difference(back.outputSingle(data.getFeatures()), expected)).isLessThan(tolerance);
        assertThat(graph.outputSingle(data.getFeatures())).isEqualTo(expected);
        back.fit(data);
    }

    @ParameterizedTest
    @MethodSource("declared")
    void declaredLayersWithEverythingOnTrainInEveryType(DataType type, Engine engine, FrozenStorage storage) {
        MultiLayerNetwork network = Networks.of(conf(type).list()
                .layer(new LoRADenseLayer.Builder().nIn(Networks.IN).nOut(Networks.HIDDEN).rank(2).hasLayerNorm(true).dropOut(0.9)
                        .loraDropout(0.1).engine(engine).storage(storage).build())
                .layer(output()).build());
        network = network.convertDataType(type);
        INDArray start = network.params().dup();

        network.fit(Networks.data(type, 8, 1));

        assertThat(network.params()).isNotEqualTo(start);
        assertThat(Double.isFinite(network.score())).isTrue();
        assertThat(Double.isFinite(network.params().castTo(DataType.DOUBLE).sumNumber().doubleValue())).isTrue();
    }

    @ParameterizedTest
    @EnumSource(value = DataType.class, names = {"FLOAT", "DOUBLE", "HALF"})
    void aLowRankLayerTrainsInEveryTypeButBfloat16(DataType type) {
        MultiLayerNetwork network = Networks.of(conf(type).list()
                .layer(new LowRankLayer.Builder().nIn(Networks.IN).nOut(Networks.OUT).rank(2).alpha(0.75).build())
                .layer(new LossLayer.Builder(LossFunction.MSE).activation(Activation.IDENTITY).build()).build());
        network = network.convertDataType(type);
        Networks.randomizeAdapters(network.paramTable(), 3);
        INDArray x = Networks.random(type, 1, 4, Networks.IN);
        INDArray a = network.getParam("0_A").dup().castTo(DataType.DOUBLE);
        INDArray b = network.getParam("0_B").dup().castTo(DataType.DOUBLE);

        INDArray output = network.output(x);
        network.fit(x, Networks.random(type, 2, 4, Networks.OUT));

        assertThat(output.dataType()).isEqualTo(type);
        assertThat(Networks.difference(output, x.castTo(DataType.DOUBLE).mmul(a).mmul(b).mul(0.75)))
                .isLessThan(TOLERANCES.get(type));
        assertThat(Networks.difference(network.getParam("0_A"), a)).isPositive();
    }

    /** ND4J's CPU backend has no gradient of any nonlinear activation in BFLOAT16, for stock layers neither. */
    private static NeuralNetConfiguration.Builder conf(DataType type) {
        return new NeuralNetConfiguration.Builder().seed(1).updater(new Sgd(0.1))
                .activation(type == DataType.BFLOAT16 ? Activation.IDENTITY : Activation.TANH);
    }

    private static OutputLayer output() {
        return new OutputLayer.Builder(LossFunction.MCXENT).nOut(Networks.OUT).activation(Activation.SOFTMAX).build();
    }

    /** In DOUBLE; DL4J's builder knows no BFLOAT16, but networks convert to it. */
    private static MultiLayerNetwork base(DataType type) {
        return Networks.of(conf(type).dataType(DataType.DOUBLE).list()
                .layer(new DenseLayer.Builder().nIn(Networks.IN).nOut(Networks.HIDDEN).build())
                .layer(new DenseLayer.Builder().nOut(Networks.HIDDEN).build())
                .layer(output()).build());
    }

    private static LoRAConfig config(Engine engine, FrozenStorage storage) {
        return LoRAConfig.builder().rank(2).alpha(0.7).engine(engine).storage(storage).updater(new Sgd(0.1)).build();
    }
}
