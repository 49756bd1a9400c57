package io.github.dl4jlora.adapter;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.LogCapture;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.BiasTraining;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.LoRAInit;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.conf.TorchNames;
import io.github.dl4jlora.conf.TorchParameter;
import io.github.dl4jlora.exception.AdapterFormatException;
import io.github.dl4jlora.variant.DoRA;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.ActivationLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions;
import org.nd4j.shade.jackson.databind.JsonNode;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** A network that says what PyTorch calls its parameters, and which way round it has them. */
class TorchNamesTest {

    private static final String PREFIX = "base_model.model.";
    private static final int SIZE = 4;

    @TempDir
    private Path folder;
    private final MultiLayerNetwork base = network();
    private final INDArray input = Networks.random(DataType.DOUBLE, 4, 6, SIZE);

    /**
     * Says that the layers called square are GPT-2's Conv1D inside a block; that "first" is two modules, one for W and one for b,
     * whose W has another name; and nothing of others.
     */
    public static final class Naming extends ActivationLayer implements TorchNames {

        private static final long serialVersionUID = 1L;

        public Naming() {
            super(Activation.IDENTITY);
        }

        @Override
        public List<TorchParameter> torchParameters(String name, Layer layer) {
            List<TorchParameter> parameters = new ArrayList<>();
            long[] matrix = {SIZE, SIZE};
            long[] vector = {SIZE};
            if (name.startsWith("square")) {
                parameters.add(new TorchParameter(name, "W", "block." + name + ".weight", matrix, false));
                parameters.add(new TorchParameter(name, "b", "block." + name + ".bias", vector, false));
            }
            if (name.equals("first")) {
                parameters.add(new TorchParameter(name, "W", "words.weight", matrix, true));
                parameters.add(new TorchParameter(name, "b", "shift.bias", vector, false));
            }
            if (name.equals("odd")) {
                parameters.add(new TorchParameter(name, "V", "odd.weight", matrix, true));
            }
            if (layer instanceof Naming) {
                parameters.add(new TorchParameter("first", "W", "decoder.weight", matrix, true));
            }
            return parameters;
        }
    }

    private static MultiLayerNetwork network() {
        return Networks.of(new NeuralNetConfiguration.Builder().seed(12).dataType(DataType.DOUBLE)
                .updater(new Sgd(0.1)).activation(Activation.TANH).list()
                .layer(new DenseLayer.Builder().name("first").nIn(SIZE).nOut(SIZE).biasInit(0.3).build())
                .layer(new DenseLayer.Builder().name("square1").nOut(SIZE).biasInit(-0.1).build())
                .layer(new Naming())
                .layer(new DenseLayer.Builder().name("square2").nOut(SIZE).biasInit(0.2).build())
                .layer(new OutputLayer.Builder(LossFunctions.LossFunction.MCXENT).name("out").nOut(3)
                        .activation(Activation.SOFTMAX).build())
                .setInputType(InputType.feedForward(SIZE)).build());
    }

    private MultiLayerNetwork tuned(LoRAConfig.Builder config) {
        MultiLayerNetwork tuned = LoRA.apply(base, config.rank(2).build());
        tuned.params().addi(Networks.random(DataType.DOUBLE, 7, tuned.params().shape()).muli(0.5));
        return tuned;
    }

    private AdapterFiles.Tensors saved(MultiLayerNetwork tuned) throws IOException {
        LoRAAdapter.of(tuned).save(folder);
        return AdapterFiles.open(folder.resolve(AdapterFiles.TENSORS));
    }

    private void assertComesBack(MultiLayerNetwork tuned) throws IOException {
        INDArray expected = tuned.output(input).dup();
        LoRAAdapter read = LoRAAdapter.load(folder);
        assertThat(LoRA.apply(base, read).output(input)).isEqualTo(expected);
        MultiLayerNetwork other = LoRA.apply(base, read.config());
        read.applyTo(other);
        assertThat(other.output(input)).isEqualTo(expected);
    }

    private void write(Map<String, INDArray> tensors, String config) throws IOException {
        Map<String, INDArray> named = new LinkedHashMap<>();
        named.put(PREFIX + "out.lora_A.weight", Networks.random(DataType.DOUBLE, 1, 2, SIZE));
        named.put(PREFIX + "out.lora_B.weight", Networks.random(DataType.DOUBLE, 2, 3, 2));
        tensors.forEach((name, value) -> named.put(PREFIX + name, value));
        AdapterFiles.write(folder.resolve(AdapterFiles.TENSORS), named, Map.of("format", "pt"));
        Files.writeString(folder.resolve(AdapterFiles.CONFIG), "{\"peft_type\": \"LORA\", \"r\": 2, \"lora_alpha\": 2, "
                + "\"target_modules\": [\"out\", \"square1\"], " + config + "}", StandardCharsets.UTF_8);
    }

    @Test
    void squareMatrixTrainedInFullIsWrittenTheWayRoundThatItsModuleHas() throws IOException {
        MultiLayerNetwork tuned = tuned(LoRAConfig.builder().targets("out").trainable("square1"));

        AdapterFiles.Tensors file = saved(tuned);

        assertThat(file.read(PREFIX + "block.square1.weight")).isEqualTo(tuned.getParam("1_W"));
        assertThat(file.read(PREFIX + "block.square1.bias")).isEqualTo(tuned.getParam("1_b").reshape(SIZE));
        assertThat(AdapterFiles.config(folder).get("modules_to_save")).hasToString("[\"block.square1\"]");
        assertComesBack(tuned);
    }

    @Test
    void squareMatrixOfPeftsFileIsReadTheWayRoundThatItsModuleHas() throws IOException {
        INDArray weight = Networks.random(DataType.DOUBLE, 3, SIZE, SIZE);
        write(Map.of("block.square2.weight", weight, "block.square2.bias", Networks.random(DataType.DOUBLE, 4, SIZE)),
                "\"modules_to_save\": [\"square2\"]");

        assertThat(LoRA.apply(base, LoRAAdapter.load(folder)).getParam("3_W")).isEqualTo(weight);
    }

    @Test
    void nameOfAParameterThatTheLayerDoesNotHaveIsRefused() throws IOException {
        MultiLayerNetwork misnamed = Networks.of(new NeuralNetConfiguration.Builder().seed(1).dataType(DataType.DOUBLE).list()
                .layer(new DenseLayer.Builder().name("odd").nIn(SIZE).nOut(SIZE).build())
                .layer(new Naming())
                .layer(new OutputLayer.Builder().name("out").nIn(SIZE).nOut(3).build()).build());
        write(Map.of("odd.weight", Networks.random(DataType.DOUBLE, 3, SIZE, SIZE)), "\"modules_to_save\": [\"odd\"]");

        assertThatThrownBy(() -> LoRA.apply(misnamed, LoRAAdapter.load(folder))).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("Layer \"odd\"").hasMessageContaining("\"V\", which it does not have");
    }

    @Test
    void orthogonalFactorsOfAMatrixThatPyTorchHasTheOtherWayRoundAreWrittenAsPlainOnes() throws IOException {
        MultiLayerNetwork tuned = tuned(LoRAConfig.builder().targets("square.*").loraInit(LoRAInit.OLORA));

        saved(tuned);

        assertThat(AdapterFiles.config(folder).get("init_lora_weights").asBoolean()).isTrue();
        assertThat(AdapterFiles.config(folder).get("r").asInt()).isEqualTo(4);
        assertThat(AdapterFiles.config(folder).get("fan_in_fan_out").asBoolean()).isTrue();
        assertThat(LoRAAdapter.load(folder).settings("square1").loraInit()).isEqualTo(LoRAInit.OLORA);
        assertThat(Networks.difference(LoRA.apply(base, LoRAAdapter.load(folder)).output(input), tuned.output(input)))
                .isLessThan(1e-12);
        LoRAAdapter.load(folder).save(folder.resolve("again"));
        assertThat(AdapterFiles.config(folder.resolve("again")).get("init_lora_weights").asBoolean()).isTrue();
    }

    @Test
    void doraOnSuchFactorsIsRefused() {
        LoRAAdapter adapter = LoRAAdapter.of(tuned(LoRAConfig.builder().targets("square1").variant(new DoRA())
                .loraInit(LoRAInit.OLORA)));

        assertThatThrownBy(() -> adapter.save(folder)).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("[square1]").hasMessageContaining("[nIn, nOut]");
    }

    @Test
    void layerThatStandsForSeveralModulesIsWrittenAsThese() throws IOException {
        MultiLayerNetwork tuned = tuned(LoRAConfig.builder().targets("out").trainable("first"));

        AdapterFiles.Tensors file = saved(tuned);

        assertThat(file.read(PREFIX + "words.weight")).isEqualTo(tuned.getParam("0_W").transpose());
        assertThat(file.read(PREFIX + "decoder.weight")).isEqualTo(file.read(PREFIX + "words.weight"));
        assertThat(file.read(PREFIX + "shift.bias")).isEqualTo(tuned.getParam("0_b").reshape(SIZE));
        assertThat(LoRAAdapter.of(tuned).trainedLayers()).containsExactly("words", "decoder", "shift");
        assertComesBack(tuned);
    }

    @Test
    void moduleThatAFileLacksHasTheBasesValuesWhateverTheNetworkHeldBefore() throws IOException {
        MultiLayerNetwork tuned = tuned(LoRAConfig.builder().targets("out").scaling(Scaling.ALPHA_OVER_RANK)
                .alpha(2).trainable("first"));
        INDArray weight = Networks.random(DataType.DOUBLE, 3, SIZE, SIZE);
        write(Map.of("words.weight", weight, "decoder.weight", weight.dup()), "\"modules_to_save\": [\"words\", \"decoder\"]");

        LoRAAdapter.load(folder).applyTo(tuned);

        assertThat(tuned.getParam("0_W")).isEqualTo(weight.transpose());
        assertThat(tuned.getParam("0_b")).isEqualTo(base.getParam("0_b"));
    }

    @Test
    void oneParameterWithTwoValuesIsRefused() throws IOException {
        INDArray weight = Networks.random(DataType.DOUBLE, 3, SIZE, SIZE);

        write(Map.of("words.weight", weight), "\"modules_to_save\": [\"words\"]");
        assertThatThrownBy(() -> LoRA.apply(base, LoRAAdapter.load(folder))).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("\"words.weight\" and \"decoder.weight\" are one parameter");

        write(Map.of("decoder.weight", weight), "\"modules_to_save\": [\"decoder\"]");
        assertThatThrownBy(() -> LoRA.apply(base, LoRAAdapter.load(folder))).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContainingAll("decoder.weight", "its own matrix", "untied()");

        write(Map.of("words.weight", weight, "decoder.weight", weight.add(1)), "\"modules_to_save\": [\"words\", \"decoder\"]");
        assertThatThrownBy(() -> LoRA.apply(base, LoRAAdapter.load(folder))).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("different values");
    }

    @Test
    void decoderThatWasSavedAsItIsInTheBaseNeedsNoTraining() throws IOException {
        write(Map.of("decoder.weight", base.getParam("0_W").transpose().dup('c')), "\"modules_to_save\": [\"decoder\"]");

        assertThat(LoRA.apply(base, LoRAAdapter.load(folder)).paramTable()).doesNotContainKey("0_W");
    }

    @Test
    void whatIsTiedToASavedModuleIsReadWithoutAnEntry() throws IOException {
        INDArray weight = Networks.random(DataType.DOUBLE, 3, SIZE, SIZE);
        write(Map.of("words.weight", weight, "decoder.weight", weight.dup()),
                "\"modules_to_save\": [\"words\"], \"ensure_weight_tying\": true");

        assertThat(LoRA.apply(base, LoRAAdapter.load(folder)).getParam("0_W")).isEqualTo(weight.transpose());
    }

    @Test
    void moduleWithoutTheBiasThatTheNetworkWouldAddIsRefused() throws IOException {
        write(Map.of("block.square2.weight", Networks.random(DataType.DOUBLE, 3, SIZE, SIZE)),
                "\"modules_to_save\": [\"square2\"]");

        assertThatThrownBy(() -> LoRA.apply(base, LoRAAdapter.load(folder))).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContainingAll("Layer \"square2\"", "\"block.square2\" without its bias", "ensure_weight_tying");
    }

    @Test
    void moduleWhoseNameEndsAnotherIsNotLeftToPeftToFind() throws IOException {
        saved(tuned(LoRAConfig.builder().targets("square1").trainable("first", "out")));

        assertThat(AdapterFiles.config(folder).get("modules_to_save"))
                .hasToString("[\"words\",\"decoder\",\"shift\",\"model.out\"]");
    }

    @Test
    void biasesHaveTheModulesNamesToo() throws IOException {
        MultiLayerNetwork tuned = tuned(LoRAConfig.builder().targets("out").bias(BiasTraining.ALL));

        AdapterFiles.Tensors file = saved(tuned);

        assertThat(file.names()).contains(PREFIX + "first.bias", PREFIX + "square1.bias");
        assertComesBack(tuned);
    }

    @Test
    void aMapperOfLayersLeavesTheNetworksNamesOfModulesAsTheyAre() throws IOException {
        LoRAConfig.Builder config = LoRAConfig.builder().targets("out").trainable("first").bias(BiasTraining.ALL);
        LoRAAdapter adapter = LoRAAdapter.of(tuned(config));
        adapter.save(folder.resolve("same"));
        JsonNode modules = AdapterFiles.config(folder.resolve("same")).get("modules_to_save");

        adapter.saver().keyMapper(layer -> "m." + layer).save(folder);

        assertThat(AdapterFiles.open(folder.resolve(AdapterFiles.TENSORS)).names()).containsExactlyInAnyOrder(
                Stream.of("m.out.lora_A.weight", "m.out.lora_B.weight", "m.out.base_layer.bias", "m.square1.bias",
                        "m.square2.bias", "words.weight", "decoder.weight", "shift.bias").map(PREFIX::concat)
                        .toArray(String[]::new));
        assertThat(AdapterFiles.config(folder).get("modules_to_save")).isEqualTo(modules);
    }

    /** Of which nobody knows whether the names are those of layers. */
    @Test
    void aMapperRenamesAllThatAFileHas() throws IOException {
        saved(tuned(LoRAConfig.builder().targets("out").trainable("square1")));

        LoRAAdapter.load(folder).saver().keyMapper(name -> "m." + name).save(folder);

        assertThat(LoRAAdapter.load(folder).trainedLayers()).containsExactly("m.block.square1");
    }

    @Test
    void wholeNumbersInSavedModulesAreLeftOut() throws IOException {
        INDArray weight = Networks.random(DataType.DOUBLE, 3, SIZE, SIZE);
        write(Map.of("block.square2.weight", weight, "block.square2.bias", Networks.random(DataType.DOUBLE, 4, SIZE)),
                "\"modules_to_save\": [\"block\"]");
        Path file = folder.resolve(AdapterFiles.TENSORS);
        byte[] bytes = Files.readAllBytes(file);
        int length = AdapterFiles.headerLength(bytes);
        String header = new String(bytes, 8, length, StandardCharsets.UTF_8).stripTrailing();
        long end = bytes.length - 8L - length;
        byte[] data = Arrays.copyOfRange(bytes, 8 + length, bytes.length + 8);
        String entry = "block.position_ids\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[" + end + "," + (end + 8) + "]}}";
        Files.write(file, AdapterFiles.safetensors(header.substring(0, header.length() - 1) + ",\"" + PREFIX + entry, data));

        assertThat(LoRA.apply(base, LoRAAdapter.load(folder)).getParam("3_W")).isEqualTo(weight);
    }

    @Test
    void layerThatPeftHasNoModuleForIsWarnedOf() throws IOException {
        MultiLayerNetwork recurrent = Networks.of(new NeuralNetConfiguration.Builder().seed(1).updater(new Sgd(0.1)).list()
                .layer(new LSTM.Builder().name("lstm").nIn(3).nOut(4).build())
                .layer(new RnnOutputLayer.Builder(LossFunctions.LossFunction.MSE).name("out").nOut(2)
                        .activation(Activation.IDENTITY).build()).build());

        for (LoRAConfig.Builder config : List.of(LoRAConfig.builder().targets("out").trainable("lstm"),
                LoRAConfig.builder().targets("out").bias(BiasTraining.ALL))) {
            try (LogCapture log = new LogCapture(LoRAAdapter.class)) {
                LoRAAdapter.of(LoRA.apply(recurrent, config.build())).save(folder);
                assertThat(log.messages()).anyMatch(line -> line.contains("PEFT has no module") && line.contains("[lstm]"));
            }
            LoRAAdapter read = LoRAAdapter.load(folder);
            assertThat(LoRA.apply(recurrent, read).output(Nd4j.ones(1, 3, 2)))
                    .isEqualTo(recurrent.output(Nd4j.ones(1, 3, 2)));
        }
        try (LogCapture log = new LogCapture(LoRAAdapter.class)) {
            LoRAAdapter.of(LoRA.apply(base, LoRAConfig.builder().targets("out").trainable("first").build())).save(folder);
            assertThat(log.messages()).noneMatch(line -> line.contains("PEFT has no module"));
        }
    }

    @Test
    void doraLayerWithoutItsMagnitudeIsLeftOut() throws IOException {
        Map<String, INDArray> tensors = new LinkedHashMap<>();
        tensors.put("square1.lora_A.weight", Networks.random(DataType.DOUBLE, 5, 2, SIZE));
        tensors.put("square1.lora_B.weight", Networks.random(DataType.DOUBLE, 6, SIZE, 2));
        tensors.put("square1.lora_magnitude_vector", Networks.random(DataType.DOUBLE, 8, SIZE));
        write(tensors, "\"use_dora\": true");

        assertThatThrownBy(() -> LoRAAdapter.load(folder)).isInstanceOf(AdapterFormatException.class)
                .hasMessageContaining("out.lora_magnitude_vector");
        try (LogCapture log = new LogCapture(LoRAAdapter.class)) {
            LoRAAdapter read = LoRAAdapter.loader().strict(false).load(folder);
            assertThat(log.messages()).singleElement().asString().contains("[out], which are incomplete");
            assertThat(read.layers()).containsExactly("square1");
            assertThat(LoRA.apply(base, read).output(input)).isNotEqualTo(base.output(input));
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"weight", ".weight", "fc.", ""})
    void aTensorsNameWithoutAModuleAndAParameterIsRefused(String tensor) {
        assertThatIllegalArgumentException()
                .isThrownBy(() -> new TorchParameter("fc", "W", tensor, new long[] {SIZE, SIZE}, false))
                .withMessage("TorchParameter: tensor is \"" + tensor + "\", but must be a module's name, a dot and a parameter's "
                        + "name, such as \"fc.weight\"");
        assertThat(new TorchParameter("fc", "W", "block.fc.weight", new long[] {SIZE, SIZE}, false).module())
                .isEqualTo("block.fc");
    }

    @Test
    void aValueOfAnotherShapeIsRefusedByItsName() {
        TorchParameter parameter = new TorchParameter("fc", "W", "fc.weight", new long[] {2, 3}, false);
        assertThatIllegalArgumentException().isThrownBy(() -> parameter.restored(Nd4j.zeros(3, 2), Nd4j.zeros(2, 3)))
                .withMessage("fc.weight has shape [3, 2], but the network's layer needs [2, 3]");
    }

    @Test
    void filesOfOlderVersionsHaveTheLibrarysNames() throws IOException {
        MultiLayerNetwork tuned = tuned(LoRAConfig.builder().targets("out").trainable("first", "square1"));
        AdapterFiles.Tensors file = saved(tuned);
        Map<String, INDArray> old = new LinkedHashMap<>();
        file.values().forEach((name, value) -> {
            if (name.contains(".lora_")) {
                old.put(name, value);
            }
        });
        // 0.1.0 wrote DL4J's names and shapes for some layers, 0.2.0 the orientation of nn.Linear for every dense one.
        old.put(PREFIX + "first.W", tuned.getParam("0_W").dup('c'));
        old.put(PREFIX + "first.b", tuned.getParam("0_b").dup());
        old.put(PREFIX + "square1.weight", tuned.getParam("1_W").transpose().dup('c'));
        old.put(PREFIX + "square1.bias", tuned.getParam("1_b").reshape(SIZE).dup());
        Map<String, String> metadata = new LinkedHashMap<>(file.metadata());
        metadata.keySet().removeIf(key -> key.startsWith("dl4j_lora.names") || key.startsWith("dl4j_lora.own"));
        String config = Files.readString(folder.resolve(AdapterFiles.CONFIG))
                .replaceAll("(?s)\"modules_to_save\" : \\[[^\\]]*\\]",
                        "\"modules_to_save\" : [\"model.first\", \"model.square1\"]");
        metadata.put("dl4j_lora.adapter_config", config);
        AdapterFiles.write(folder.resolve(AdapterFiles.TENSORS), old, metadata);
        Files.writeString(folder.resolve(AdapterFiles.CONFIG), config);

        assertComesBack(tuned);
        LoRAAdapter.load(folder).save(folder.resolve("again"));
        assertThat(LoRA.apply(base, LoRAAdapter.load(folder.resolve("again"))).output(input)).isEqualTo(tuned.output(input));
    }
}
