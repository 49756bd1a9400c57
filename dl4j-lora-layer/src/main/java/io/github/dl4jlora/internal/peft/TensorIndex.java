package io.github.dl4jlora.internal.peft;

import io.github.dl4jlora.exception.AdapterFormatException;
import io.github.dl4jlora.internal.content.Biases;
import io.github.dl4jlora.internal.content.TensorLayout;
import io.github.dl4jlora.internal.untrusted.Budget;
import io.github.dl4jlora.internal.untrusted.Few;

import java.util.Collection;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeSet;

/** A file's tensors, sorted by what {@link TensorNames} says they are. Each is looked at once. */
final class TensorIndex {

    private final PeftConfig config;
    private final TensorNames names;
    private final Map<String, String> a = new LinkedHashMap<>();
    private final Map<String, String> b = new LinkedHashMap<>();
    private final Map<String, Map<ExtraPart, String>> extra = new LinkedHashMap<>();
    private final Map<String, Map<String, String>> trained = new LinkedHashMap<>();
    private final Map<String, String> biases = new LinkedHashMap<>();
    /** Layers that have a tensor which is not needed. */
    private final Set<String> idle = new TreeSet<>();
    private final Set<String> strangers = new TreeSet<>();

    /**
     * @param budget of the file
     * @throws AdapterFormatException if two tensors are the same part of a layer, or one is needed for a computation that is
     *                                not known here
     */
    TensorIndex(Collection<String> names, PeftConfig config, Budget budget) throws AdapterFormatException {
        this.config = config;
        this.names = new TensorNames(names, config, budget);
        Set<String> unknown = new TreeSet<>();
        for (String name : names) {
            add(name, unknown);
        }
        if (!unknown.isEmpty()) {
            throw new AdapterFormatException("The tensors " + Few.of(unknown) + " belong to adapted layers, but their use is "
                    + "neither known here nor switched on in " + PeftFolder.CONFIG + ". Leaving them out would change what the "
                    + "adapter computes");
        }
    }

    private void add(String name, Set<String> unknown) throws AdapterFormatException {
        TensorName tensor = names.of(name);
        if (tensor instanceof TensorName.Factor factor) {
            putOnce(factor.isA() ? a : b, factor.layer(), factor.layer(), name);
        } else if (tensor instanceof TensorName.Part part) {
            putOnce(extra.computeIfAbsent(part.layer(), key -> new EnumMap<>(ExtraPart.class)), part.part(), part.layer(), name);
        } else if (tensor instanceof TensorName.Parameter value) {
            putOnce(trained.computeIfAbsent(value.layer(), key -> new LinkedHashMap<>()), value.parameter(), value.layer(), name);
        } else if (tensor instanceof TensorName.Bias bias) {
            putOnce(biases, bias.name(), bias.name(), name);
        } else if (tensor instanceof TensorName.Idle other) {
            idle.add(other.layer());
        } else if (tensor instanceof TensorName.Unknown) {
            unknown.add(name);
        } else if (tensor instanceof TensorName.Stranger) {
            strangers.add(name);
        }
    }

    private static <K> void putOnce(Map<K, String> tensors, K key, String layer, String name) throws AdapterFormatException {
        String other = tensors.put(key, name);
        if (other != null) {
            throw new AdapterFormatException("Layer \"" + layer + "\" has both " + other + " and " + name);
        }
    }

    /** Layers with A, B and all else that an adapter of this configuration has, in the order of A in the file. */
    Set<String> layers() {
        Set<String> layers = new LinkedHashSet<>(a.keySet());
        layers.removeIf(layer -> !b.containsKey(layer) || !missingBeside(layer).isEmpty());
        return layers;
    }

    /** Layers of which there is A or B, but not all that belongs to them, in alphabetical order. */
    Set<String> incomplete() {
        Set<String> incomplete = new TreeSet<>(a.keySet());
        incomplete.addAll(b.keySet());
        incomplete.removeAll(layers());
        return incomplete;
    }

    private List<ExtraPart> missingBeside(String layer) {
        return config.missing(extra.getOrDefault(layer, Map.of()).keySet());
    }

    /** The name of A of one of the {@link #layers}. */
    String a(String layer) {
        return Objects.requireNonNull(a.get(layer));
    }

    /** As {@link #a}, of B. */
    String b(String layer) {
        return Objects.requireNonNull(b.get(layer));
    }

    /** By layer and part; layers that lack A or B may be among them. */
    Map<String, Map<ExtraPart, String>> extra() {
        return extra;
    }

    /** By layer and PyTorch's name of the parameter. */
    Map<String, Map<String, String>> trained() {
        return trained;
    }

    /** By the name that {@link Biases} have. */
    Map<String, String> biases() {
        return biases;
    }

    /** Names of tensors that an adapter of this configuration lacks, in alphabetical order. */
    Set<String> missing() throws AdapterFormatException {
        Set<String> missing = new TreeSet<>();
        b.keySet().stream().filter(layer -> !a.containsKey(layer))
                .forEach(layer -> missing.add(TensorName.of(layer, TensorLayout.LINEAR.nameOfA())));
        a.keySet().forEach(layer -> {
            if (!b.containsKey(layer)) {
                missing.add(TensorName.of(layer, TensorLayout.LINEAR.nameOfB()));
            }
            missingBeside(layer).forEach(part -> missing.add(TensorName.of(layer, part.suffix())));
        });
        Set<String> seen = new TreeSet<>(trained.keySet());
        seen.addAll(idle);
        names.unsaved(seen).forEach(module -> missing.add(TensorName.of(module, ".*")));
        // Files of ours name every target in full; PEFT's may name some that a model has not.
        if (config.isOurs()) {
            config.targets().stream().filter(layer -> !a.containsKey(layer) && !b.containsKey(layer))
                    .forEach(layer -> missing.addAll(List.of(TensorName.of(layer, TensorLayout.LINEAR.nameOfA()),
                            TensorName.of(layer, TensorLayout.LINEAR.nameOfB()))));
        }
        return missing;
    }

    /** Names of tensors that an adapter of this configuration has no place for, in alphabetical order. */
    Set<String> surplus() {
        Set<String> surplus = new TreeSet<>(strangers);
        extra.forEach((layer, parts) -> {
            if (!a.containsKey(layer)) {
                parts.keySet().forEach(part -> surplus.add(TensorName.of(layer, part.suffix())));
            }
        });
        return surplus;
    }
}
