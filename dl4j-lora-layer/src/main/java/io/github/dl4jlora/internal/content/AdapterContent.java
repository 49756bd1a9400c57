package io.github.dl4jlora.internal.content;

import io.github.dl4jlora.conf.BiasTraining;
import org.deeplearning4j.nn.params.DefaultParamInitializer;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

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
 * What an adapter consists of, whether it came from a network or from a file. It does not change.
 *
 * @param deltas  adapted matrices by name, in topological order
 * @param trained modules that were trained in full: by name, then by PyTorch's name of the parameter, in PyTorch's orientation.
 *                A module is a layer, unless a layer stands for several modules
 * @param biases  trained biases of other layers
 * @param dropout of the low-rank path in training
 * @param own     names in {@code trained} and {@code biases} that are no modules of PyTorch: of layers that PyTorch does not
 *                have, and of files that versions before 0.3.0 wrote. Except for DL4J's own layers their parameters have
 *                DL4J's keys and shapes
 * @param modules the network's modules in PyTorch, as far as it is known which they are and all that is in them
 * @param named   those of {@code modules} whose names came from the network itself, by TorchNames; a file does not tell names of
 *                layers from these
 * @param model   of PyTorch, which a file may name
 */
public record AdapterContent(Map<String, Delta> deltas, Map<String, Map<String, INDArray>> trained, Biases biases,
                             double dropout, Set<String> own, Set<String> modules, Set<String> named,
                             TorchModel model) {

    /** The name of the logger that all warnings about adapters go to: the class that users call. */
    public static final String LOGGER = "io.github.dl4jlora.adapter.LoRAAdapter";

    private static final Logger LOG = LoggerFactory.getLogger(LOGGER);

    public AdapterContent {
        deltas = Collections.unmodifiableMap(deltas);
        trained = Collections.unmodifiableMap(trained);
        own = Set.copyOf(own);
        modules = Set.copyOf(modules);
        named = Set.copyOf(named);
    }

    public AdapterContent(Map<String, Delta> deltas, Map<String, Map<String, INDArray>> trained, Biases biases,
                          double dropout) {
        this(deltas, trained, biases, dropout, Set.of(), Set.of(), Set.of());
    }

    public AdapterContent(Map<String, Delta> deltas, Map<String, Map<String, INDArray>> trained, Biases biases,
                          double dropout, Set<String> own, Set<String> modules, Set<String> named) {
        this(deltas, trained, biases, dropout, own, modules, named, TorchModel.UNKNOWN);
    }

    /** The same for a model of PyTorch. */
    public AdapterContent forModel(TorchModel torch) {
        return new AdapterContent(deltas, trained, biases, dropout, own, modules, named, torch);
    }

    /** Which biases a network must train to take those of this adapter. */
    public BiasTraining biasTraining() {
        return biases.values().isEmpty() && deltas.values().stream().anyMatch(Delta::trainsBias) ? BiasTraining.LORA_ONLY
                : biases.training();
    }

    /** Which biases it holds values of. */
    public BiasTraining ownBiases() {
        return biases.values().isEmpty()
                && deltas.values().stream().noneMatch(delta -> delta.has(DefaultParamInitializer.BIAS_KEY))
                ? BiasTraining.NONE : biasTraining();
    }

    /** The same with other adapted matrices. */
    public AdapterContent with(Map<String, Delta> others) {
        return new AdapterContent(others, trained, biases, dropout, own, modules, named, model);
    }

    /**
     * The same with other names for its layers. What the mapper leaves out is warned about. Modules that the network itself named
     * keep their names.
     *
     * @param mapper from a name to the new one; null for a layer that is left out
     * @throws IllegalArgumentException if two layers get the same name, or no adapted layer is left
     */
    public AdapterContent renamed(UnaryOperator<String> mapper) {
        List<String> dropped = new ArrayList<>();
        Map<String, Delta> adapted = renamed(deltas, mapper, dropped);
        if (adapted.isEmpty() && !deltas.isEmpty()) {
            throw new IllegalArgumentException("the keyMapper maps none of " + deltas.keySet());
        }
        UnaryOperator<String> others = name -> named.contains(name) ? name : mapper.apply(name);
        AdapterContent renamed = new AdapterContent(adapted, renamed(trained, others, dropped),
                new Biases(renamed(biases.values(), others, dropped), biases.training()), dropout, renamed(own, others),
                renamed(modules, others), named, model);
        if (!dropped.isEmpty()) {
            LOG.warn("The keyMapper has no name for {}: their values in the adapter are left out", dropped);
        }
        return renamed;
    }

    private static Set<String> renamed(Set<String> names, UnaryOperator<String> mapper) {
        return names.stream().map(mapper).filter(Objects::nonNull).collect(Collectors.toSet());
    }

    private static <T> Map<String, T> renamed(Map<String, T> values, UnaryOperator<String> mapper, List<String> dropped) {
        Map<String, T> renamed = new LinkedHashMap<>();
        Map<String, String> before = new LinkedHashMap<>();
        values.forEach((name, value) -> {
            String other = mapper.apply(name);
            String first = other == null ? null : before.put(other, name);
            if (first != null) {
                throw new IllegalArgumentException("the keyMapper maps \"" + first + "\" and \"" + name + "\" to the same name, "
                        + "\"" + other + "\"");
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
