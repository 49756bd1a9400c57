package io.github.dl4jlora.adapter;

import io.github.dl4jlora.conf.BiasTraining;
import io.github.dl4jlora.internal.algebra.Svd;
import io.github.dl4jlora.internal.build.Adaptation;
import io.github.dl4jlora.internal.content.AdapterContent;
import io.github.dl4jlora.internal.content.Biases;
import io.github.dl4jlora.internal.content.Delta;
import io.github.dl4jlora.internal.content.TensorLayout;
import io.github.dl4jlora.internal.inspect.AdaptedView;
import io.github.dl4jlora.internal.inspect.Changes.ChangedLayer;
import io.github.dl4jlora.internal.inspect.Changes;
import io.github.dl4jlora.internal.swap.Capture;
import io.github.dl4jlora.internal.swap.FittingConfig;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.params.DefaultParamInitializer;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * Makes an adapter from a network that was fine-tuned in full: for every weight matrix that can be adapted and has changed, A
 * and B are the truncated singular value decomposition of W' − W.
 *
 * <pre>{@code
 * Extraction.Extracted extracted = LoRAAdapter.extract(base, fineTuned).rank(8).build();
 * extracted.relativeErrors().forEach((layer, error) -> System.out.println(layer + " loses " + error));
 * ComputationGraph nearly = LoRA.apply(base, extracted.adapter());
 * }</pre>
 */
public final class Extraction {

    /**
     * The result of an extraction: the adapter, and what it lacks.
     *
     * @param adapter        for the base; it has the layers that changed
     * @param relativeErrors by adapted layer: ‖W' − W − ΔW‖ / ‖W' − W‖, Frobenius norms, with A and B as the adapter has them
     * @param leftOut        parameters that changed and are not in the adapter, as {@code layer.key}, in topological order;
     *                       the network that the adapter makes has the base's values there
     */
    public record Extracted(LoRAAdapter adapter, Map<String, Double> relativeErrors, List<String> leftOut) {
    }

    private final Model base;
    private final Model fineTuned;
    private @Nullable Integer rank;
    private @Nullable Double energy;
    private boolean fullValues;

    Extraction(Model base, Model fineTuned) {
        this.base = base;
        this.fineTuned = fineTuned;
    }

    /**
     * The largest rank of a layer; default none, if {@link #energy} is set. A layer that changed in fewer directions has a
     * smaller rank.
     *
     * @param rank at least 1
     * @return this extraction
     */
    public Extraction rank(int rank) {
        this.rank = rank;
        return this;
    }

    /**
     * The share of ‖W' − W‖², the sum of the squares of its singular values, that each layer keeps at least, as long as
     * {@link #rank} allows it; default 1. A relative error of ε is an energy of 1 − ε².
     *
     * @param energy above 0 and at most 1
     * @return this extraction
     */
    public Extraction energy(double energy) {
        this.energy = energy;
        return this;
    }

    /**
     * Whether the adapter also carries the values of changed parameters that A and B cannot express: biases of adapted layers,
     * as if trained with {@link BiasTraining#LORA_ONLY}, and whole layers in which anything else changed, such as batch
     * normalisation, as if trained with {@code trainable(...)}. Default false: {@link Extracted#leftOut} names these
     * parameters.
     *
     * @param fullValues true: it does
     * @return this extraction
     */
    public Extraction fullValues(boolean fullValues) {
        this.fullValues = fullValues;
        return this;
    }

    /**
     * Compares the networks and decomposes what changed. The time grows with the square of a matrix's shorter side times its
     * longer side: a second or two for 1,000 by 1,000.
     *
     * @return the adapter, its error by layer, and what was left out
     * @throws IllegalArgumentException if the networks differ in layers, shapes, data type or in what a layer computes (the
     *                                  message names it); if one of them is adapted; if no weight matrix changed that can be
     *                                  adapted; if neither a rank nor an energy is set, or one is out of its range
     * @throws IllegalStateException    if a value of one of the networks is NaN or infinite
     */
    public Extracted build() {
        checkSettings();
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            List<ChangedLayer> changes = Changes.between(base, fineTuned);
            Map<String, ChangedLayer> whole = new LinkedHashMap<>();
            Map<String, Delta> deltas = new LinkedHashMap<>();
            Map<String, Double> errors = new LinkedHashMap<>();
            List<String> leftOut = new ArrayList<>();
            for (ChangedLayer layer : changes) {
                if (fullValues && (!layer.others().isEmpty() || layer.matrices().isEmpty())) {
                    whole.put(layer.name(), layer);
                    continue;
                }
                layer.matrices().forEach((name, matrix) -> decompose(name, matrix, deltas, errors));
                if (!fullValues) {
                    Stream.of(layer.changed(), layer.others()).flatMap(List::stream)
                            .forEach(key -> leftOut.add(layer.name() + "." + key));
                }
            }
            requireMatrix(deltas, changes);
            return new Extracted(new LoRAAdapter(adapter(deltas, whole, changes)), Collections.unmodifiableMap(errors),
                    List.copyOf(leftOut));
        }
    }

    private void checkSettings() {
        if (rank == null && energy == null) {
            throw new IllegalArgumentException("Neither the rank nor the energy to keep is set. Set rank(8) or energy(0.99), for "
                    + "example; energy(1) keeps everything");
        }
        if (rank != null && rank < 1) {
            throw new IllegalArgumentException("The rank is " + rank + ", but must be at least 1");
        }
        if (energy != null) {
            Svd.requireShare("The energy to keep", energy);
        }
    }

    private void decompose(String name, Changes.Matrix matrix, Map<String, Delta> deltas, Map<String, Double> errors) {
        INDArray difference = matrix.difference();
        Svd svd = Svd.of(difference);
        int needed = svd.rankKeeping(energy == null ? 1 : energy);
        Delta delta = svd.truncate(rank == null ? needed : Math.min(rank, needed), matrix.dataType(), null, TensorLayout.LINEAR);
        INDArray kept = delta.a().castTo(DataType.DOUBLE).mmul(delta.b().castTo(DataType.DOUBLE));
        deltas.put(name, delta);
        errors.put(name, difference.sub(kept).norm2Number().doubleValue() / difference.norm2Number().doubleValue());
    }

    private void requireMatrix(Map<String, Delta> deltas, List<ChangedLayer> changes) {
        if (deltas.isEmpty()) {
            throw new IllegalArgumentException(changes.isEmpty()
                    ? "The fine-tuned network has the same values as the base: there is nothing to extract"
                    : "An adapter needs a layer with A and B, but the layers that changed, "
                    + changes.stream().map(ChangedLayer::name).toList() + (fullValues
                    ? ", would all be stored in full. Save the network itself, or use fullValues(false)"
                    : ", have no changed weight matrix. Save the network itself"));
        }
    }

    /** Makes a network for the adapter, fills it, and copies the adapter out of it, so that the adapter fits. */
    private AdapterContent adapter(Map<String, Delta> deltas, Map<String, ChangedLayer> whole, List<ChangedLayer> changes) {
        Map<String, ChangedLayer> byName = changes.stream().collect(Collectors.toMap(ChangedLayer::name, Function.identity()));
        boolean biases = fullValues && changes.stream()
                .anyMatch(layer -> !whole.containsKey(layer.name()) && !layer.changed().isEmpty());
        Map<String, Map<String, INDArray>> trained = new LinkedHashMap<>();
        whole.keySet().forEach(layer -> trained.put(layer, Map.of()));
        AdapterContent shape = new AdapterContent(deltas, trained,
                new Biases(Map.of(), biases ? BiasTraining.LORA_ONLY : BiasTraining.NONE), 0);
        Model adapted = Adaptation.applyOfAdapter(base, FittingConfig.of(shape));
        AdaptedView view = AdaptedView.of(adapted);
        view.adaptedMatrices().forEach((name, matrix) -> {
            Map<String, INDArray> parts = new LinkedHashMap<>(Objects.requireNonNull(deltas.get(name)).parts());
            if (matrix.parts().containsKey(DefaultParamInitializer.BIAS_KEY)) {
                ChangedLayer layer = Objects.requireNonNull(byName.get(matrix.layer()));
                parts.put(DefaultParamInitializer.BIAS_KEY, layer.biases().values().iterator().next());
            }
            matrix.replace(parts);
        });
        view.biases().forEach((name, bias) -> bias.assign(changes.stream().map(layer -> layer.biases().get(name))
                .filter(value -> value != null).findFirst().orElseThrow().reshape(bias.shape())));
        view.trainedLayers().forEach((name, layer) -> {
            Map<String, INDArray> values = Objects.requireNonNull(whole.get(name)).values();
            layer.table().forEach((key, value) ->
                    value.assign(Objects.requireNonNull(values.get(key)).reshape(value.shape())));
        });
        return Capture.of(adapted);
    }
}
