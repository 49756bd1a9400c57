package io.github.dl4jlora.adapter;

import io.github.dl4jlora.Scaling;
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
import java.util.function.Function;

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
        LINEAR,

        /** ΔW = Σ wᵢ·ΔWᵢ exactly; ranks add up. */
        CAT,

        /** The ΔW of the chosen rank that is closest to Σ wᵢ·ΔWᵢ. */
        SVD,

        /** LINEAR of the values that are largest in magnitude, where adapters disagree only those of the elected sign. */
        TIES,

        /** LINEAR of randomly kept values, the kept ones scaled up. */
        DARE_LINEAR,

        /** TIES of randomly kept values, the kept ones scaled up. */
        DARE_TIES;

        boolean sparsifies() {
            return this == TIES || this == DARE_LINEAR || this == DARE_TIES;
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
     * @param weight any finite number; below zero it takes the task away
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

    /** The fraction of values that TIES and DARE keep, above 0 and at most 1; required for them. */
    public Combination density(double density) {
        this.density = density;
        return this;
    }

    /** The rank that SVD truncates to; default: the largest of the adapters' ranks, by layer. */
    public Combination rank(int rank) {
        this.rank = rank;
        return this;
    }

    /** Of DARE's choice; default 0. */
    public Combination seed(long seed) {
        this.seed = seed;
        return this;
    }

    /**
     * @throws IllegalArgumentException if the adapters differ in their layers, in a layer's shape or base, or, except
     *                                  for CAT and SVD, in a layer's rank; if two of them trained the same layer in full, or
     *                                  its bias; if one is a DoRA adapter, which does more than to add; if a setting is missing or of no use to the method
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
            return new LoRAAdapter(combined, trained(), first.dropout());
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
        if (method.sparsifies() && !(density != null && density > 0 && density <= 1)) {
            throw new IllegalArgumentException(method
                    + " needs a density above 0 and at most 1, the fraction of values to keep, but it is "
                    + (density == null ? "not set" : density) + ": density(0.5), for example");
        }
        if (!method.sparsifies() && density != null) {
            throw new IllegalArgumentException(method + " has no use for density(" + density
                    + "); TIES, DARE_LINEAR and DARE_TIES have");
        }
        if (rank != null && (method != Method.SVD || rank < 1)) {
            throw new IllegalArgumentException(method == Method.SVD ? "The rank is " + rank + ", but must be at least 1"
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
                    || !delta.layout().equals(first.layout())) {
                throw new IllegalArgumentException(which + "is for " + shape(delta) + ", but adapter 1 for " + shape(first)
                        + ". Combine adapters of one base");
            }
            if (delta.rank() != first.rank() && method != Method.CAT && method != Method.SVD) {
                throw new IllegalArgumentException(which + "has rank " + delta.rank() + ", but adapter 1 has " + first.rank()
                        + "; "
                        + method + " needs equal ranks. Use CAT or SVD");
            }
            if (base != null && delta.baseId() != null && !base.equals(delta.baseId())) {
                throw new IllegalArgumentException(which + "was made for the base weights " + delta.baseId()
                        + ", but those before it for "
                        + base + ". Combine adapters of one base");
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
            adapter.trained().forEach((layer, values) -> {
                if (trained.put(layer, values) != null) {
                    throw new IllegalArgumentException("Layer \"" + layer
                            + "\" was trained in full by two of the adapters, and whole "
                            + "layers cannot be combined. Combine adapters of which at most one has trained it");
                }
            });
        }
        return trained;
    }

    private Delta combine(String layer, List<Delta> deltas) {
        String base = deltas.stream().map(Delta::baseId).filter(Objects::nonNull).findFirst().orElse(null);
        DataType type = deltas.get(0).a().dataType();
        TensorLayout layout = deltas.get(0).layout();
        return switch (method) {
            case CAT -> concatenated(deltas, type, base);
            case SVD -> SlimSvd.of(layer, concatenated(deltas, DataType.DOUBLE, base))
                    .truncate(rank != null ? rank : deltas.stream().mapToInt(Delta::rank).max().orElseThrow(), type, base, layout);
            default -> {
                Random random = new Random(seed * 31 + layer.hashCode());
                INDArray a = merged(deltas, Delta::a, true, random).castTo(type);
                INDArray b = merged(deltas, Delta::b, false, random).castTo(type);
                yield factorOne(a, b, base, layout);
            }
        };
    }

    private Delta concatenated(List<Delta> deltas, DataType type, String base) {
        INDArray[] a = new INDArray[deltas.size()];
        INDArray[] b = new INDArray[deltas.size()];
        for (int i = 0; i < a.length; i++) {
            a[i] = deltas.get(i).a().castTo(DataType.DOUBLE).mul(weights.get(i) * deltas.get(i).factor());
            b[i] = deltas.get(i).b().castTo(DataType.DOUBLE);
        }
        return factorOne(Nd4j.concat(1, a).castTo(type), Nd4j.concat(0, b).castTo(type), base, deltas.get(0).layout());
    }

    private static Delta factorOne(INDArray a, INDArray b, String base, TensorLayout layout) {
        return new Delta(a, b, a.size(1), Scaling.ALPHA_OVER_RANK, base, layout);
    }

    /** A or B. Weight and factor go by halves into both; the sign goes into A alone. */
    private INDArray merged(List<Delta> deltas, Function<Delta, INDArray> part, boolean signed, Random random) {
        double[] halves = new double[deltas.size()];
        List<double[]> vectors = new ArrayList<>();
        for (int i = 0; i < halves.length; i++) {
            double weight = weights.get(i) * deltas.get(i).factor();
            halves[i] = Math.sqrt(Math.abs(weight)) * (signed && weight < 0 ? -1 : 1);
            INDArray values = part.apply(deltas.get(i)).castTo(DataType.DOUBLE);
            vectors.add(sparse(values.reshape(values.length()).toDoubleVector(), random));
        }
        boolean elects = method == Method.TIES || method == Method.DARE_TIES;
        double[] result = elects ? TaskVectors.electSign(vectors, halves) : TaskVectors.sum(vectors, halves);
        return Nd4j.create(result, part.apply(deltas.get(0)).shape(), 'c');
    }

    private double[] sparse(double[] vector, Random random) {
        if (!method.sparsifies() || density == 1) {
            return vector;
        }
        return method == Method.TIES ? TaskVectors.keepLargest(vector, density) : TaskVectors.keepRandom(vector, density, random);
    }
}
