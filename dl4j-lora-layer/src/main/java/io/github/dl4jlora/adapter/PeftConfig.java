package io.github.dl4jlora.adapter;

import io.github.dl4jlora.BiasTraining;
import io.github.dl4jlora.internal.untrusted.UntrustedJson;
import org.nd4j.shade.jackson.core.JsonParser;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.ObjectMapper;
import org.nd4j.shade.jackson.databind.node.ObjectNode;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;
import java.util.stream.Collectors;

/**
 * PEFT's {@code adapter_config.json}, as far as it says what the adapter computes.
 *
 * @param rank          {@code r}
 * @param alpha         {@code lora_alpha}
 * @param useRsLora     scale by 1/√r instead of 1/r
 * @param rankPattern   other ranks by module name
 * @param alphaPattern  other alphas by module name
 * @param targets       adapted modules
 * @param modulesToSave modules trained in full
 * @param dropout       {@code lora_dropout}
 * @param saveId        tells one save from another; null in files of other programs
 * @param useDora       {@code use_dora}
 * @param init          {@code init_lora_weights}, true, false or a word
 * @param bias          {@code bias}
 */
record PeftConfig(int rank, double alpha, boolean useRsLora, Map<String, Integer> rankPattern, Map<String, Double> alphaPattern,
                  List<String> targets, List<String> modulesToSave, double dropout, String saveId, boolean useDora, Object init,
                  BiasTraining bias) {

    private static final ObjectMapper JSON = new ObjectMapper().enable(JsonParser.Feature.STRICT_DUPLICATE_DETECTION);
    private static final int DEEPEST = 16;
    private static final int MOST_READS = 1_000_000;

    /** Settings that change what the adapter computes, each with the value at which it does not. */
    private static final List<String> UNSUPPORTED_IF_TRUE =
            List.of("fan_in_fan_out", "lora_bias", "use_qalora", "alora_invocation_tokens", "layer_replication",
                    "megatron_config", "trainable_token_indices", "target_parameters", "arrow_config", "corda_config", "eva_config");

    /** Text that a regular expression may look at only so often: some take exponential time. */
    private record Metered(CharSequence text, int[] readsLeft) implements CharSequence {

        @Override
        public char charAt(int index) {
            if (readsLeft[0]-- == 0) {
                throw new TooCostly();
            }
            return text.charAt(index);
        }

        @Override
        public int length() {
            return text.length();
        }

        @Override
        public CharSequence subSequence(int from, int to) {
            return new Metered(text.subSequence(from, to), readsLeft);
        }
    }

    private static final class TooCostly extends RuntimeException {

        private static final long serialVersionUID = 1L;
    }

    /** One adapted module. */
    record Module(String name, int rank, double peftAlpha) {
    }

    static PeftConfig of(List<Module> modules, boolean useRsLora, List<String> modulesToSave, double dropout, String saveId) {
        int rank = mostCommon(modules, Module::rank);
        double alpha = mostCommon(modules, Module::peftAlpha);
        Map<String, Integer> ranks = new LinkedHashMap<>();
        Map<String, Double> alphas = new LinkedHashMap<>();
        for (Module module : modules) {
            if (module.rank != rank) {
                ranks.put(pattern(module, modules), module.rank);
            }
            if (module.peftAlpha != alpha) {
                alphas.put(pattern(module, modules), module.peftAlpha);
            }
        }
        return new PeftConfig(rank, alpha, useRsLora, ranks, alphas, modules.stream().map(Module::name).toList(), modulesToSave,
                dropout, saveId, false, true, BiasTraining.NONE);
    }

    PeftConfig with(boolean dora, Object initLoraWeights, BiasTraining biasTraining) {
        return new PeftConfig(rank, alpha, useRsLora, rankPattern, alphaPattern, targets, modulesToSave, dropout, saveId, dora,
                initLoraWeights, biasTraining);
    }

    private static <T> T mostCommon(List<Module> modules, Function<Module, T> property) {
        Map<T, Long> counts = modules.stream().collect(Collectors.groupingBy(property, LinkedHashMap::new, Collectors.counting()));
        return counts.entrySet().stream().max(Comparator.comparingLong(Map.Entry::getValue)).orElseThrow().getKey();
    }

    /** PEFT reads the keys of its patterns as regular expressions, and as the end of a dotted name unless they begin with ^. */
    private static String pattern(Module module, List<Module> modules) {
        boolean endsOther = modules.stream().anyMatch(other -> other.name.endsWith("." + module.name));
        return (endsOther ? "^" : "") + module.name.replaceAll("([\\\\.^$|?*+()\\[\\]{}])", "\\\\$1");
    }

    /** Whether {@code modules_to_save} names the module, one around it, or the end of either's dotted name. */
    boolean savesModule(String module) {
        return modulesToSave.stream().anyMatch(saved -> isPartOf(module, saved));
    }

    static boolean isPartOf(String module, String saved) {
        return ("." + module + ".").contains("." + saved + ".");
    }

    int rankOf(String module) throws AdapterFormatException {
        return matching(rankPattern, module, rank);
    }

    double alphaOf(String module) throws AdapterFormatException {
        return matching(alphaPattern, module, alpha);
    }

    private static <T> T matching(Map<String, T> patterns, String module, T otherwise) throws AdapterFormatException {
        for (Map.Entry<String, T> pattern : patterns.entrySet()) {
            try {
                if (Pattern.matches("(.*\\.)?(" + pattern.getKey() + ")", new Metered(module, new int[] {MOST_READS}))) {
                    return pattern.getValue();
                }
            } catch (PatternSyntaxException e) {
                throw new AdapterFormatException("adapter_config.json: \"" + pattern.getKey() + "\" is no regular expression", e);
            } catch (TooCostly | StackOverflowError e) {
                throw new AdapterFormatException("adapter_config.json: \"" + pattern.getKey() + "\" takes too long to match", e);
            }
        }
        return otherwise;
    }

    byte[] toJson() throws IOException {
        ObjectNode json = JSON.createObjectNode();
        ObjectNode origin = json.putObject("auto_mapping");
        origin.putNull("base_model_class");
        origin.putNull("parent_library");
        origin.put("dl4j_lora_save", saveId);
        json.putNull("base_model_name_or_path");
        json.put("bias", bias.peftName());
        json.put("fan_in_fan_out", false);
        json.put("inference_mode", true);
        json.putPOJO("init_lora_weights", init);
        if (alpha == Math.rint(alpha) && Math.abs(alpha) < 1L << 53) {
            json.put("lora_alpha", (long) alpha);
        } else {
            json.put("lora_alpha", alpha);
        }
        json.put("lora_dropout", dropout);
        if (modulesToSave.isEmpty()) {
            json.putNull("modules_to_save");
        } else {
            modulesToSave.forEach(json.putArray("modules_to_save")::add);
        }
        json.put("peft_type", "LORA");
        json.put("r", rank);
        alphaPattern.forEach(json.putObject("alpha_pattern")::put);
        rankPattern.forEach(json.putObject("rank_pattern")::put);
        targets.forEach(json.putArray("target_modules")::add);
        json.putNull("task_type");
        json.put("use_dora", useDora);
        json.put("use_rslora", useRsLora);
        return JSON.writerWithDefaultPrettyPrinter().writeValueAsBytes(json);
    }

    /**
     * @throws AdapterFormatException if it is no LoRA configuration, or asks for something that is not supported
     */
    static PeftConfig parse(byte[] text) throws AdapterFormatException {
        JsonNode json;
        try {
            UntrustedJson.refuseExcess(text, DEEPEST);
            json = JSON.readTree(text);
        } catch (IOException e) {
            throw new AdapterFormatException("adapter_config.json is no JSON: " + e.getMessage(), e);
        }
        if (json == null || !json.isObject()) {
            throw new AdapterFormatException("adapter_config.json is no JSON object");
        }
        if (!"LORA".equals(json.path("peft_type").asText())) {
            throw new AdapterFormatException("adapter_config.json: peft_type is " + json.path("peft_type") + "; LORA is supported");
        }
        for (String setting : UNSUPPORTED_IF_TRUE) {
            JsonNode value = json.path(setting);
            boolean off = value.isMissingNode() || value.isNull() || value.isBoolean() && !value.asBoolean()
                    || value.isContainerNode() && value.isEmpty();
            if (!off) {
                throw new AdapterFormatException("adapter_config.json: " + setting + " is " + value + ", which is not supported");
            }
        }
        BiasTraining bias;
        try {
            bias = BiasTraining.ofPeftName(json.path("bias").asText("none"));
        } catch (IllegalArgumentException e) {
            throw new AdapterFormatException("adapter_config.json: " + e.getMessage(), e);
        }
        JsonNode init = json.path("init_lora_weights");
        Map<String, Integer> ranks = new LinkedHashMap<>();
        for (Map.Entry<String, JsonNode> entry : fields(json, "rank_pattern")) {
            ranks.put(entry.getKey(), rank(entry.getValue(), "rank_pattern." + entry.getKey()));
        }
        Map<String, Double> alphas = new LinkedHashMap<>();
        for (Map.Entry<String, JsonNode> entry : fields(json, "alpha_pattern")) {
            alphas.put(entry.getKey(), number(entry.getValue(), "alpha_pattern." + entry.getKey()));
        }
        JsonNode dropout = json.path("lora_dropout");
        double drop = dropout.isMissingNode() || dropout.isNull() ? 0 : number(dropout, "lora_dropout");
        if (drop < 0 || drop >= 1) {
            throw new AdapterFormatException("adapter_config.json: lora_dropout is " + drop + ", but must be at least 0 and below 1");
        }
        return new PeftConfig(rank(json.path("r"), "r"), number(json.path("lora_alpha"), "lora_alpha"),
                json.path("use_rslora").asBoolean(false), ranks, alphas, strings(json.path("target_modules")),
                strings(json.path("modules_to_save")), drop, json.path("auto_mapping").path("dl4j_lora_save").asText(null),
                json.path("use_dora").asBoolean(false), init.isMissingNode() || init.isNull() ? null : init.asText(), bias);
    }

    private static Iterable<Map.Entry<String, JsonNode>> fields(JsonNode json, String name) {
        return () -> json.path(name).fields();
    }

    private static int rank(JsonNode value, String name) throws AdapterFormatException {
        if (!value.isInt() || value.asInt() < 1) {
            throw new AdapterFormatException("adapter_config.json: " + name + " is " + value + ", but must be a whole number of at least 1");
        }
        return value.asInt();
    }

    private static double number(JsonNode value, String name) throws AdapterFormatException {
        if (!value.isNumber() || !Double.isFinite(value.asDouble())) {
            throw new AdapterFormatException("adapter_config.json: " + name + " is " + value + ", but must be a finite number");
        }
        return value.asDouble();
    }

    private static List<String> strings(JsonNode value) {
        List<String> strings = new ArrayList<>();
        if (value.isTextual()) {
            strings.add(value.asText());
        }
        value.forEach(element -> strings.add(element.asText()));
        return strings;
    }
}
