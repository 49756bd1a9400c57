package io.github.dl4jlora.adapter;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.exception.AdapterFormatException;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.shade.jackson.databind.node.ObjectNode;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/**
 * Every field of PEFT 0.20's {@code LoraConfig}, with every initialisation: read to the same function, converted, or refused
 * by name, as the table in docs/guide/peft.md says.
 */
class PeftFieldsTest {

    /** Of {@code LoraConfig} and what it inherits, in PEFT 0.20.1. */
    private static final Set<String> FIELDS = Set.of("peft_type", "auto_mapping", "peft_version", "base_model_name_or_path",
            "revision", "inference_mode", "task_type", "r", "target_modules", "exclude_modules", "lora_alpha", "lora_dropout",
            "fan_in_fan_out", "bias", "use_rslora", "modules_to_save", "init_lora_weights", "layers_to_transform",
            "layers_pattern", "rank_pattern", "alpha_pattern", "megatron_config", "megatron_core", "trainable_token_indices",
            "loftq_config", "eva_config", "corda_config", "lora_ga_config", "use_dora", "velora_config",
            "alora_invocation_tokens", "use_qalora", "qalora_group_size", "monteclora_config", "layer_replication",
            "runtime_config", "lora_bias", "target_parameters", "use_bdlora", "arrow_config", "kasa_config",
            "ensure_weight_tying");
    private static final String PREFIX = "base_model.model.";

    @TempDir
    private Path folder;
    private final Map<String, INDArray> tensors = new LinkedHashMap<>();
    private final ComputationGraph base = Networks.trainedGraph();
    private final INDArray x = Networks.random(DataType.FLOAT, 9, 4, Networks.IN);

    @BeforeEach
    void tensorsOfFc1() {
        tensors.put(PREFIX + "fc1.lora_A.weight", Networks.random(DataType.FLOAT, 1, 2, Networks.IN));
        tensors.put(PREFIX + "fc1.lora_B.weight", Networks.random(DataType.FLOAT, 2, Networks.HIDDEN, 2));
    }

    private void write(String field, String json) throws IOException {
        write(Map.of(field, json));
    }

    private void write(Map<String, String> fields) throws IOException {
        AdapterFiles.write(folder.resolve(AdapterFiles.TENSORS), tensors, Map.of("format", "pt"));
        ObjectNode config = (ObjectNode) AdapterFiles.JSON.readTree(AdapterFiles.PEFT_CONFIG);
        for (Map.Entry<String, String> field : fields.entrySet()) {
            config.set(field.getKey(), AdapterFiles.JSON.readTree(field.getValue()));
        }
        Files.write(folder.resolve(AdapterFiles.CONFIG), AdapterFiles.JSON.writeValueAsBytes(config));
    }

    private INDArray output() throws IOException {
        return LoRA.apply(base, LoRAAdapter.load(folder)).outputSingle(x);
    }

    /** 16/2·x·A·B as PEFT computes it, beside a base that keeps its W. */
    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            auto_mapping        | {"base_model_class": "M", "parent_library": "m"}
            peft_version        | "0.20.1"
            base_model_name_or_path | "bert"
            revision            | "main"
            inference_mode      | false
            task_type           | "FEATURE_EXTRACTION"
            target_modules      | "all-linear"
            target_modules      | ".*fc1"
            exclude_modules     | ["out"]
            lora_dropout        | 0.5
            fan_in_fan_out      | true
            bias                | "none"
            use_rslora          | false
            modules_to_save     | null
            init_lora_weights   | true
            init_lora_weights   | false
            init_lora_weights   | "gaussian"
            init_lora_weights   | "eva"
            init_lora_weights   | "orthogonal"
            init_lora_weights   | "mica"
            layers_to_transform | [0, 1]
            layers_pattern      | "layers"
            rank_pattern        | {"fc2": 7}
            alpha_pattern       | {"fc2": 7}
            megatron_core       | "megatron.core"
            loftq_config        | {"loftq_bits": 4}
            eva_config          | {"rho": 2.0}
            corda_config        | {"corda_method": "ipm"}
            lora_ga_config      | {"direction": "ArB2r"}
            velora_config       | {"num_groups": 1}
            monteclora_config   | {"num_samples": 8}
            qalora_group_size   | 32
            runtime_config      | {"ephemeral_gpu_offload": false}
            target_parameters   | ["fc1.weight"]
            use_bdlora          | {"nblocks": 1, "target_modules_bd_a": ["fc1"]}
            ensure_weight_tying | true
            """)
    void doNotChangeWhatIsComputed(String field, String json) throws IOException {
        write(field, "null".equals(json) ? "null" : json);

        INDArray expected = tensors.get(PREFIX + "fc1.lora_A.weight").transpose()
                .mmul(tensors.get(PREFIX + "fc1.lora_B.weight").transpose()).mul(16.0 / 2);
        assertThat(Networks.difference(LoRAAdapter.load(folder).deltaWeight("fc1"), expected)).as(field).isLessThan(1e-5);
        assertThat(Networks.difference(output(), base.outputSingle(x))).isGreaterThan(1e-3);
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            use_rslora    | true         | 11.313708
            lora_alpha    | 3            | 1.5
            alpha_pattern | {"fc1": 6}   | 3
            alpha_pattern | {"^fc1": 6, "fc1": 8} | 3
            """)
    void changeTheFactor(String field, String json, double factor) throws IOException {
        write(field, json);

        INDArray product = tensors.get(PREFIX + "fc1.lora_A.weight").transpose()
                .mmul(tensors.get(PREFIX + "fc1.lora_B.weight").transpose());
        assertThat(Networks.difference(LoRAAdapter.load(folder).deltaWeight("fc1"), product.mul(factor))).isLessThan(1e-5);
    }

    /** PEFT compares patterns with the parameter's own name there. */
    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            ["fc1.weight"] | {"fc1.weight": 6} | 3
            ["weight"]     | {"fc1.weight": 6} | 3
            ["fc1.weight"] | {"fc1": 6}        | 8
            ["c1.weight"]  | {"fc1": 6}        | 3
            ["fc2.weight"] | {"fc1": 6}        | 3
            """)
    void patternsAreOfParametersThatAreAdaptedThemselves(String parameters, String alphas, double factor) throws IOException {
        write(Map.of("target_parameters", parameters, "alpha_pattern", alphas));

        INDArray product = tensors.get(PREFIX + "fc1.lora_A.weight").transpose()
                .mmul(tensors.get(PREFIX + "fc1.lora_B.weight").transpose());
        assertThat(Networks.difference(LoRAAdapter.load(folder).deltaWeight("fc1"), product.mul(factor))).isLessThan(1e-5);
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            peft_type               | "LOHA"            | peft_type is "LOHA"
            megatron_config         | {"tp": 2}         | megatron_config is
            trainable_token_indices | [1, 2]            | trainable_token_indices is
            alora_invocation_tokens | [1]               | alora_invocation_tokens is
            use_qalora              | true              | use_qalora is true
            layer_replication       | [[0, 4], [2, 5]]  | layer_replication is
            use_bdlora              | {"nblocks": 2}    | use_bdlora has nblocks 2
            use_bdlora              | {"nblocks": "x"}  | use_bdlora has nblocks "x"
            modules_to_save         | [5, null]         | modules_to_save has the element 5
            lora_alpha              | 1e39              | lora_alpha out of range
            arrow_config            | {"top_k": 3}      | arrow_config is
            kasa_config             | {"beta": 1e-4}    | kasa_config is
            init_lora_weights       | "corda"           | init_lora_weights is "corda"
            init_lora_weights       | "loftq"           | init_lora_weights is "loftq"
            init_lora_weights       | "lora_ga"         | init_lora_weights is "lora_ga"
            bias                    | "some"            | bias is "some"
            rank_pattern            | {"fc1": 4}        | has rank 4
            use_rslora              | "True"            | use_rslora is "True"
            use_dora                | "yes"             | use_dora is "yes"
            lora_bias               | "yes"             | lora_bias is "yes"
            rank_pattern            | [["fc1", 4]]      | rank_pattern is
            alpha_pattern           | [["fc1", 4]]      | alpha_pattern is
            modules_to_save         | 5                 | modules_to_save is 5
            target_modules          | []                | nothing
            """)
    void areRefusedByNameHoweverLoose(String field, String json, String message) throws IOException {
        write(field, json);
        if (message.equals("nothing")) {
            assertThat(LoRAAdapter.load(folder).layers()).containsExactly("fc1");
            return;
        }
        for (boolean strict : new boolean[] {true, false}) {
            assertThatThrownBy(() -> LoRAAdapter.loader().strict(strict).load(folder))
                    .isInstanceOf(AdapterFormatException.class).hasMessageContaining(message);
        }
    }

    @Test
    void fanInFanOutWithOloraIsRefusedAsPeftFails() throws IOException {
        write("init_lora_weights", "\"olora\"");
        ObjectNode config = (ObjectNode) AdapterFiles.config(folder);
        config.put("fan_in_fan_out", true);
        Files.write(folder.resolve(AdapterFiles.CONFIG), AdapterFiles.JSON.writeValueAsBytes(config));

        assertThatThrownBy(() -> LoRAAdapter.load(folder)).isInstanceOf(AdapterFormatException.class)
                .hasMessageContaining("fan_in_fan_out with init_lora_weights \"olora\"");
    }

    @Test
    void loraBiasIsAddedToTheBasesBias() throws IOException {
        INDArray bias = Networks.random(DataType.FLOAT, 3, Networks.HIDDEN);
        write("lora_bias", "false");
        ComputationGraph plain = LoRA.merge(LoRA.apply(base, LoRAAdapter.load(folder)));
        plain.getParam("fc1_b").addi(bias.mul(16.0 / 2).reshape(plain.getParam("fc1_b").shape()));
        tensors.put(PREFIX + "fc1.lora_B.bias", bias);
        write("lora_bias", "true");

        assertThat(Networks.difference(output(), plain.outputSingle(x))).isLessThan(1e-5);
        ComputationGraph tuned = LoRA.apply(base, LoRAAdapter.load(folder));
        tuned.getParam("fc1_b").addi(1);
        LoRAAdapter.load(folder).applyTo(tuned);
        assertThat(Networks.difference(tuned.outputSingle(x), plain.outputSingle(x))).as("on a network whose bias was trained")
                .isLessThan(1e-5);
        LoRAAdapter.load(folder).save(folder.resolve("again"));
        assertThat(AdapterFiles.config(folder.resolve("again")).path("lora_bias").asBoolean()).isTrue();
        assertThat(Networks.difference(LoRA.apply(base, LoRAAdapter.load(folder.resolve("again"))).outputSingle(x),
                plain.outputSingle(x))).isLessThan(1e-5);
    }

    @Test
    void whatLoraBiasAddsKeepsItsFactor() throws IOException {
        tensors.put(PREFIX + "fc1.lora_B.bias", Networks.random(DataType.FLOAT, 3, Networks.HIDDEN));
        write("lora_bias", "true");
        LoRAAdapter adapter = LoRAAdapter.load(folder);
        INDArray added = addedToBias(LoRA.apply(base, adapter));

        assertThat(Networks.difference(addedToBias(LoRA.apply(base, adapter.compress(1).adapter())), added)).isLessThan(1e-5);
        for (Combination.Method method : List.of(Combination.Method.CAT, Combination.Method.SVD)) {
            LoRAAdapter half = LoRAAdapter.combine(method).add(adapter, 0.5).build();
            assertThat(Networks.difference(addedToBias(LoRA.apply(base, half)), added.mul(0.5))).as(method.name())
                    .isLessThan(1e-5);
        }
        ComputationGraph tuned = LoRA.apply(base, adapter);
        adapter.applyTo(tuned, LoRAAdapter.ApplyOption.KEEP_BIASES);
        adapter.applyTo(tuned, LoRAAdapter.ApplyOption.KEEP_BIASES);
        assertThat(Networks.difference(addedToBias(tuned), added)).as("applied once more").isLessThan(1e-5);
    }

    private INDArray addedToBias(ComputationGraph tuned) {
        return tuned.getParam("fc1_b").sub(base.getParam("fc1_b"));
    }

    @Test
    void whatOnlyConcernsTrainingIsLeftOut() throws IOException {
        write("velora_config", "null");
        INDArray expected = output();
        tensors.put(PREFIX + "fc1.lora_velora_embed", Networks.random(DataType.FLOAT, 3, Networks.IN));
        write("velora_config", "{\"num_groups\": 1}");
        assertThat(output()).isEqualTo(expected);
        tensors.remove(PREFIX + "fc1.lora_velora_embed");
        tensors.put(PREFIX + "fc1.lora_monteclora_sampler.expert_weights", Networks.random(DataType.FLOAT, 3, 8));
        write("monteclora_config", "{\"num_samples\": 8}");
        assertThat(output()).isEqualTo(expected);
    }

    @Test
    void aTensorOfAnAdaptedLayerThatIsUnknownIsNeverLeftOut() throws IOException {
        tensors.put(PREFIX + "fc1.lora_diag", Networks.random(DataType.FLOAT, 3, 2));
        write("revision", "null");

        assertThatThrownBy(() -> LoRAAdapter.loader().strict(false).load(folder)).isInstanceOf(AdapterFormatException.class)
                .hasMessageContaining("[base_model.model.fc1.lora_diag]").hasMessageContaining("would change what");
    }

    @Test
    void stackedParametersAndGroupedConvolutionsAreRefusedByName() throws IOException {
        tensors.put(PREFIX + "fc1.lora_A.weight", Networks.random(DataType.FLOAT, 1, 6, Networks.IN));
        tensors.put(PREFIX + "fc1.lora_B.weight", Networks.random(DataType.FLOAT, 2, Networks.HIDDEN, 6));
        write("target_parameters", "[\"fc1.weight\"]");
        assertThatThrownBy(() -> LoRAAdapter.load(folder))
                .hasMessageContaining("is one of target_parameters and stacks 3 matrices");
        tensors.put(PREFIX + "fc1.lora_A.weight", Networks.random(DataType.FLOAT, 1, 2, 4, 3, 3));
        tensors.put(PREFIX + "fc1.lora_B.weight", Networks.random(DataType.FLOAT, 2, 8, 1, 1, 1));
        write("revision", "null");
        assertThatThrownBy(() -> LoRAAdapter.load(folder)).hasMessageContaining("is a grouped convolution of 2 groups");
    }

    /** Its columns: field, value, how it is read. */
    @Test
    void theGuidesTableHasEveryField() throws IOException {
        Set<String> named = new TreeSet<>();
        List<String> lines = Files.readAllLines(Path.of("..", "docs", "guide", "peft.md"));
        int begin = lines.indexOf("| `LoraConfig` | read as | written as |");
        assertThat(begin).as("the table's head").isPositive();
        List<String> rows = new ArrayList<>(lines.subList(begin + 2, lines.size()));
        for (String row : rows) {
            if (!row.startsWith("|")) {
                break;
            }
            for (String field : row.split("\\|")[1].split(":")[0].split(",")) {
                named.add(field.trim().replace("`", ""));
            }
            assertThat(row).containsPattern("same|converted|refused");
        }
        assertThat(named).containsExactlyInAnyOrderElementsOf(FIELDS);
    }
}
