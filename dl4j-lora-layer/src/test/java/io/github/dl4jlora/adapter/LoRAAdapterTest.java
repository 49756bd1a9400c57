package io.github.dl4jlora.adapter;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Models.Kind;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.exception.AdapterFormatException;
import io.github.dl4jlora.internal.content.Delta;
import io.github.dl4jlora.internal.peft.PluginVersion;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.BatchNormalization;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;
import org.nd4j.shade.jackson.databind.JsonNode;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

/** Adapters as PEFT's files, and back into networks. */
class LoRAAdapterTest {

    @TempDir
    Path folder;

    // ---- what PEFT would compute from the files

    @ParameterizedTest
    @EnumSource
    void peftComputesTheSameDeltaFromTheFiles(Scaling scaling) throws IOException {
        for (Kind kind : Kind.values()) {
            Model base = kind.base();
            Model adapted = Models.apply(base, kind.config().rank(2).alpha(0.3).scaling(scaling).targets("fc.*", "out")
                    .override("fc2", o -> o.rank(3).alpha(1.7)).override("out", o -> o.alpha(5)).build());
            Networks.randomizeAdapters(adapted.paramTable(), 3);

            LoRAAdapter.of(adapted).save(folder);

            JsonNode config = AdapterFiles.config(folder);
            Map<String, INDArray> before = base.paramTable();
            Map<String, INDArray> after = Models.merge(adapted).paramTable();
            List<String> names = List.of("fc1", "fc2", "out");
            for (String name : names) {
                String key = (kind.graph ? name : String.valueOf(names.indexOf(name))) + "_W";
                INDArray delta = after.get(key).sub(before.get(key));
                double[][] expected = peftDelta(config, name);
                assertThat(new long[] {expected[0].length, expected.length}).isEqualTo(delta.shape());
                for (int out = 0; out < expected.length; out++) {
                    for (int in = 0; in < expected[out].length; in++) {
                        assertThat(delta.getDouble(in, out)).as("%s %s", kind, name).isEqualTo(expected[out][in], within(2e-6));
                    }
                }
            }
            assertThat(config.path("use_rslora").asBoolean()).isEqualTo(scaling == Scaling.ALPHA_OVER_SQRT_RANK);
            assertThat(strings(config.path("target_modules"))).containsExactlyElementsOf(names);
            assertThat(config.path("modules_to_save").isNull()).isTrue();
        }
    }

    /** {@code (lora_B @ lora_A) * scaling}, with rank and alpha by PEFT's get_pattern_key, from the two files alone. */
    private double[][] peftDelta(JsonNode config, String name) throws IOException {
        double[][] a = AdapterFiles.matrix(folder, "base_model.model." + name + ".lora_A.weight");
        double[][] b = AdapterFiles.matrix(folder, "base_model.model." + name + ".lora_B.weight");
        int rank = peftPattern(config.path("rank_pattern"), name, config.path("r")).asInt();
        double alpha = peftPattern(config.path("alpha_pattern"), name, config.path("lora_alpha")).asDouble();
        assertThat(a).hasDimensions(rank, a[0].length);
        assertThat(b).hasDimensions(b.length, rank);
        double scaling = config.path("use_rslora").asBoolean() ? alpha / Math.sqrt(rank) : alpha / rank;
        double[][] delta = new double[b.length][a[0].length];
        for (int out = 0; out < b.length; out++) {
            for (int in = 0; in < a[0].length; in++) {
                for (int k = 0; k < rank; k++) {
                    delta[out][in] += scaling * b[out][k] * a[k][in];
                }
            }
        }
        return delta;
    }

    private static JsonNode peftPattern(JsonNode patterns, String name, JsonNode otherwise) {
        for (Iterator<Map.Entry<String, JsonNode>> fields = patterns.fields(); fields.hasNext();) {
            Map.Entry<String, JsonNode> entry = fields.next();
            if (name.matches("(.*\\.)?(" + entry.getKey() + ")")) {
                return entry.getValue();
            }
        }
        return otherwise;
    }

    @Test
    void aNameThatEndsAnotherDoesNotGetItsRank() throws IOException {
        NeuralNetConfiguration.Builder conf = new NeuralNetConfiguration.Builder().seed(1).updater(new Sgd(0.1));
        ComputationGraph base = Networks.of(conf.graphBuilder().addInputs("in")
                .addLayer("fc", new DenseLayer.Builder().nIn(4).nOut(4).build(), "in")
                .addLayer("enc.fc", new DenseLayer.Builder().nIn(4).nOut(4).build(), "fc")
                .addLayer("a+b", new DenseLayer.Builder().nIn(4).nOut(4).build(), "enc.fc")
                .addLayer("out", new OutputLayer.Builder(LossFunction.MSE).nIn(4).nOut(2).build(), "a+b")
                .setOutputs("out").build());
        ComputationGraph adapted = LoRA.apply(base, LoRAConfig.builder().rank(2).alpha(1).override("fc", o -> o.rank(3).alpha(7))
                .override("a\\+b", o -> o.rank(1)).build());
        Networks.randomizeAdapters(adapted.paramTable(), 3);

        LoRAAdapter.of(adapted).save(folder);

        for (String name : List.of("fc", "enc.fc", "a+b")) {
            assertThat(peftDelta(AdapterFiles.config(folder), name)).hasDimensions(4, 4);
        }
        INDArray features = Networks.random(DataType.FLOAT, 1, 3, 4);
        assertThat(Models.values(LoRA.apply(base, LoRAAdapter.load(folder)).outputSingle(features)))
                .containsExactly(Models.values(adapted.outputSingle(features)), within(1e-5));
    }

    // ---- round trips

    @ParameterizedTest
    @EnumSource
    void aSavedAdapterGivesABaseTheSameFunction(Kind kind) throws IOException {
        Model base = kind.base();
        Model adapted = Models.apply(base, kind.config().trainable("out").override("fc2", o -> o.rank(3).alpha(0.7)).build());
        Models.fitSteps(adapted, 0, 5);
        LoRAAdapter.of(adapted).save(folder.resolve("not/yet/there"));
        LoRAAdapter loaded = LoRAAdapter.load(folder.resolve("not/yet/there"));

        Model built = Models.with(base, loaded);
        Model swapped = Models.apply(base, kind.config().trainable("out").override("fc2", o -> o.rank(3)).build());
        double[] frozen = Models.params(base);
        loaded.applyTo(swapped);

        assertThat(loaded.layers()).containsExactly("fc1", "fc2");
        assertThat(Models.outputs(swapped)).containsExactly(Models.outputs(adapted), within(1e-6));
        assertThat(Models.outputs(built)).containsExactly(Models.outputs(adapted), within(1e-6));
        assertThat(Models.params(swapped)).isEqualTo(Models.params(adapted));
        assertThat(Models.params(base)).isEqualTo(frozen);
        Models.fitSteps(swapped, 5, 6);
        assertThat(Models.params(swapped)).isNotEqualTo(Models.params(adapted));
    }

    @ParameterizedTest
    @CsvSource({"DOUBLE, F64", "FLOAT, F32", "HALF, F16", "BFLOAT16, BF16"})
    void everyDataTypeIsStoredAsItself(DataType type, String name) throws IOException {
        ComputationGraph base = Networks.trainedGraph(DataType.FLOAT).convertDataType(type);
        ComputationGraph adapted = LoRA.apply(base, LoRAConfig.builder().rank(2).build());
        Networks.randomizeAdapters(adapted.paramTable(), 3);

        LoRAAdapter.of(adapted).save(folder);

        assertThat(AdapterFiles.header(folder).path("base_model.model.fc1.lora_A.weight").path("dtype").asText()).isEqualTo(name);
        assertThat(Models.params(LoRA.apply(base, LoRAAdapter.load(folder)))).isEqualTo(Models.params(adapted));
    }

    @Test
    void layersTrainedInFullAreModulesToSaveInPytorchsShapes() throws IOException {
        ComputationGraph base = vision();
        LoRAConfig config = LoRAConfig.builder().rank(2).targets("fc").trainable("conv", "bn", "out").build();
        ComputationGraph adapted = LoRA.apply(base, config);
        INDArray images = Networks.random(DataType.FLOAT, 5, 4, 1, 6, 6);
        for (int i = 0; i < 3; i++) {
            adapted.fit(new DataSet(images, Networks.data(DataType.FLOAT, 4, i).getLabels()));
        }

        LoRAAdapter.of(adapted).save(folder);

        JsonNode header = AdapterFiles.header(folder);
        Map<String, String> shapes = new LinkedHashMap<>();
        header.fields().forEachRemaining(entry -> {
            if (!entry.getKey().equals("__metadata__")) {
                shapes.put(entry.getKey().replace("base_model.model.", ""), entry.getValue().path("shape").toString());
            }
        });
        assertThat(shapes).containsOnly(Map.entry("fc.lora_A.weight", "[2,32]"), Map.entry("fc.lora_B.weight", "[5,2]"),
                Map.entry("conv.weight", "[2,1,3,3]"), Map.entry("conv.bias", "[2]"),
                Map.entry("bn.weight", "[2]"), Map.entry("bn.bias", "[2]"), Map.entry("bn.running_mean", "[2]"),
                Map.entry("bn.running_var", "[2]"), Map.entry("out.weight", "[3,5]"), Map.entry("out.bias", "[3]"));
        assertThat(strings(AdapterFiles.config(folder).path("modules_to_save")))
                .containsExactly("model.conv", "model.bn", "model.out");
        assertThat(AdapterFiles.matrix(folder, "base_model.model.out.weight")[1][2])
                .isEqualTo(adapted.getParam("out_W").getDouble(2, 1));
        ComputationGraph again = LoRA.apply(base, LoRAAdapter.load(folder));
        assertThat(Models.values(again.outputSingle(images)))
                .containsExactly(Models.values(adapted.outputSingle(images)), within(1e-6));
        assertThat(again.getParam("conv_W")).isEqualTo(adapted.getParam("conv_W"));
        double[] logStd = Models.values(adapted.getParam("bn_log10stdev"));
        double[] variance = AdapterFiles.numbers(folder, "base_model.model.bn.running_var");
        assertThat(variance).containsExactly(new double[] {Math.pow(10, 2 * logStd[0]), Math.pow(10, 2 * logStd[1])},
                within(1e-6));
        assertThat(Models.values(again.outputSingle(images))).isNotEqualTo(Models.values(base.outputSingle(images)));
    }

    /** As in a head of several layers, of which the last is new: PEFT's entry {@code head} would save all of them. */
    @Test
    void biasesOfLayersWhoseNamesBeginAsThatOfATrainedOneComeBack() throws IOException {
        MultiLayerNetwork base = Networks.of(new NeuralNetConfiguration.Builder().seed(4).updater(new Sgd(0.1)).list()
                .layer(new LSTM.Builder().name("head.lstm").nOut(4).build())
                .layer(new DenseLayer.Builder().name("head.pre").nOut(3).build())
                .layer(new RnnOutputLayer.Builder(LossFunction.MSE).name("head").nOut(2).activation(Activation.IDENTITY).build())
                .setInputType(InputType.recurrent(3)).build());
        MultiLayerNetwork tuned = LoRA.apply(base, LoRAConfig.builder().rank(2).targets("head.lstm").trainable("head").bias("all")
                .build());
        tuned.params().addi(Networks.random(DataType.FLOAT, 7, tuned.params().shape()));

        LoRAAdapter.of(tuned).save(folder);
        LoRAAdapter read = LoRAAdapter.load(folder);

        assertThat(read.trainedLayers()).containsExactly("head");
        assertThat(read.content().biases().values()).containsOnlyKeys("head.lstm", "head.pre");
        assertThat(LoRA.apply(base, read).params()).isEqualTo(tuned.params());
    }

    private static ComputationGraph vision() {
        return Networks.of(new NeuralNetConfiguration.Builder().seed(4).updater(new Sgd(0.1)).graphBuilder()
                .addInputs("in").setInputTypes(InputType.convolutional(6, 6, 1))
                .addLayer("conv", new ConvolutionLayer.Builder(3, 3).nOut(2).activation(Activation.TANH).build(), "in")
                .addLayer("bn", new BatchNormalization.Builder().build(), "conv")
                .addLayer("fc", new DenseLayer.Builder().nOut(5).activation(Activation.TANH).build(), "bn")
                .addLayer("out", new OutputLayer.Builder(LossFunction.MCXENT).nOut(3).activation(Activation.SOFTMAX)
                        .build(), "fc")
                .setOutputs("out").build());
    }

    @Test
    void theTensorsSayWhereTheyComeFrom() throws IOException {
        ComputationGraph base = Networks.trainedGraph();
        LoRAAdapter.of(LoRA.apply(base, LoRAConfig.builder().rank(2).alpha(0.5).override("fc2", o -> o.rank(3)).build()))
                .save(folder);

        JsonNode metadata = AdapterFiles.header(folder).path("__metadata__");

        assertThat(metadata.path("dl4j_lora.version").asText()).isEqualTo(PluginVersion.get());
        assertThat(metadata.path("dl4j_lora.base.fc1").asText()).matches("[0-9a-f]{64}");
        assertThat(metadata.path("dl4j_lora.scaling.fc1").asText()).isEqualTo("ALPHA");
        assertThat(metadata.path("dl4j_lora.alpha.fc2").asText()).isEqualTo("0.5");
        JsonNode config = AdapterFiles.JSON.readTree(metadata.path("dl4j_lora.adapter_config").asText());
        assertThat(config.path("r").asInt()).isEqualTo(2);
        assertThat(config.path("rank_pattern").path("fc2").asInt()).isEqualTo(3);
    }

    /** 0.1 · 3 / 3 is 0.10000000000000002. */
    @ParameterizedTest
    @EnumSource
    void alphaComesBackExactlyAsItWas(Scaling scaling) throws IOException {
        ComputationGraph base = Networks.trainedGraph();
        for (int rank = 1; rank <= 5; rank++) {
            LoRAAdapter adapter = LoRAAdapter.of(LoRA.apply(base, LoRAConfig.builder().rank(rank).alpha(0.1).scaling(scaling)
                    .override("fc2", o -> o.alpha(1 / 3.0)).build()));

            adapter.save(folder);

            Map<String, Delta> loaded = LoRAAdapter.load(folder).content().deltas();
            assertThat(loaded.get("fc1").alpha()).isEqualTo(0.1);
            assertThat(loaded.get("fc2").alpha()).isEqualTo(1 / 3.0);
            assertThat(loaded.get("fc1").scaling()).isEqualTo(scaling);
        }
    }

    /** Of layers that differ in their scaling PEFT's file can keep only one. */
    @Test
    void alphaComesBackExactlyUnderMixedScalings() throws IOException {
        LoRAAdapter adapter = LoRAAdapter.of(LoRA.apply(Networks.trainedGraph(), LoRAConfig.builder().rank(3)
                .alpha(0.1).build()));
        Map<String, Delta> mixed = new LinkedHashMap<>(adapter.content().deltas());
        mixed.computeIfPresent("fc2", (name, delta) ->
                new Delta(delta.a(), delta.b(), 0.7, Scaling.ALPHA_OVER_SQRT_RANK, delta.baseId()));

        Adapters.adapter(mixed, Map.of(), 0).save(folder);

        Map<String, Delta> loaded = LoRAAdapter.load(folder).content().deltas();
        assertThat(loaded.get("fc1").alpha()).isEqualTo(0.1);
        assertThat(loaded.get("fc2").alpha()).isEqualTo(0.7);
    }

    @Test
    void anAlphaThatSomebodyEditedInTheConfigurationCounts() throws IOException {
        LoRAAdapter.of(LoRA.apply(Networks.trainedGraph(), LoRAConfig.builder().rank(3).alpha(0.1).build())).save(folder);
        Path config = folder.resolve(AdapterFiles.CONFIG);

        Files.writeString(config, Files.readString(config).replaceFirst("\"lora_alpha\" : [0-9.]+", "\"lora_alpha\" : 6"));

        assertThat(LoRAAdapter.load(folder).content().deltas().get("fc1").alpha()).isEqualTo(2);
    }

    @Test
    void aRecordedAlphaThatIsNoNumberIsRefused() throws IOException {
        LoRAAdapter.of(LoRA.apply(Networks.trainedGraph(), LoRAConfig.builder().rank(3).alpha(0.1).build())).save(folder);
        Path tensors = folder.resolve(AdapterFiles.TENSORS);
        String text = Files.readString(tensors, StandardCharsets.ISO_8859_1);

        Files.writeString(tensors, text.replace("\"dl4j_lora.alpha.fc1\":\"0.1\"", "\"dl4j_lora.alpha.fc1\":\"0,1\""),
                StandardCharsets.ISO_8859_1);

        assertThatThrownBy(() -> LoRAAdapter.load(folder)).isInstanceOf(AdapterFormatException.class)
                .hasMessageContainingAll("\"fc1\"", "alpha that is not a number");
    }

    private static List<String> strings(JsonNode array) {
        List<String> strings = new java.util.ArrayList<>();
        array.forEach(element -> strings.add(element.asText()));
        return strings;
    }
}
