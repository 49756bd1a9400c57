package io.github.dl4jlora.internal.peft;

import io.github.dl4jlora.conf.BiasTraining;
import io.github.dl4jlora.exception.AdapterFormatException;
import io.github.dl4jlora.internal.content.TorchModel;
import io.github.dl4jlora.internal.untrusted.UntrustedJson;
import org.jspecify.annotations.Nullable;
import org.nd4j.shade.jackson.core.JsonFactory;
import org.nd4j.shade.jackson.core.JsonParser;
import org.nd4j.shade.jackson.core.json.JsonReadFeature;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.ObjectMapper;
import org.nd4j.shade.jackson.databind.node.ObjectNode;

import java.io.IOException;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;

/** The text of {@code adapter_config.json}, which is read as hostile. */
public final class PeftConfigJson {

    private static final ObjectMapper JSON = new ObjectMapper(
            // Python writes and reads NaN and Infinity.
            JsonFactory.builder().enable(JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS).build())
            .enable(JsonParser.Feature.STRICT_DUPLICATE_DETECTION);
    private static final int DEEPEST = 16;
    /** Where versions before 0.4.0 wrote which save this is. PEFT takes what is there for the name of a class. */
    private static final String ORIGIN = "auto_mapping";
    private static final String SAVE_ID = "dl4j_lora_save";
    private static final String VERSION = "peft_version";
    /** The version of PEFT whose fields are written; what follows the plus is for whoever wrote it, by Python's PEP 440. */
    private static final String WRITTEN_FOR = "0.20.0+dl4jlora.";

    /** Settings that, unless they are off, change what the adapter computes in a way that no network here can. */
    private static final List<String> UNSUPPORTED =
            List.of("use_qalora", "layer_replication", "megatron_config", "trainable_token_indices", "kasa_config",
                    "enable_lora");
    /** The same, where what is computed depends on the input, so that merged weights cannot either. */
    private static final List<String> NO_COUNTERPART = List.of("alora_invocation_tokens", "arrow_config");
    private static final String MERGE = "Merge the adapter in Python (merge_and_unload), and open the merged model";
    /** All other settings of PEFT up to 0.20.1, with those that it had before. */
    private static final Set<String> OTHERS = Set.of("peft_type", "auto_mapping", "peft_version", "base_model_name_or_path",
            "revision", "inference_mode", "task_type", "r", "target_modules", "exclude_modules", "lora_alpha", "lora_dropout",
            "fan_in_fan_out", "bias", "use_rslora", "modules_to_save", "init_lora_weights", "layers_to_transform",
            "layers_pattern", "rank_pattern", "alpha_pattern", "megatron_core", "loftq_config", "eva_config", "corda_config",
            "lora_ga_config", "use_dora", "velora_config", "qalora_group_size", "monteclora_config", "runtime_config",
            "lora_bias", "target_parameters", "use_bdlora", "ensure_weight_tying", "merge_weights");

    private PeftConfigJson() {
    }

    public static byte[] bytes(PeftConfig config) throws IOException {
        ObjectNode json = JSON.createObjectNode();
        json.putNull(ORIGIN);
        json.put("base_model_name_or_path", config.model().base());
        json.put("bias", config.bias().peftName());
        json.put("fan_in_fan_out", config.fanInFanOut());
        json.put("inference_mode", true);
        json.putPOJO("init_lora_weights", config.init());
        // PEFT's own files have whole numbers here.
        if (config.alpha() == Math.rint(config.alpha()) && Math.abs(config.alpha()) < 1L << 53) {
            json.put("lora_alpha", (long) config.alpha());
        } else {
            json.put("lora_alpha", config.alpha());
        }
        json.put("lora_bias", config.loraBias());
        json.put("lora_dropout", config.dropout());
        if (config.modulesToSave().isEmpty()) {
            json.putNull("modules_to_save");
        } else {
            config.modulesToSave().forEach(json.putArray("modules_to_save")::add);
        }
        json.put("peft_type", "LORA");
        json.put(VERSION, WRITTEN_FOR + config.saveId());
        json.put("r", config.rank());
        config.alphas().values().forEach(json.putObject("alpha_pattern")::put);
        config.ranks().values().forEach(json.putObject("rank_pattern")::put);
        config.targets().forEach(json.putArray("target_modules")::add);
        json.put("task_type", config.model().task());
        json.put("use_dora", config.useDora());
        json.put("use_rslora", config.useRsLora());
        return JSON.writerWithDefaultPrettyPrinter().writeValueAsBytes(json);
    }

    /**
     * @throws AdapterFormatException if it is no LoRA configuration, or asks for something that is not supported
     */
    public static PeftConfig parse(byte[] text) throws AdapterFormatException {
        JsonNode json = object(text);
        requireSupported(json);
        BiasTraining bias = bias(json);
        JsonNode init = json.path("init_lora_weights");
        Map<String, Integer> ranks = new LinkedHashMap<>();
        for (Map.Entry<String, JsonNode> entry : fields(json, "rank_pattern")) {
            ranks.put(entry.getKey(), rank(entry.getValue(), "rank_pattern." + entry.getKey()));
        }
        Map<String, Double> alphas = new LinkedHashMap<>();
        for (Map.Entry<String, JsonNode> entry : fields(json, "alpha_pattern")) {
            alphas.put(entry.getKey(), number(entry.getValue(), "alpha_pattern." + entry.getKey()));
        }
        double dropout = dropout(json.path("lora_dropout"));
        return new PeftConfig(rank(json.path("r"), "r"), number(json.path("lora_alpha"), "lora_alpha"),
                flag(json, "use_rslora"), new ModulePatterns<>(ranks), new ModulePatterns<>(alphas),
                strings(json, "target_modules"), strings(json, "modules_to_save"), dropout,
                saveId(json), flag(json, "use_dora"),
                flag(json, "lora_bias"), strings(json, "target_parameters"),
                init.isMissingNode() || init.isNull() ? null : init.asText(), bias,
                flag(json, "fan_in_fan_out"), flag(json, "ensure_weight_tying"), model(json), adapted(json));
    }

    private static @Nullable String saveId(JsonNode json) {
        String version = json.path(VERSION).asText("");
        return version.startsWith(WRITTEN_FOR) ? version.substring(WRITTEN_FOR.length())
                : json.path(ORIGIN).path(SAVE_ID).asText(null);
    }

    private static TorchModel model(JsonNode json) {
        String task = json.path("task_type").asText(null);
        return new TorchModel(json.path("base_model_name_or_path").asText(null),
                task != null && TorchModel.TASKS.contains(task) ? task : null);
    }

    private static TargetModules adapted(JsonNode json) throws AdapterFormatException {
        if (isOn(json.path("target_parameters"))) {
            return TargetModules.ALL;
        }
        JsonNode blocks = json.path("layers_to_transform");
        Set<Integer> numbers = new HashSet<>();
        (blocks.isInt() ? List.of(blocks) : blocks).forEach(block -> numbers.add(block.asInt(-1)));
        JsonNode targets = json.path("target_modules");
        return new TargetModules("all-linear".equals(targets.asText()) ? null : names(json, "target_modules"),
                names(json, "exclude_modules"), numbers, strings(json, "layers_pattern"));
    }

    private static TargetModules.@Nullable Names names(JsonNode json, String field) throws AdapterFormatException {
        JsonNode value = json.path(field);
        return !isOn(value) ? null : value.isTextual() ? new TargetModules.Names(Set.of(), value.asText())
                : new TargetModules.Names(new HashSet<>(strings(json, field)), null);
    }

    /**
     * {@return fields that no known version of PEFT has, unless they are off} Each may ask for something that is not computed
     * here.
     *
     * @throws AdapterFormatException if it is no JSON object
     */
    static List<String> unknown(byte[] text) throws AdapterFormatException {
        List<String> unknown = new ArrayList<>();
        for (Iterator<Map.Entry<String, JsonNode>> fields = object(text).fields(); fields.hasNext();) {
            Map.Entry<String, JsonNode> field = fields.next();
            JsonNode value = field.getValue();
            boolean known = Stream.of(OTHERS, UNSUPPORTED, NO_COUNTERPART).anyMatch(names -> names.contains(field.getKey()));
            if (!known && isOn(value) && !(value.isNumber() && value.asDouble() == 0) && !(value.isTextual()
                    && value.asText().isEmpty())) {
                unknown.add(field.getKey() + " = " + value);
            }
        }
        return unknown;
    }

    private static JsonNode object(byte[] text) throws AdapterFormatException {
        JsonNode json;
        try {
            UntrustedJson.refuseExcess(text, DEEPEST);
            json = JSON.readTree(text);
        } catch (IOException e) {
            throw new AdapterFormatException(PeftFolder.CONFIG + " is not JSON, or was cut short: "
                    + String.valueOf(e.getMessage()).lines().findFirst().orElse("") + ". Save the adapter again", e);
        }
        if (json == null || !json.isObject()) {
            throw new AdapterFormatException(PeftFolder.CONFIG + " is not a JSON object. Save the adapter again");
        }
        return json;
    }

    private static void requireSupported(JsonNode json) throws AdapterFormatException {
        if (!"LORA".equals(json.path("peft_type").asText())) {
            throw refusal("peft_type is " + shown(json.path("peft_type")) + "; only LORA is supported");
        }
        for (String setting : UNSUPPORTED) {
            if (isOn(json.path(setting))) {
                throw refusal(setting + " is " + shown(json.path(setting)) + ", which is not supported. " + MERGE);
            }
        }
        for (String setting : NO_COUNTERPART) {
            if (isOn(json.path(setting))) {
                throw refusal(setting + " is " + shown(json.path(setting)) + ", which has no counterpart here: what such an "
                        + "adapter adds depends on the input. Train one without it");
            }
        }
        JsonNode blocks = json.path("use_bdlora");
        if (isOn(blocks) && blocks.has("nblocks") && !(blocks.get("nblocks").isInt() && blocks.get("nblocks").asInt() == 1)) {
            throw refusal("use_bdlora has nblocks " + shown(blocks.path("nblocks"))
                    + "; block-diagonal adapters of more than one block are not supported. " + MERGE);
        }
        if (isOn(json.path("fan_in_fan_out")) && "olora".equalsIgnoreCase(json.path("init_lora_weights").asText())) {
            throw refusal("fan_in_fan_out with init_lora_weights \"olora\" is not supported: PEFT does not transpose W for this "
                    + "start, and fails. Train the adapter with another start");
        }
    }

    private static boolean isOn(JsonNode value) {
        return !(value.isMissingNode() || value.isNull() || value.isBoolean() && !value.asBoolean()
                || value.isContainerNode() && value.isEmpty());
    }

    private static BiasTraining bias(JsonNode json) throws AdapterFormatException {
        try {
            return BiasTraining.ofPeftName(json.path("bias").asText("none"));
        } catch (IllegalArgumentException e) {
            throw new AdapterFormatException(PeftFolder.CONFIG + ": " + e.getMessage(), e);
        }
    }

    private static double dropout(JsonNode value) throws AdapterFormatException {
        double dropout = value.isMissingNode() || value.isNull() ? 0 : number(value, "lora_dropout");
        if (dropout < 0 || dropout >= 1) {
            throw refusal("lora_dropout is " + dropout + ", but must be at least 0 and below 1");
        }
        return dropout;
    }

    private static Iterable<Map.Entry<String, JsonNode>> fields(JsonNode json, String name) throws AdapterFormatException {
        JsonNode value = json.path(name);
        if (!value.isObject() && isOn(value)) {
            throw refusal(name + " is " + shown(value) + ", but must be an object of patterns and numbers");
        }
        return value::fields;
    }

    /** Python takes every text that is not empty for true: what is no boolean is refused, not guessed. */
    private static boolean flag(JsonNode json, String name) throws AdapterFormatException {
        JsonNode value = json.path(name);
        if (!value.isBoolean() && !value.isNumber() && isOn(value)) {
            throw refusal(name + " is " + shown(value) + ", but must be true or false");
        }
        return value.asBoolean(false);
    }

    private static int rank(JsonNode value, String name) throws AdapterFormatException {
        if (!value.isInt() || value.asInt() < 1) {
            throw refusal(name + " is " + shown(value) + ", but must be a whole number of at least 1");
        }
        return value.asInt();
    }

    private static double number(JsonNode value, String name) throws AdapterFormatException {
        if (!value.isNumber() || !Double.isFinite(value.asDouble())) {
            throw refusal(name + " is " + shown(value) + ", but must be a finite number");
        }
        return value.asDouble();
    }

    private static List<String> strings(JsonNode json, String name) throws AdapterFormatException {
        JsonNode value = json.path(name);
        if (value.isTextual()) {
            return List.of(value.asText());
        }
        if (!value.isArray() && isOn(value)) {
            throw refusal(name + " is " + shown(value) + ", but must be a list of names");
        }
        List<String> strings = new ArrayList<>();
        for (JsonNode element : value) {
            if (!element.isTextual()) {
                throw refusal(name + " has the element " + shown(element) + ", but must be a list of names");
            }
            strings.add(element.asText());
        }
        return strings;
    }

    /** For messages, which are to be one sentence whatever the file has there. */
    private static String shown(JsonNode value) {
        return value.isMissingNode() ? "missing" : UntrustedJson.line(value.toString());
    }

    private static AdapterFormatException refusal(String what) {
        return new AdapterFormatException(PeftFolder.CONFIG + ": " + what);
    }
}
