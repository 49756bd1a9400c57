package io.github.dl4jlora.adapter;

import io.github.dl4jlora.LogCapture;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.exception.AdapterFormatException;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

class LoaderTest {

    private static final String PEFT_CONFIG = """
            {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["query", "value"], "modules_to_save": %s}
            """;

    @TempDir
    private Path folder;
    private final LoRAAdapter adapter = Adapters.of(2, 4, Scaling.ALPHA_OVER_RANK, 1);
    private final Map<String, INDArray> tensors = new LinkedHashMap<>();

    /** fc1 and fc2 under the names that a PyTorch model has for them, as PEFT writes them. */
    @BeforeEach
    void writeAsPeftDoes() throws IOException {
        put("encoder.query", "fc1");
        put("encoder.value", "fc2");
        write("null");
    }

    private void put(String module, String layer) {
        tensors.put("base_model.model." + module + ".lora_A.weight", adapter.content().deltas().get(layer).a().transpose());
        tensors.put("base_model.model." + module + ".lora_B.weight", adapter.content().deltas().get(layer).b().transpose());
    }

    private void write(String modulesToSave) throws IOException {
        AdapterFiles.write(folder.resolve("adapter_model.safetensors"), tensors, Map.of("format", "pt"));
        Files.writeString(folder.resolve("adapter_config.json"), PEFT_CONFIG.formatted(modulesToSave), StandardCharsets.UTF_8);
    }

    /** Each is an array of ND4J: two hundred thousand exhausted a small heap. */
    @Test
    void moreTensorsThanAdaptersHaveAreRefused() throws IOException {
        StringBuilder header = new StringBuilder("{\"__metadata__\":{}");
        for (int i = 0; i <= 50_000; i++) {
            header.append(",\"x").append(i).append("\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[").append(4 * i)
                    .append(',').append(4 * i + 4).append("]}");
        }
        Files.write(folder.resolve("adapter_model.safetensors"), AdapterFiles.safetensors(header + "}", new byte[4 * 50_001]));

        assertThatThrownBy(() -> LoRAAdapter.load(folder)).isInstanceOf(AdapterFormatException.class)
                .hasMessageContaining("has 50001 tensors, but at most 50000 are read");
    }

    @Test
    void ofVeryManyMissingTensorsAFewAreNamed() throws IOException {
        for (int i = 0; i < 1000; i++) {
            put("x" + i + "y".repeat(1000), "fc1");
            tensors.remove("base_model.model.x" + i + "y".repeat(1000) + ".lora_B.weight");
        }
        write("null");

        assertThatThrownBy(() -> LoRAAdapter.load(folder)).isInstanceOf(AdapterFormatException.class)
                .hasMessageContainingAll("missing tensors [base_model.model.x0yyy", "…] and 990 more, surplus tensors []")
                .satisfies(refusal -> assertThat(refusal.getMessage()).hasSizeLessThan(3000));
    }

    @Test
    void keyMapperGivesModulesTheNamesOfLayers() throws IOException {
        Map<String, String> names = Map.of("encoder.query", "fc1", "encoder.value", "fc2");

        LoRAAdapter loaded = LoRAAdapter.loader().keyMapper(names::get).load(folder);

        assertThat(loaded.layers()).containsExactly("fc1", "fc2");
        assertThat(loaded.deltaWeight("fc1")).isEqualTo(adapter.deltaWeight("fc1"));
        assertThat(loaded.deltaWeight("fc2")).isEqualTo(adapter.deltaWeight("fc2"));
    }

    @Test
    void moduleThatIsMappedToNothingIsLeftOut() throws IOException {
        LoRAAdapter loaded = LoRAAdapter.loader().keyMapper(module -> module.endsWith("query") ? "fc1" : null).load(folder);

        assertThat(loaded.layers()).containsExactly("fc1");
    }

    @Test
    void keyMapperThatMapsTwoModulesToOneLayerOrAllToNoneIsRefused() {
        assertThatThrownBy(() -> LoRAAdapter.loader().keyMapper(module -> "fc1").load(folder))
                .isInstanceOf(AdapterFormatException.class).hasMessageContaining("encoder.value").hasMessageContaining("\"fc1\"");
        assertThatThrownBy(() -> LoRAAdapter.loader().keyMapper(module -> null).load(folder))
                .isInstanceOf(AdapterFormatException.class).hasMessageContaining("[encoder.query, encoder.value]");
    }

    @Test
    void missingAndSurplusTensorsAreAllListed() throws IOException {
        tensors.remove("base_model.model.encoder.value.lora_A.weight");
        tensors.put("base_model.model.encoder.norm.weight", Networks.random(DataType.FLOAT, 1, 3));
        tensors.put("stray", Networks.random(DataType.FLOAT, 1, 3));
        write("[\"classifier\"]");

        assertThatThrownBy(() -> LoRAAdapter.load(folder)).isInstanceOf(AdapterFormatException.class)
                .hasMessageContaining(
                        "missing tensors [base_model.model.classifier.*, base_model.model.encoder.value.lora_A.weight]")
                .hasMessageContaining("surplus tensors [base_model.model.encoder.norm.weight, stray]")
                .hasMessageContaining("strict(false)");
    }

    /** Without a head that was trained another function is computed. */
    @Test
    void ofSurplusTensorsAloneTheRemedyIsAnEntry() throws IOException {
        tensors.put("base_model.model.encoder.norm.weight", Networks.random(DataType.FLOAT, 1, 3));
        write("null");

        assertThatThrownBy(() -> LoRAAdapter.load(folder)).isInstanceOf(AdapterFormatException.class)
                .hasMessageContainingAll("surplus tensors [base_model.model.encoder.norm.weight]",
                        "add their names to modules_to_save in adapter_config.json")
                .hasMessageNotContaining("strict(false)");
    }

    @Test
    void settingsAndLayersThatPeftWouldIgnoreAreWarnedAbout() throws IOException {
        Files.writeString(folder.resolve("adapter_config.json"), """
                {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["query"], "fancy_config": {"scale": 3}}
                """);

        try (LogCapture log = new LogCapture(LoRAAdapter.class)) {
            assertThat(LoRAAdapter.load(folder).layers()).containsExactly("encoder.query", "encoder.value");

            assertThat(log.messages()).anySatisfy(message -> assertThat(message).contains("[fancy_config = {\"scale\":3}]"))
                    .anySatisfy(message -> assertThat(message).contains("PEFT adapts none of the layers [encoder.value]"));
        }
        write("null");
        try (LogCapture log = new LogCapture(LoRAAdapter.class)) {
            LoRAAdapter.load(folder);

            assertThat(log.messages()).isEmpty();
        }
    }

    /** Half of GPT-2's versions save its masks, as numbers that nobody trains. */
    @Test
    void masksAreLeftOut() throws IOException {
        tensors.put("base_model.model.attn.masked_bias", Networks.random(DataType.FLOAT, 1, 1).reshape(1));
        tensors.put("base_model.model.attn.bias", Networks.random(DataType.FLOAT, 1, 9).reshape(1, 1, 3, 3));
        write("null, \"bias\": \"all\"");

        assertThat(LoRAAdapter.load(folder).content().biases().values()).isEmpty();
    }

    @Test
    void looseLoadingTakesWhatIsWholeAndWarnsOfTheRest() throws IOException {
        tensors.remove("base_model.model.encoder.value.lora_A.weight");
        tensors.put("stray", Networks.random(DataType.FLOAT, 1, 3));
        write("null");

        try (LogCapture log = new LogCapture(LoRAAdapter.class)) {
            LoRAAdapter loaded = LoRAAdapter.loader().strict(false).load(folder);

            assertThat(loaded.layers()).containsExactly("encoder.query");
            assertThat(log.messages()).singleElement().asString().contains("encoder.value.lora_A.weight").contains("[stray]");
        }
    }

    @Test
    void layerThatAFileOfOursHasLostIsMissed() throws IOException {
        Path ours = folder.resolve("ours");
        Adapters.on(Networks.trainedGraph(), LoRAConfig.builder().rank(2), 1).save(ours);
        AdapterFiles.Tensors file = AdapterFiles.open(ours.resolve("adapter_model.safetensors"));
        Map<String, INDArray> kept = new LinkedHashMap<>();
        for (String name : file.names()) {
            if (!name.contains("fc2")) {
                kept.put(name, file.read(name));
            }
        }
        AdapterFiles.write(ours.resolve("adapter_model.safetensors"), kept, file.metadata());

        assertThatThrownBy(() -> LoRAAdapter.load(ours)).isInstanceOf(AdapterFormatException.class)
                .hasMessageContaining("base_model.model.fc2.lora_A.weight, base_model.model.fc2.lora_B.weight");
    }

    @Test
    void savedModuleIsFoundByTheEndOfItsNameAsPeftDoes() throws IOException {
        tensors.put("base_model.model.head.classifier.weight", Networks.random(DataType.FLOAT, 1, 3, 5));
        write("[\"classifier\"]");

        assertThat(LoRAAdapter.load(folder).content().trained()).containsOnlyKeys("head.classifier");
    }
}
