package io.github.dl4jlora.internal.algebra;

import io.github.dl4jlora.conf.BiasTraining;
import io.github.dl4jlora.internal.content.AdapterContent;
import io.github.dl4jlora.internal.content.Biases;
import io.github.dl4jlora.internal.content.TorchModel;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.function.Function;
import java.util.stream.Collectors;

/** What several adapters have between them, and whether it goes together in one network. */
public final class LayerUnion {

    private LayerUnion() {
    }

    /**
     * The layers that any of the adapters has, each adapter's in its own order: the topological one, as far as they tell.
     *
     * @throws IllegalArgumentException if one trained biases and lacks some of the layers
     */
    public static Set<String> of(List<AdapterContent> adapters) {
        List<List<String>> rest = adapters.stream().<List<String>>map(adapter -> new ArrayList<>(adapter.layers())).toList();
        Set<String> union = new LinkedHashSet<>();
        while (rest.stream().anyMatch(layers -> !layers.isEmpty())) {
            List<String> first = rest.stream().filter(layers -> !layers.isEmpty()).map(layers -> layers.get(0)).toList();
            String next = first.stream().filter(layer -> rest.stream().noneMatch(layers -> layers.indexOf(layer) > 0)).findFirst()
                    .orElse(first.get(0));
            union.add(next);
            rest.forEach(layers -> layers.remove(next));
        }
        for (int i = 0; i < adapters.size(); i++) {
            requireAllBiases(i + 1, adapters.get(i), union);
        }
        return union;
    }

    /** A network trains the biases of all its adapted layers or of none, and no adapter knows what a bias was in the base. */
    private static void requireAllBiases(int number, AdapterContent adapter, Set<String> union) {
        List<String> missing = union.stream().filter(layer -> !adapter.deltas().containsKey(layer)).toList();
        if (!missing.isEmpty() && adapter.biasTraining() != BiasTraining.NONE) {
            throw new IllegalArgumentException("Adapter " + number + " has trained biases, but lacks the layers " + missing + ", "
                    + "whose biases the combined adapter would also need. Combine it only with adapters of its own layers "
                    + adapter.layers() + ", or combine adapters that were trained with bias(NONE)");
        }
    }

    /**
     * Layers that were trained in full.
     *
     * @throws IllegalArgumentException if two of the adapters have trained one, or one has trained what another adapts
     */
    public static Map<String, Map<String, INDArray>> trained(List<AdapterContent> adapters) {
        Map<String, Map<String, INDArray>> trained = new LinkedHashMap<>();
        for (AdapterContent adapter : adapters) {
            adapter.trained().forEach((layer, values) -> {
                if (trained.put(layer, values) != null) {
                    throw new IllegalArgumentException("Layer \"" + layer + "\" was trained in full by two of the adapters, "
                            + "and whole layers cannot be combined. Choose adapters so that at most one has trained it");
                }
                adapters.forEach(other -> requireNotAdapted(layer, values.keySet(), other));
            });
        }
        return trained;
    }

    /** All names that any of the adapters has: {@code names(adapters, AdapterContent::own)}. */
    public static Set<String> names(List<AdapterContent> adapters, Function<AdapterContent, Set<String>> names) {
        return adapters.stream().flatMap(adapter -> names.apply(adapter).stream()).collect(Collectors.toSet());
    }

    /** The model of PyTorch, as far as the adapters that name one agree. */
    public static TorchModel model(List<AdapterContent> adapters) {
        return new TorchModel(agreed(adapters, TorchModel::base), agreed(adapters, TorchModel::task));
    }

    private static @Nullable String agreed(List<AdapterContent> adapters, Function<TorchModel, @Nullable String> name) {
        List<String> named = adapters.stream().map(AdapterContent::model).map(name).filter(Objects::nonNull).distinct().toList();
        return named.size() == 1 ? named.get(0) : null;
    }

    private static void requireNotAdapted(String layer, Collection<String> parameters, AdapterContent other) {
        List<String> names = new ArrayList<>(other.layers());
        names.addAll(other.biases().values().keySet());
        if (names.contains(layer) || parameters.stream().anyMatch(key -> names.contains(layer + "." + key))) {
            throw new IllegalArgumentException("Layer \"" + layer + "\" was trained in full by one of the adapters, but another "
                    + "adapts it or trains its bias, and that change only fits the base's weights. Choose adapters so that none "
                    + "adapts a layer that another trains in full");
        }
    }

    /**
     * Trained biases that are no part of an adapted matrix.
     *
     * @throws IllegalArgumentException if two of the adapters have such
     */
    public static Biases biases(List<AdapterContent> adapters) {
        List<Biases> trained = adapters.stream().map(AdapterContent::biases)
                .filter(biases -> !biases.values().isEmpty()).toList();
        if (trained.size() > 1) {
            throw new IllegalArgumentException(trained.size() + " of the adapters have trained the biases of layers, such as \""
                    + trained.get(0).values().keySet().iterator().next() + "\", and biases cannot be combined. Choose adapters "
                    + "so that at most one has trained biases");
        }
        return trained.isEmpty() ? Biases.NONE : trained.get(0);
    }
}
