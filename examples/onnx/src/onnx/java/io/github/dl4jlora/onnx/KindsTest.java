package io.github.dl4jlora.onnx;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.conf.BiasTraining;
import io.github.dl4jlora.conf.Engine;
import io.github.dl4jlora.conf.FrozenStorage;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.layer.LoRADenseLayer;
import io.github.dl4jlora.layer.LowRankLayer;
import io.github.dl4jlora.variant.DoRA;
import io.github.dl4jlora.variant.FrozenALoRA;
import io.github.dl4jlora.variant.PlainLoRA;
import io.github.dl4jlora.variant.Variant;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayerWithBackprop;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.transferlearning.TransferLearning;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.learning.config.Sgd;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;

/** Networks of every kind that this library makes, and of all types: what is written computes what the network computes. */
class KindsTest {

    private static final INDArray INPUT = Samples.normal(5, 6);

    private static MultiLayerNetwork chain() {
        return Samples.network(1, InputType.feedForward(6), dense("first", 9), dense("second", 7),
                new OutputLayer.Builder().name("out").nOut(4).activation(Activation.SOFTMAX).build());
    }

    private static DenseLayer dense(String name, int nOut) {
        return new DenseLayer.Builder().name(name).nOut(nOut).activation(Activation.TANH).build();
    }

    private static ComputationGraph graph() {
        return Samples.shaken(Initialised.of(new NeuralNetConfiguration.Builder().seed(2).updater(new Sgd(0.1))
                .graphBuilder().addInputs("in").addLayer("first", dense("first", 9), "in").addLayer("second", dense("second", 7),
                        "first").addLayer("left", output(3), "second").addLayer("right", output(2), "first")
                .setOutputs("left", "right").setInputTypes(InputType.feedForward(6)).build()), 2);
    }

    private static OutputLayer output(int nOut) {
        return new OutputLayer.Builder().nOut(nOut).activation(Activation.SOFTMAX).build();
    }

    private static LoRAConfig.Builder config() {
        return LoRAConfig.builder().rank(2).alpha(3).allTargets().updater(new Sgd(0.1)).seed(3);
    }

    static Stream<LoRAConfig> configurations() {
        return Stream.of(config(), config().storage(FrozenStorage.EMBEDDED), config().copyBase(true),
                config().bias(BiasTraining.ALL),
                config().targets("first").trainable("second"), config().bias(BiasTraining.LORA_ONLY).targets("first"),
                config().engine(Engine.SAMEDIFF), config().quantize(Quantization.INT8), config().quantize(Quantization.NF4),
                config().quantize(Quantization.BF16).variant(new DoRA()), config().override("first", layer -> layer.rank(1)),
                config().storage(FrozenStorage.EMBEDDED).variant(new DoRA()).bias(BiasTraining.ALL))
                .map(LoRAConfig.Builder::build);
    }

    @ParameterizedTest
    @MethodSource("configurations")
    void anAdaptedNetworkIsMergedOnTheWay(LoRAConfig config) throws IOException {
        MultiLayerNetwork chain = Samples.shaken(LoRA.apply(chain(), config), 4);
        ComputationGraph graph = Samples.shaken(LoRA.apply(graph(), config), 5);

        agreesUntouched(chain);
        agreesUntouched(graph);
    }

    static Stream<Variant> variants() {
        return Stream.of(new PlainLoRA(), new DoRA(), new FrozenALoRA());
    }

    @ParameterizedTest
    @MethodSource("variants")
    void everyVariantIsMergedOnTheWay(Variant variant) throws IOException {
        agreesUntouched(Samples.shaken(LoRA.apply(graph(), config().variant(variant).build()), 6));
    }

    @Test
    void theFactorOfAnAdapterCounts() throws IOException {
        MultiLayerNetwork tuned = Samples.shaken(LoRA.apply(chain(), config().build()), 4);
        LoRA.setScale(tuned, "first", 0.3);

        agreesUntouched(tuned);
    }

    @Test
    void aFrozenNetworkIsWritten() throws IOException {
        agreesUntouched(LoRA.freeze(chain()));
        agreesUntouched(LoRA.freeze(graph()));
    }

    @ParameterizedTest
    @EnumSource
    void aQuantisedNetworkIsWritten(Quantization scheme) throws IOException {
        agreesUntouched(LoRA.freeze(chain(), scheme));
        agreesUntouched(LoRA.freeze(graph(), scheme));
    }

    @ParameterizedTest
    @EnumSource
    void aMappedNetworkIsWrittenAdaptedOrNot(Quantization scheme, @TempDir Path folder) throws IOException {
        LoRA.writeBase(graph(), folder.resolve("base"), scheme);
        ComputationGraph mapped = LoRA.openComputationGraphBase(folder.resolve("base"));

        agreesUntouched(mapped);
        agreesUntouched(Samples.shaken(LoRA.apply(mapped, config().targets("second").build()), 7));
    }

    @Test
    void whatDl4jFrozeIsWritten() throws IOException {
        agreesUntouched(new TransferLearning.Builder(chain()).setFeatureExtractor(1).build());
        agreesUntouched(new TransferLearning.Builder(LoRA.apply(chain(), config().build())).setFeatureExtractor(0).build());
        agreesUntouched(Samples.network(1, InputType.feedForward(6), new FrozenLayerWithBackprop(dense("first", 9)), output(3)));
    }

    @Test
    void aDeclaredNetworkIsWritten() throws IOException {
        agreesUntouched(Samples.network(3, InputType.feedForward(6),
                new LoRADenseLayer.Builder().nOut(9).rank(2).alpha(4).activation(Activation.TANH).build(),
                new LowRankLayer.Builder().nIn(9).nOut(8).rank(3).alpha(2).build(), output(3)));
    }

    static List<DataType> types() {
        return List.of(DataType.DOUBLE, DataType.HALF, DataType.BFLOAT16);
    }

    @ParameterizedTest
    @MethodSource("types")
    void aNetworkOfAnotherTypeIsWrittenInFloat(DataType type) throws IOException {
        MultiLayerNetwork network = chain().convertDataType(type);
        MultiLayerNetwork same = network.convertDataType(DataType.FLOAT);
        ComputationGraph tuned = Samples.shaken(LoRA.apply(graph().convertDataType(type), config().build()), 8);

        InRuntime.agrees(same, OnnxExport.of(network), INPUT);
        InRuntime.agrees(LoRA.merge(tuned).convertDataType(DataType.FLOAT), OnnxExport.of(tuned), INPUT);
    }

    private static void agreesUntouched(Model network) throws IOException {
        INDArray before = network.params().dup();
        InRuntime.agrees(network, OnnxExport.of(network), INPUT);
        assertThat(network.params()).isEqualTo(before);
    }
}
