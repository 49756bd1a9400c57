package io.github.dl4jlora.adapter;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.exception.AdapterFormatException;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.shade.jackson.databind.node.ObjectNode;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

/** Files that PEFT wrote, or might have written: read as PEFT reads them, or refused by name. */
class PeftFilesTest {

    @TempDir
    Path folder;

    @Test
    void aFileThatPeftWroteIsReadAsPeftReadsIt() throws IOException {
        float[][] a = {{1, 2, 3, 4, 5, 6}, {0, 1, 0, -1, 0, 1}};
        float[][] b = {{1, 0}, {0, 1}, {1, 1}, {-1, 0}, {0.5f, 0.25f}};
        AdapterFiles.writePeft(folder, AdapterFiles.PEFT_CONFIG, a, b);
        ComputationGraph base = Networks.trainedGraph();

        ComputationGraph adapted = LoRA.apply(base, LoRAAdapter.load(folder));

        INDArray delta = LoRA.merge(adapted).getParam("fc1_W").sub(base.getParam("fc1_W"));
        for (int in = 0; in < 6; in++) {
            for (int out = 0; out < 5; out++) {
                double expected = 16.0 / 2 * (b[out][0] * a[0][in] + b[out][1] * a[1][in]);
                assertThat(delta.getDouble(in, out)).isEqualTo(expected, within(1e-5));
            }
        }
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            use_dora         | true          | fc1.lora_magnitude_vector
            lora_bias        | true          | missing tensors [base_model.model.fc1.lora_B.bias]
            use_qalora       | true          | use_qalora is true
            layer_replication| [[0,4]]       | layer_replication is
            bias             | "some"        | bias is "some"
            init_lora_weights| "loftq"       | init_lora_weights is "loftq"
            peft_type        | "IA3"         | peft_type is "IA3"
            r                | 0             | r is 0
            r                | 2.5           | r is 2.5
            r                | null          | r is null
            r                | 3             | has rank 3
            lora_alpha       | "16"          | lora_alpha is "16"
            lora_alpha       | 1e999         | lora_alpha is
            lora_dropout     | 1             | lora_dropout is 1.0
            rank_pattern     | {"fc1": 4}    | has rank 4
            rank_pattern     | {"(": 4}      | "(" is not a regular expression
            """)
    void whatIsNotSupportedIsRefusedByName(String setting, String value, String reason) throws IOException {
        AdapterFiles.writePeft(folder, AdapterFiles.PEFT_CONFIG, new float[2][6], new float[5][2]);
        ObjectNode config = (ObjectNode) AdapterFiles.config(folder);
        config.remove(setting);
        String text = config.toString();
        Files.writeString(folder.resolve(AdapterFiles.CONFIG), "{\"" + setting + "\":" + value + "," + text.substring(1));

        refused(reason);
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "[]", "null", "{", "{} {}", "{\"peft_type\":\"LORA\",\"peft_type\":\"LORA\"}"})
    void aConfigurationThatIsNoJsonObjectIsRefused(String text) throws IOException {
        AdapterFiles.writePeft(folder, text, new float[2][6], new float[5][2]);

        refused("adapter_config.json", folder.toString());
    }

    @Test
    void aConfigurationThatWouldTakeForeverIsRefused() throws IOException {
        AdapterFiles.writePeft(folder, AdapterFiles.PEFT_CONFIG.replace("\"lora_alpha\": 16", "\"lora_alpha\": 1"
                + "0".repeat(1_000_000)), new float[2][6], new float[5][2]);
        refused("digits");
        AdapterFiles.writePeft(folder, AdapterFiles.PEFT_CONFIG.replace("\"revision\": null", "\"revision\": "
                + "[".repeat(100_000)), new float[2][6], new float[5][2]);
        refused("nested");
        String name = "a".repeat(40);
        Files.write(folder.resolve(AdapterFiles.TENSORS),
                AdapterFiles.safetensors(Map.of("base_model.model." + name + ".lora_A.weight",
                new float[2][6], "base_model.model." + name + ".lora_B.weight", new float[5][2])));
        Files.writeString(folder.resolve(AdapterFiles.CONFIG),
                AdapterFiles.PEFT_CONFIG.replace("\"rank_pattern\": {}", "\"rank_pattern\": {\"(.*a){20}b\": 2}"));
        refused("takes too long to match");
        String longName = "a".repeat(20_000);
        Files.write(folder.resolve(AdapterFiles.TENSORS),
                AdapterFiles.safetensors(Map.of("base_model.model." + longName + ".lora_A.weight",
                new float[2][6], "base_model.model." + longName + ".lora_B.weight", new float[5][2])));
        Files.writeString(folder.resolve(AdapterFiles.CONFIG),
                AdapterFiles.PEFT_CONFIG.replace("\"rank_pattern\": {}", "\"rank_pattern\": {\"(a|b)*c\": 2}"));
        refused("takes too long to match");
    }

    @Test
    void aDivergedAdapterDoesNotReplaceASavedOne() throws IOException {
        ComputationGraph adapted = LoRA.apply(Networks.trainedGraph(), LoRAConfig.builder().rank(2).build());
        LoRAAdapter.of(adapted).save(folder);
        adapted.getParam("fc1_B").assign(Double.NaN);

        assertThatThrownBy(() -> LoRAAdapter.of(adapted).save(folder)).isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("fc1.lora_B.weight").hasMessageContaining("Nothing was written");
        assertThat(LoRAAdapter.load(folder).layers()).containsExactly("fc1", "fc2");
    }

    @Test
    void strayTensorsAreRefused() throws IOException {
        Files.writeString(folder.resolve(AdapterFiles.CONFIG), AdapterFiles.PEFT_CONFIG);
        Path tensors = folder.resolve(AdapterFiles.TENSORS);
        Files.write(tensors, AdapterFiles.safetensors(Map.of("base_model.model.fc1.lora_A.weight", new float[2][6])));
        refused("missing tensors", "fc1.lora_B.weight");
        Files.write(tensors, AdapterFiles.safetensors(Map.of("base_model.model.fc1.weight", new float[2][6])));
        refused("surplus tensors", "fc1.weight");
        Files.write(tensors, AdapterFiles.safetensors("{}", new byte[0]));
        refused("there is no layer with both lora_A and lora_B");
    }

    @Test
    void missingFilesAreNamed() throws IOException {
        refused(AdapterFiles.TENSORS, "does not exist");
        AdapterFiles.writePeft(folder, AdapterFiles.PEFT_CONFIG, new float[2][6], new float[5][2]);
        Files.delete(folder.resolve(AdapterFiles.CONFIG));
        refused(AdapterFiles.CONFIG, "does not exist");
    }

    @Test
    void whatLiesInAnAdaptersPlaceIsNamed() throws IOException {
        Files.createFile(folder.resolve("config.json"));
        refused(AdapterFiles.TENSORS + " does not exist", "holds a model, not an adapter");
        for (String name : List.of("tone", "spam")) {
            AdapterFiles.writePeft(Files.createDirectory(folder.resolve(name)), AdapterFiles.PEFT_CONFIG, new float[2][6],
                    new float[5][2]);
        }
        refused("The folders [spam, tone] in it hold adapters: load one of these");
        Files.createFile(folder.resolve(AdapterFiles.TENSORS + ".index.json"));
        refused("The adapter is in several files", "save_file(");
    }

    @Test
    void aStartThatCannotBeReadSaysWhichCan() throws IOException {
        for (String init : List.of("loftq", "fancy", "corda")) {
            AdapterFiles.writePeft(folder, AdapterFiles.PEFT_CONFIG.replace("\"init_lora_weights\": true",
                    "\"init_lora_weights\": \"" + init + "\""), new float[2][6], new float[5][2]);
            refused("init_lora_weights is \"" + init + "\"", switch (init) {
                case "loftq" -> "quantised base that was saved with the adapter, and set init_lora_weights to true";
                case "fancy" -> "Known are true, false, \"gaussian\"";
                default -> "path_initial_model_for_weight_conversion";
            });
        }
    }

    @Test
    void aFileIsNoFolder() throws IOException {
        Path file = Files.createFile(folder.resolve("adapter.zip"));

        assertThatThrownBy(() -> LoRAAdapter.load(file)).isInstanceOf(AdapterFormatException.class)
                .hasMessageContaining("is a file, but an adapter is a folder");
        assertThatThrownBy(() -> LoRAAdapter.load(folder.resolve("absent"))).isInstanceOf(AdapterFormatException.class)
                .hasMessageContaining("does not exist");
        assertThatThrownBy(() -> LoRAAdapter.of(LoRA.apply(Networks.trainedLayers(), LoRAConfig.builder().rank(2).build()))
                .save(file))
                .isInstanceOf(IOException.class).hasMessageContaining("Nothing was written");
    }

    private void refused(String... parts) {
        assertThatThrownBy(() -> LoRAAdapter.load(folder)).isInstanceOf(AdapterFormatException.class)
                .hasMessageContainingAll(parts);
    }
}
