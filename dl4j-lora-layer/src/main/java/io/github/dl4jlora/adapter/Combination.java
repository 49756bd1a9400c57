package io.github.dl4jlora.adapter;

import io.github.dl4jlora.internal.peft.AdapterContent;
import io.github.dl4jlora.internal.peft.Biases;
import io.github.dl4jlora.internal.peft.Delta;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;

/**
 * A weighted combination of adapters of one base, as PEFT's {@code add_weighted_adapter} makes it. The result has the
 * factor 1: its A and B hold everything.
 */
public final class Combination {

    /** How A and B of several adapters become one A and one B; sᵢ is an adapter's factor, wᵢ its weight. */
    public enum Method {

        /**
         * A = Σ ±√|wᵢsᵢ|·Aᵢ, B = Σ √|wᵢsᵢ|·Bᵢ: rank as before, for adapters that were trained from one start. Its product
         * has cross terms Aᵢ·Bⱼ; {@link #CAT} and {@link #SVD} have none.
         */
        LINEAR(null, TaskVectors::sum),

        /** ΔW = Σ wᵢ·ΔWᵢ exactly; ranks add up. */
        CAT,

        /** The ΔW of the chosen rank that is closest to Σ wᵢ·ΔWᵢ. */
        SVD,

        /** LINEAR of the values that are largest in magnitude, where adapters disagree only those of the elected sign. */
        TIES((vector, density, random) -> TaskVectors.keepLargest(vector, density), TaskVectors::electSign),

        /** LINEAR of randomly kept values, the kept ones scaled up. */
        DARE_LINEAR(TaskVectors::keepRandom, TaskVectors::sum),

        /** TIES of randomly kept values, the kept ones scaled up. */
        DARE_TIES(TaskVectors::keepRandom, TaskVectors::electSign);

        /** Which values of an A or B are kept. */
        private interface Sparsity {
            double[] keep(double[] vector, double density, Random random);
        }

        /** One A or B of several. */
        private interface Merge {
            double[] of(List<double[]> vectors, double[] weights);
        }

        private final Sparsity sparsity;
        private final Merge merge;

        /** A method that puts products side by side. */
        Method() {
            this(null, null);
        }

        /** A method that merges value by value. */
        Method(Sparsity sparsity, Merge merge) {
            this.sparsity = sparsity;
            this.merge = merge;
        }

        boolean needsDensity() {
            return sparsity != null;
        }

        /** Value by value only like is merged with like. */
        boolean needsEqualRanks() {
            return merge != null;
        }

        boolean takesRank() {
            return this == SVD;
        }

        /** @param density null for a method without */
        double[] sparse(double[] vector, Double density, Random random) {
            return sparsity == null || density == 1 ? vector : sparsity.keep(vector, density, random);
        }

        double[] merge(List<double[]> vectors, double[] weights) {
            return merge.of(vectors, weights);
        }
    }

    private final Method method;
    private final List<LoRAAdapter> adapters = new ArrayList<>();
    private final List<Double> weights = new ArrayList<>();
    private Double density;
    private Integer rank;
    private long seed;

    Combination(Method method) {
        this.method = Objects.requireNonNull(method, "method");
    }

    /**
     * Adds an adapter to the combination.
     *
     * @param adapter of the same layers and base as the others
     * @param weight  any finite number; below zero it takes the task away
     * @return this combination
     * @throws IllegalArgumentException for a weight that is not finite
     */
    public Combination add(LoRAAdapter adapter, double weight) {
        if (!Double.isFinite(weight)) {
            throw new IllegalArgumentException("Adapter " + (adapters.size() + 1) + ": its weight is " + weight
                    + ", but must be finite");
        }
        adapters.add(Objects.requireNonNull(adapter, "adapter"));
        weights.add(weight);
        return this;
    }

    /**
     * The fraction of values that TIES and DARE keep; required for them.
     *
     * @param density above 0 and at most 1
     * @return this combination
     */
    public Combination density(double density) {
        this.density = density;
        return this;
    }

    /**
     * The rank that SVD truncates to; default: the largest of the adapters' ranks, by layer.
     *
     * @param rank at least 1
     * @return this combination
     */
    public Combination rank(int rank) {
        this.rank = rank;
        return this;
    }

    /**
     * The seed of DARE's choice; default 0.
     *
     * @param seed any number; equal ones make equal adapters
     * @return this combination
     */
    public Combination seed(long seed) {
        this.seed = seed;
        return this;
    }

    /**
     * Combines the adapters that were added.
     *
     * @return an adapter for the same base, with each layer's factor 1
     * @throws IllegalArgumentException if the adapters differ in their layers, in a layer's shape or base, or, except
     *                                  for CAT and SVD, in a layer's rank; if two of them trained the same layer in full,
     *                                  or its bias; if one is a DoRA adapter, which does more than to add; if a setting is
     *                                  missing or of no use to the method
     * @throws IllegalStateException    for SVD, if an A or B holds NaN or infinity
     */
    public LoRAAdapter build() {
        checkSettings();
        LoRAAdapter first = adapters.get(0);
        Map<String, Delta> combined = new LinkedHashMap<>();
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            requireSameLayers();
            for (String layer : first.layers()) {
                List<Delta> deltas = adapters.stream()
                        .map(adapter -> adapter.deltas().get(layer).plain(layer, "combining adapters")).toList();
                requireLike(layer, deltas);
                combined.put(layer, withBias(layer, combine(layer, deltas), deltas));
            }
            return new LoRAAdapter(new AdapterContent(combined, trained(), biases(), first.content().dropout()));
        }
    }

    /** Biases are values, not changes: like layers that were trained in full they come from one adapter. */
    private static Delta withBias(String layer, Delta combined, List<Delta> deltas) {
        List<Delta> biased = deltas.stream().filter(Delta::trainsBias).toList();
        if (biased.size() > 1) {
            throw new IllegalArgumentException("Layer \"" + layer + "\": its bias was trained by " + biased.size()
                    + " of the adapters, and biases cannot be combined. Combine adapters of which at most one has trained them");
        }
        return biased.isEmpty() ? combined : biased.get(0).with(combined);
    }

    private void checkSettings() {
        if (adapters.isEmpty()) {
            throw new IllegalArgumentException("There is nothing to combine: add(adapter, weight) first");
        }
        if (method.needsDensity() && !(density != null && density > 0 && density <= 1)) {
            throw new IllegalArgumentException(method + " needs a density above 0 and at most 1, the fraction of values to keep, "
                    + "but it is " + (density == null ? "not set" : density) + ": density(0.5), for example");
        }
        if (!method.needsDensity() && density != null) {
            throw new IllegalArgumentException(method + " has no use for density(" + density
                    + "); TIES, DARE_LINEAR and DARE_TIES have");
        }
        if (rank != null && (!method.takesRank() || rank < 1)) {
            throw new IllegalArgumentException(method.takesRank() ? "The rank is " + rank + ", but must be at least 1"
                    : method + " has no use for rank(" + rank
                    + "); SVD has. A result of any method can be compressed afterwards");
        }
    }

    private void requireSameLayers() {
        for (int i = 1; i < adapters.size(); i++) {
            if (!adapters.get(i).deltas().keySet().equals(adapters.get(0).deltas().keySet())) {
                throw new IllegalArgumentException("Adapter " + (i + 1) + " has the layers " + adapters.get(i).layers()
                        + ", but adapter 1 has " + adapters.get(0).layers() + ". Combine adapters of the same layers");
            }
        }
    }

    private void requireLike(String layer, List<Delta> deltas) {
        Delta first = deltas.get(0);
        String base = null;
        for (int i = 0; i < deltas.size(); i++) {
            Delta delta = deltas.get(i);
            String which = "Layer \"" + layer + "\": adapter " + (i + 1) + " ";
            if (delta.a().size(0) != first.a().size(0) || delta.b().size(1) != first.b().size(1)
                    || !delta.layout().isLike(first.layout())) {
                throw new IllegalArgumentException(which + "is for " + shape(delta) + ", but adapter 1 for " + shape(first)
                        + ". Combine adapters of one base");
            }
            if (delta.rank() != first.rank() && method.needsEqualRanks()) {
                throw new IllegalArgumentException(which + "has rank " + delta.rank() + ", but adapter 1 has " + first.rank()
                        + "; " + method + " needs equal ranks. Use CAT or SVD");
            }
            if (base != null && delta.baseId() != null && !base.equals(delta.baseId())) {
                throw new IllegalArgumentException(which + "was made for the base weights " + delta.baseId()
                        + ", but those before it for " + base + ". Combine adapters of one base");
            }
            base = base == null ? delta.baseId() : base;
        }
    }

    private static String shape(Delta delta) {
        return delta.layout() + " [" + delta.a().size(0) + ", " + delta.b().size(1) + "]";
    }

    private Map<String, Map<String, INDArray>> trained() {
        Map<String, Map<String, INDArray>> trained = new LinkedHashMap<>();
        for (LoRAAdapter adapter : adapters) {
            adapter.content().trained().forEach((layer, values) -> {
                if (trained.put(layer, values) != null) {
                    throw new IllegalArgumentException("Layer \"" + layer + "\" was trained in full by two of the adapters, "
                            + "and whole layers cannot be combined. Combine adapters of which at most one has trained it");
                }
            });
        }
        return trained;
    }

    private Biases biases() {
        List<Biases> trained = adapters.stream().map(adapter -> adapter.content().biases())
                .filter(biases -> !biases.values().isEmpty()).toList();
        if (trained.size() > 1) {
            throw new IllegalArgumentException(trained.size() + " of the adapters have trained the biases of layers, such as \""
                    + trained.get(0).values().keySet().iterator().next() + "\", and biases cannot be combined. Combine adapters "
                    + "of which at most one has trained them");
        }
        return trained.isEmpty() ? Biases.NONE : trained.get(0);
    }

    private Delta combine(String layer, List<Delta> deltas) {
        LayerCombination sum = new LayerCombination(deltas, weights);
        DataType type = deltas.get(0).a().dataType();
        return switch (method) {
            case CAT -> sum.sideBySide(type);
            case SVD -> sum.truncated(layer, rank != null ? rank : largestRank(deltas), type);
            case LINEAR, TIES, DARE_LINEAR, DARE_TIES ->
                    sum.merged(method, density, new Random(seed * 31 + layer.hashCode()), type);
        };
    }

    private static int largestRank(List<Delta> deltas) {
        return deltas.stream().mapToInt(Delta::rank).max().orElseThrow();
    }
}
