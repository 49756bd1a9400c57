package io.github.dl4jlora.internal.peft;

import io.github.dl4jlora.conf.BiasTraining;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.Objects;
import java.util.Set;
import java.util.function.UnaryOperator;
import java.util.stream.Collectors;

/**
 * What an adapter consists of, in a file and out of it. It does not change.
 *
 * @param deltas  adapted matrices by name, in topological order
 * @param trained modules that were trained in full: by name, then by PyTorch's name of the parameter, in PyTorch's orientation.
 *                A module is a layer, unless a layer stands for several modules
 * @param biases  trained biases of other layers
 * @param dropout of the low-rank path in training
 * @param own     names among the trained ones, and the biases, that are no modules of PyTorch's: of layers that it has no like
 *                of, and as versions before 0.3.0 had them. They have DL4J's keys and shapes, but for DL4J's own layers
 * @param modules the network's in PyTorch, as far as they are known with all that is in them
 */
public record AdapterContent(Map<String, Delta> deltas, Map<String, Map<String, INDArray>> trained, Biases biases,
                             double dropout, Set<String> own, Set<String> modules) {

    public AdapterContent {
        deltas = Collections.unmodifiableMap(deltas);
        trained = Collections.unmodifiableMap(trained);
        own = Set.copyOf(own);
        modules = Set.copyOf(modules);
    }

    public AdapterContent(Map<String, Delta> deltas, Map<String, Map<String, INDArray>> trained, Biases biases,
                          double dropout) {
        this(deltas, trained, biases, dropout, Set.of(), Set.of());
    }

    /** {@return what an adapter consists of} */
    public static AdapterContent of(ContentHolder adapter) {
        return adapter.content;
    }

    /** Which biases a network must train to take those of this adapter. */
    public BiasTraining biasTraining() {
        return biases.values().isEmpty() && deltas.values().stream().anyMatch(Delta::trainsBias) ? BiasTraining.LORA_ONLY
                : biases.training();
    }

    /** Which biases it holds values of. */
    BiasTraining ownBiases() {
        return biases.values().isEmpty() && deltas.values().stream().noneMatch(delta -> delta.has(ExtraPart.BIAS.key()))
                ? BiasTraining.NONE : biasTraining();
    }

    /** The same with other A and B. */
    public AdapterContent with(Map<String, Delta> others) {
        return new AdapterContent(others, trained, biases, dropout, own, modules);
    }

    /**
     * The same for layers of other names.
     *
     * @param mapper from a name to another; null for a layer that is left out
     * @throws IllegalArgumentException if two layers get one name, or no adapted one is left
     */
    public AdapterContent renamed(UnaryOperator<String> mapper) {
        List<String> dropped = new ArrayList<>();
        Map<String, Delta> adapted = renamed(deltas, mapper, dropped);
        if (adapted.isEmpty() && !deltas.isEmpty()) {
            throw new IllegalArgumentException("the keyMapper maps none of " + deltas.keySet());
        }
        AdapterContent renamed = new AdapterContent(adapted, renamed(trained, mapper, dropped),
                new Biases(renamed(biases.values(), mapper, dropped), biases.training()), dropout, renamed(own, mapper),
                renamed(modules, mapper));
        if (!dropped.isEmpty()) {
            AdapterLog.LOG.warn("The keyMapper has no name for {}: what the adapter holds of them is left out", dropped);
        }
        return renamed;
    }

    private static Set<String> renamed(Set<String> names, UnaryOperator<String> mapper) {
        return names.stream().map(mapper).filter(Objects::nonNull).collect(Collectors.toSet());
    }

    private static <T> Map<String, T> renamed(Map<String, T> values, UnaryOperator<String> mapper,
                                                   List<String> dropped) {
        Map<String, T> renamed = new LinkedHashMap<>();
        Map<String, String> before = new LinkedHashMap<>();
        values.forEach((name, value) -> {
            String other = mapper.apply(name);
            String first = other == null ? null : before.put(other, name);
            if (first != null) {
                throw new IllegalArgumentException("the keyMapper maps \"" + first + "\" and \"" + name + "\" to one name, \""
                        + other + "\"");
            }
            if (other == null) {
                dropped.add(name);
            } else {
                renamed.put(other, value);
            }
        });
        return renamed;
    }

    /**
     * @throws NoSuchElementException if there is no such layer
     */
    public Delta delta(String layer) {
        Delta delta = deltas.get(layer);
        if (delta == null) {
            throw new NoSuchElementException("The adapter has no layer \"" + layer + "\"; it has " + layers());
        }
        return delta;
    }

    /** Names of the adapted matrices. */
    public List<String> layers() {
        return List.copyOf(deltas.keySet());
    }

    /** Names of the modules that were trained in full. */
    public List<String> trainedLayers() {
        return List.copyOf(trained.keySet());
    }
}
