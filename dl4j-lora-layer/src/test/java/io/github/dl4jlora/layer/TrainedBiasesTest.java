package io.github.dl4jlora.layer;

import io.github.dl4jlora.DoublePrecision;
import io.github.dl4jlora.Gradients;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.adapter.Combination;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.bank.AdapterBank;
import io.github.dl4jlora.conf.FrozenStorage;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.internal.adapted.AdaptedConfiguration;
import io.github.dl4jlora.internal.adapted.TrainedBias;
import io.github.dl4jlora.internal.engine.KernelRuntime;
import io.github.dl4jlora.internal.stock.SameDiffGradients;
import io.github.dl4jlora.internal.stock.StockLayers;
import org.deeplearning4j.gradientcheck.GradientCheckUtil;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.AttentionVertex;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.BatchNormalization;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.conf.layers.recurrent.Bidirectional;
import org.deeplearning4j.nn.conf.layers.recurrent.SimpleRnn;
import org.deeplearning4j.nn.conf.layers.samediff.SameDiffLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** Biases of every kind of layer train beside its frozen weights, with a low-rank change or alone. */
@ExtendWith(DoublePrecision.class)
@Tag("heavy")
class TrainedBiasesTest {

    @TempDir
    private Path folder;

    static Stream<Arguments> layers() {
        return DeltaLayersTest.layers();
    }

    private static LoRAConfig.Builder adaptingAll() {
        return LoRAConfig.builder().rank(2).alpha(1.5).updater(new Sgd(1)).targets("fc1|lora.*").bias("lora_only");
    }

    /** All but fc1, or the layer itself where there is none, are frozen but for their biases. */
    private static LoRAConfig.Builder alone(MultiLayerConfiguration conf) {
        boolean hasDense = conf.getConfs().stream().anyMatch(layer -> "fc1".equals(layer.getLayer().getLayerName()));
        return LoRAConfig.builder().rank(2).alpha(1.5).updater(new Sgd(1)).targets(hasDense ? "fc1" : "lora.*").bias("all");
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("layers")
    void besideALowRankChangeHaveTheirGradients(String name, INDArray features, INDArray labels, MultiLayerConfiguration conf) {
        assertGradients(name, LoRA.apply(Networks.trained(conf, features, labels), adaptingAll().build()), features, labels);
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("layers")
    void aloneHaveTheirGradients(String name, INDArray features, INDArray labels, MultiLayerConfiguration conf) {
        assertGradients(name, LoRA.apply(Networks.trained(conf, features, labels), alone(conf).build()), features, labels);
    }

    private static void assertGradients(String name, MultiLayerNetwork adapted, INDArray features, INDArray labels) {
        // Every trained value away from its start.
        adapted.params().addi(Networks.random(DataType.DOUBLE, 7, adapted.params().shape()).muli(0.3));
        MultiDataSet data = new MultiDataSet(features, labels);
        Map<String, INDArray> gradients = Gradients.of(adapted, data);
        assertThat(gradients).hasSize(adapted.paramTable().size());
        if (!name.equals("separable convolution")) {
            // DL4J's own backward pass for it disagrees with finite differences; ours is its own.
            Gradients.assertEqualFiniteDifferences(adapted, data);
        }
        if (!name.equals("capsules")) {
            assertSameBiasGradients(adapted, gradients, Gradients.of(LoRA.merge(adapted), data));
        } else {
            // SameDiff layers above one another: the stock network's gradients are doubled more than once.
            assertThat(GradientCheckUtil.checkGradients(new GradientCheckUtil.MLNConfig().net(adapted).input(features)
                    .labels(labels)
                    .subset(true).maxPerParam(2).epsilon(1e-6).maxRelError(1e-5).minAbsoluteError(1e-8)
                    .print(GradientCheckUtil.PrintMode.FAILURES_ONLY))).isTrue();
        }
    }

    private static void assertSameBiasGradients(MultiLayerNetwork adapted, Map<String, INDArray> gradients,
            Map<String, INDArray> stock) {
        for (Layer layer : adapted.getLayers()) {
            if (layer.conf().getLayer() instanceof LoRAWrapperLayer wrapper) {
                double correction = StockLayers.innermost(wrapper.stockLayer()) instanceof SameDiffLayer
                        ? SameDiffGradients.correction() : 1;
                for (TrainedBias bias : wrapper.biases()) {
                    String key = layer.getIndex() + "_" + bias.key();
                    INDArray expected = stock.get(key).mul(correction).reshape('c', 1, bias.length());
                    assertThat(Networks.difference(gradients.get(key), expected)).as(key).isLessThan(1e-10);
                }
            }
        }
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("layers")
    void keepEveryPromise(String name, INDArray features, INDArray labels, MultiLayerConfiguration conf) throws IOException {
        assertPromises(Networks.trained(conf, features, labels), adaptingAll(), features, labels, folder);
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("layers")
    void keepEveryPromiseAlone(String name, INDArray features, INDArray labels, MultiLayerConfiguration conf) throws IOException {
        assertPromises(Networks.trained(conf, features, labels), alone(conf), features, labels, folder);
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("layers")
    void keepEveryPromiseInsideTheVector(String name, INDArray features, INDArray labels, MultiLayerConfiguration conf)
            throws IOException {
        assertPromises(Networks.trained(conf, features, labels), adaptingAll().bias("all")
                .storage(FrozenStorage.EMBEDDED), features, labels, folder);
        assertPromises(Networks.trained(conf, features, labels), alone(conf).storage(FrozenStorage.EMBEDDED), features, labels,
                folder);
    }

    private static void assertPromises(MultiLayerNetwork base, LoRAConfig.Builder config, INDArray features, INDArray labels,
            Path folder)
            throws IOException {
        double[] frozen = base.params().toDoubleVector();
        INDArray before = base.output(features).dup();
        MultiLayerNetwork adapted = LoRA.apply(base, config.updater(new Adam(0.02)).build());
        assertThat(Networks.difference(adapted.output(features), before)).as("a fresh rewrite").isLessThan(1e-14);
        assertThat(Models.topology(LoRA.unload(adapted))).isEqualTo(Models.topology(base));
        INDArray start = adapted.params().dup();

        for (int i = 0; i < 3; i++) {
            adapted.fit(features, labels);
        }

        assertThat(base.params().toDoubleVector()).as("base after training").containsExactly(frozen);
        INDArray output = adapted.output(features).dup();
        MultiLayerNetwork merged = LoRA.merge(adapted);
        assertThat(Networks.difference(merged.output(features), output)).as("merged").isLessThan(1e-10);
        assertBiasesMoved(adapted, merged, base, start);
        assertThat(LoRA.unload(adapted).params().toDoubleVector()).as("unloaded").containsExactly(frozen);
        try (LoRA.Scope off = LoRA.disabled(adapted)) {
            Networks.assertSame("disabled", adapted.output(features), before);
        }
        Networks.assertSame("enabled again", adapted.output(features), output);
        Networks.assertSame("clone", adapted.clone().output(features), output);
        MultiLayerConfiguration read = MultiLayerConfiguration.fromJson(adapted.getLayerWiseConfigurations().toJson());
        assertThat(read).isEqualTo(adapted.getLayerWiseConfigurations());
        MultiLayerNetwork again = new MultiLayerNetwork(read);
        again.init(adapted.params().dup(), false);
        Networks.assertSame("from JSON", again.output(features), output);
        assertThat(LoRA.summary(adapted).totalParams()).isEqualTo(base.numParams() + LoRA.summary(adapted).trainableParams());

        File file = folder.resolve("network.zip").toFile();
        ModelSerializer.writeModel(adapted, file, true);
        MultiLayerNetwork restored = ModelSerializer.restoreMultiLayerNetwork(file, true);
        if (((AdaptedConfiguration) adaptedLayer(adapted)).getStorage() == FrozenStorage.SHARED) {
            assertThat(adapted.numParams()).isEqualTo(LoRA.summary(adapted).trainableParams());
            LoRA.attach(restored, base);
        }
        Networks.assertSame("restored", restored.output(features), output);
        LoRA.save(adapted, folder.resolve("whole.zip"), true);
        Networks.assertSame("whole", LoRA.loadMultiLayerNetwork(folder.resolve("whole.zip")).output(features), output);
        LoRAAdapter.of(adapted).save(folder.resolve("adapter"));
        LoRAAdapter loaded = LoRAAdapter.load(folder.resolve("adapter"));
        assertThat(Networks.difference(LoRA.apply(base, loaded).output(features), output)).as("from the adapter's files")
                .isLessThan(1e-14);
        MultiLayerNetwork swapped = LoRA.apply(base, config.build());
        loaded.applyTo(swapped);
        Networks.assertSame("swapped in", swapped.output(features), output);
    }

    private static Object adaptedLayer(MultiLayerNetwork network) {
        return network.getLayerWiseConfigurations().getConfs().stream().map(NeuralNetConfiguration::getLayer)
                .filter(AdaptedConfiguration.class::isInstance).findFirst().orElseThrow();
    }

    /** Each trained bias is the merged network's, and no longer the base's. */
    private static void assertBiasesMoved(MultiLayerNetwork adapted, MultiLayerNetwork merged, MultiLayerNetwork base,
            INDArray start) {
        assertThat(Networks.difference(adapted.params(), start)).isPositive();
        for (Layer layer : adapted.getLayers()) {
            if (layer.conf().getLayer() instanceof LoRAWrapperLayer wrapper) {
                for (TrainedBias bias : wrapper.biases()) {
                    String key = layer.getIndex() + "_" + bias.key();
                    Networks.assertSame(key, merged.getParam(key), adapted.getParam(key));
                    assertThat(Networks.difference(merged.getParam(key), base.getParam(key))).as(key).isPositive();
                }
            }
        }
    }

    private static MultiLayerNetwork withNorm() {
        return Networks.of(new NeuralNetConfiguration.Builder().seed(3).updater(new Sgd(0.1))
                .biasUpdater(new Adam(0.7)).activation(Activation.TANH).list()
                .layer(new ConvolutionLayer.Builder(2, 2).name("conv").nOut(2).build())
                .layer(new BatchNormalization.Builder().name("norm").build())
                .layer(new DenseLayer.Builder().name("fc").nOut(3).build())
                .layer(new OutputLayer.Builder(LossFunction.MCXENT).name("out").nOut(2).activation(Activation.SOFTMAX).build())
                .setInputType(InputType.convolutional(4, 4, 1)).build());
    }

    @Test
    void batchNormalisationCannotTrainItsBetaWhileItIsFrozen() {
        MultiLayerNetwork base = withNorm();
        assertThatThrownBy(() -> LoRA.apply(base, LoRAConfig.builder().rank(2).bias("all").build()))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContainingAll("\"norm\" (BatchNormalization)", "bias(ALL)", "statistics", "trainable(\"norm\")",
                        "LORA_ONLY");

        MultiLayerNetwork adapted = LoRA.apply(base, LoRAConfig.builder().rank(2).bias("all").trainable("norm").build());
        assertThat(adapted.paramTable().keySet()).containsExactlyInAnyOrder("0_b", "1_gamma", "1_beta", "1_mean", "1_log10stdev",
                "2_A", "2_B", "2_b", "3_b");
        assertThat(LoRA.summary(adapted).toString()).contains("frozen, biases trained");
    }

    @Test
    void biasesOfWrappedLayersHaveTheBiasUpdaterAndTheirNamesInFiles() throws IOException {
        MultiLayerNetwork base = withNorm();
        LoRAConfig.Builder config = LoRAConfig.builder().rank(2).targets("conv").trainable("norm").bias("all");
        MultiLayerNetwork adapted = LoRA.apply(base, config.build());
        var conv = adapted.getLayer(0).conf().getLayer();
        assertThat(conv.getUpdaterByParam("b")).isEqualTo(new Adam(0.7));
        assertThat(conv.getUpdaterByParam("W.A")).isEqualTo(new Sgd(0.1));
        assertThat(LoRA.apply(base, config.updater(new Sgd(0.2)).build()).getLayer(3).conf().getLayer().getUpdaterByParam("b"))
                .isEqualTo(new Sgd(0.2));
        assertThat(adapted.getLayer(0)).isInstanceOf(KernelRuntime.class);
        assertThatThrownBy(() -> adapted.getLayer(0).setParam("W", adapted.getParam("0_b")))
                .hasMessageContainingAll("\"conv\"", "W.A [", "W.B [", "b [");
        adapted.getLayer(0).setParam("b", Nd4j.ones(1, 2));
        assertThat(adapted.getParam("0_b").sumNumber().doubleValue()).isEqualTo(2);

        LoRAAdapter.of(adapted).save(folder);
        String header = new String(Files.readAllBytes(folder.resolve("adapter_model.safetensors")),
                StandardCharsets.ISO_8859_1);
        assertThat(header).contains("base_model.model.conv.base_layer.bias", "base_model.model.fc.bias",
                "base_model.model.out.bias", "base_model.model.norm.bias").doesNotContain("fc.base_layer");
        assertThat(Files.readString(folder.resolve("adapter_config.json"))).contains("\"bias\" : \"all\"");
        assertThat(LoRAAdapter.load(folder).trainedLayers()).containsExactly("norm");

        MultiLayerNetwork fewer = LoRA.apply(base, config.bias("lora_only").build());
        assertThatThrownBy(() -> LoRAAdapter.of(adapted).applyTo(fewer))
                .hasMessageContainingAll("biases", "surplus", "fc", "out");
        LoRAAdapter other = LoRAAdapter.of(LoRA.apply(base, config.bias("all").build()));
        assertThatThrownBy(() -> LoRAAdapter.combine(Combination.Method.CAT).add(LoRAAdapter.of(adapted), 1)
                .add(other, 1).build()).hasMessageContaining("bias");
        try (AdapterBank bank = new AdapterBank(base, 1)) {
            bank.add("all", LoRAAdapter.of(adapted));
            bank.add("other", other);
            INDArray images = Networks.random(base.params().dataType(), 5, 2, 1, 4, 4);
            assertThat(bank.output("all", images).equalsWithEps(adapted.output(images), 1e-5)).isTrue();
            assertThat(bank.output("other", images)).isNotEqualTo(adapted.output(images));
        }
    }

    @Test
    void graphsTrainTheBiasesOfRecurrentLayersBelowAnAdaptedVertex() throws IOException {
        ComputationGraph base = Networks.of(new NeuralNetConfiguration.Builder().seed(5).dataType(DataType.DOUBLE)
                .updater(new Sgd(0.1)).activation(Activation.TANH).graphBuilder().addInputs("in")
                .addLayer("lstm", new LSTM.Builder().nOut(4).build(), "in")
                .addLayer("both", new Bidirectional(Bidirectional.Mode.ADD, new SimpleRnn.Builder().nOut(4).build()), "lstm")
                .addVertex("attention", new AttentionVertex.Builder().nInKeys(4).nInQueries(4).nInValues(4).nOut(4).nHeads(2)
                        .projectInput(true).build(), "both", "both", "both")
                .addLayer("out", new RnnOutputLayer.Builder(LossFunction.MSE).nOut(2).activation(Activation.IDENTITY)
                        .build(), "attention")
                .setOutputs("out").setInputTypes(InputType.recurrent(3)).build());
        double[] frozen = base.params().toDoubleVector();
        MultiDataSet data = new MultiDataSet(Networks.random(DataType.DOUBLE, 1, 2, 3, 5),
                Networks.random(DataType.DOUBLE, 2, 2, 2, 5));
        ComputationGraph adapted = LoRA.apply(base, LoRAConfig.builder().rank(2).targets("attention", "lstm/RW")
                .bias("all").build());
        assertThat(adapted.paramTable()).containsKeys("lstm_RW.A", "lstm_b", "both_fb", "both_bb", "out_b")
                .doesNotContainKeys("lstm_W.A");
        assertThat(LoRA.summary(adapted).trainableParams()).isEqualTo(adapted.params().length());

        for (int i = 0; i < 3; i++) {
            adapted.fit(data);
        }
        adapted.params().addi(Networks.random(DataType.DOUBLE, 7, adapted.params().shape()).muli(0.3));
        Gradients.assertEqualFiniteDifferences(adapted, data);

        INDArray features = data.getFeatures(0);
        INDArray output = adapted.outputSingle(features).dup();
        assertThat(base.params().toDoubleVector()).containsExactly(frozen);
        assertThat(LoRA.unload(adapted).params().toDoubleVector()).containsExactly(frozen);
        assertThat(Networks.difference(LoRA.merge(adapted).outputSingle(features), output)).isLessThan(1e-10);
        LoRAAdapter.of(adapted).save(folder);
        assertThat(Files.readString(folder.resolve("adapter_model.safetensors"), StandardCharsets.ISO_8859_1))
                .contains("model.lstm.bias", "model.both.fb.bias", "model.both.bb.bias", "model.out.bias");
        Networks.assertSame("from files", LoRA.apply(base, LoRAAdapter.load(folder)).outputSingle(features), output);
    }
}
