package io.github.dl4jlora.internal.peft;

import io.github.dl4jlora.BiasTraining;
import io.github.dl4jlora.adapter.AdapterFormatException;

import java.util.Collection;
import java.util.EnumMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/**
 * A file's tensors by what they are, which their names tell. Each is looked at once.
 *
 * <pre>
 * base_model.model.(layer)(end of A or B)        {@link TensorLayout}: part of an adapted layer
 * base_model.model.(layer)(end of another part)  {@link ExtraPart}: the same
 * base_model.model.(layer).(parameter)           of a layer that modules_to_save names: trained in full
 * base_model.model.(layer).bias                  {@link Biases}, with bias "lora_only" or "all"
 * </pre>
 */
public final class TensorIndex {

    private static final String PREFIX = "base_model.model.";
    private static final String LORA = ".lora_";

    private final PeftConfig config;
    private final Set<String> names;
    private final DottedNames modulesToSave;
    private final Map<String, String> a = new LinkedHashMap<>();
    private final Map<String, String> b = new LinkedHashMap<>();
    private final Map<String, Map<ExtraPart, String>> extra = new LinkedHashMap<>();
    private final Map<String, Map<String, String>> trained = new LinkedHashMap<>();
    private final Map<String, String> biases = new LinkedHashMap<>();
    private final Set<String> strangers = new TreeSet<>();

    /**
     * @throws AdapterFormatException if a layer has A or B twice
     */
    public TensorIndex(Collection<String> names, PeftConfig config) throws AdapterFormatException {
        this.config = config;
        this.names = new HashSet<>(names);
        this.modulesToSave = new DottedNames(config.modulesToSave());
        for (String name : names) {
            add(name);
        }
    }

    /** A tensor's name in full. */
    public static String name(String layer, String end) {
        return PREFIX + layer + end;
    }

    private void add(String name) throws AdapterFormatException {
        String module = name.startsWith(PREFIX) ? name.substring(PREFIX.length()) : "";
        int dot = module.lastIndexOf('.');
        ExtraPart part = extraPart(module);
        if (part != null) {
            String layer = without(module, module.endsWith(part.suffix()) ? part.suffix() : Biases.SUFFIX);
            extra.computeIfAbsent(layer, key -> new EnumMap<>(ExtraPart.class)).put(part, name);
        } else if (endsWith(module, TensorLayout.LINEAR.nameOfA(), TensorLayout.EMBEDDING.nameOfA())) {
            putOnce(a, module, name);
        } else if (endsWith(module, TensorLayout.LINEAR.nameOfB(), TensorLayout.EMBEDDING.nameOfB())) {
            putOnce(b, module, name);
        } else if (dot > 0 && !modulesToSave.in(module.substring(0, dot)).isEmpty()) {
            trained.computeIfAbsent(module.substring(0, dot), key -> new LinkedHashMap<>()).put(module.substring(dot + 1), name);
        } else if (config.bias() != BiasTraining.NONE && module.endsWith(Biases.SUFFIX)) {
            biases.put(module.substring(0, dot), name);
        } else {
            strangers.add(name);
        }
    }

    /** Null for a tensor that is none. */
    private ExtraPart extraPart(String module) {
        for (ExtraPart part : ExtraPart.values()) {
            if (module.endsWith(part.suffix()) && part.isWanted(config)) {
                return part;
            }
        }
        // PEFT's own lora_only, and loralib, leave base_layer out.
        boolean ofAdapted = ExtraPart.BIAS.isWanted(config) && module.endsWith(Biases.SUFFIX)
                && names.contains(name(without(module, Biases.SUFFIX), TensorLayout.LINEAR.nameOfA()));
        return ofAdapted ? ExtraPart.BIAS : null;
    }

    private static boolean endsWith(String module, String end, String endInEmbedding) {
        return module.endsWith(end) || module.endsWith(endInEmbedding);
    }

    private static String without(String text, String end) {
        return text.substring(0, text.length() - end.length());
    }

    private static void putOnce(Map<String, String> tensors, String module, String name) throws AdapterFormatException {
        String layer = module.substring(0, module.lastIndexOf(LORA));
        String other = tensors.put(layer, name);
        if (other != null) {
            throw new AdapterFormatException("Layer \"" + layer + "\" has both " + other + " and " + name);
        }
    }

    /** Layers with both A and B, in the order of A in the file. */
    public Set<String> layers() {
        Set<String> layers = new LinkedHashSet<>(a.keySet());
        layers.retainAll(b.keySet());
        return layers;
    }

    public String a(String layer) {
        return a.get(layer);
    }

    public String b(String layer) {
        return b.get(layer);
    }

    /** By layer and part; among the layers may be some that lack A or B. */
    public Map<String, Map<ExtraPart, String>> extra() {
        return extra;
    }

    /** By layer and PyTorch's name of the parameter. */
    public Map<String, Map<String, String>> trained() {
        return trained;
    }

    /** By the name that {@link Biases} have. */
    public Map<String, String> biases() {
        return biases;
    }

    /** Names of tensors that an adapter of this configuration lacks, in alphabetical order. */
    public Set<String> missing() {
        Set<String> missing = new TreeSet<>();
        b.keySet().stream().filter(layer -> !a.containsKey(layer))
                .forEach(layer -> missing.add(name(layer, TensorLayout.LINEAR.nameOfA())));
        a.keySet().forEach(layer -> {
            if (!b.containsKey(layer)) {
                missing.add(name(layer, TensorLayout.LINEAR.nameOfB()));
            }
            ExtraPart.missing(config, extra.getOrDefault(layer, Map.of()).keySet())
                    .forEach(part -> missing.add(name(layer, part.suffix())));
        });
        Set<String> unsaved = new HashSet<>(config.modulesToSave());
        trained.keySet().forEach(layer -> unsaved.removeAll(modulesToSave.in(layer)));
        unsaved.forEach(module -> missing.add(name(module, ".*")));
        // Files of ours name every target in full; PEFT's may name some that a model has not.
        if (config.saveId() != null) {
            config.targets().stream().filter(layer -> !a.containsKey(layer) && !b.containsKey(layer))
                    .forEach(layer -> missing.addAll(List.of(name(layer, TensorLayout.LINEAR.nameOfA()),
                            name(layer, TensorLayout.LINEAR.nameOfB()))));
        }
        return missing;
    }

    /** Names of tensors that an adapter of this configuration has no place for, in alphabetical order. */
    public Set<String> surplus() {
        Set<String> surplus = new TreeSet<>(strangers);
        extra.forEach((layer, parts) -> {
            if (!a.containsKey(layer)) {
                parts.keySet().forEach(part -> surplus.add(name(layer, part.suffix())));
            }
        });
        return surplus;
    }
}
