package io.github.dl4jlora.adapter;

import io.github.dl4jlora.conf.LoRAInit;
import io.github.dl4jlora.internal.algebra.LayerCombination;
import io.github.dl4jlora.internal.algebra.LayerUnion;
import io.github.dl4jlora.internal.algebra.TaskVectors;
import io.github.dl4jlora.internal.content.AdapterContent;
import io.github.dl4jlora.internal.content.Delta;
import io.github.dl4jlora.internal.untrusted.RawValues;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.factory.Nd4j;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.Set;
import java.util.function.BiFunction;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * A weighted combination of adapters of one base, as PEFT's {@code add_weighted_adapter} makes it. The result has the
 * factor 1: its A and B hold everything.
 *
 * <pre>{@code
 * LoRAAdapter both = LoRAAdapter.combine(Combination.Method.CAT).add(spam, 0.7).add(tone, 0.3).build();
 * LoRAAdapter small = LoRAAdapter.combine(Combination.Method.TIES_SVD).add(spam, 1).add(tone, 1)
 *         .density(0.5).rank(4).build();
 * ComputationGraph tuned = LoRA.apply(base, both);
 * }</pre>
 */
public final class Combination {

    /** How A and B of several adapters become one A and one B; sᵢ is an adapter's factor, wᵢ its weight. */
    public enum Method {

        /**
         * A = Σ ±√|wᵢsᵢ|·Aᵢ, B = Σ √|wᵢsᵢ|·Bᵢ: rank as before, for adapters that were trained from one start. Its product
         * has cross terms Aᵢ·Bⱼ; {@link #CAT} and the methods that end in SVD have none.
         */
        LINEAR(Keep.ALL, Merge.SUM, false),

        /** ΔW = Σ wᵢ·ΔWᵢ exactly; ranks add up. */
        CAT(Keep.ALL, Merge.NONE, false),

        /** The ΔW of the chosen rank that is closest to Σ wᵢ·ΔWᵢ. */
        SVD(Keep.ALL, Merge.NONE, true),

        /** LINEAR of the values that are largest in magnitude; where adapters disagree, only of those with the elected sign. */
        TIES(Keep.LARGEST, Merge.OF_ONE_SIGN, false),

        /** TIES of the ΔWᵢ, which are formed; then the closest ΔW of the chosen rank. */
        TIES_SVD(Keep.LARGEST, Merge.OF_ONE_SIGN, true),

        /** LINEAR of randomly kept values, the kept ones scaled up. */
        DARE_LINEAR(Keep.RANDOM, Merge.SUM, false),

        /** DARE_LINEAR of the ΔWᵢ, which are formed; then the closest ΔW of the chosen rank. */
        DARE_LINEAR_SVD(Keep.RANDOM, Merge.SUM, true),

        /** TIES of randomly kept values, the kept ones scaled up. */
        DARE_TIES(Keep.RANDOM, Merge.OF_ONE_SIGN, false),

        /** DARE_TIES of the ΔWᵢ, which are formed; then the closest ΔW of the chosen rank. */
        DARE_TIES_SVD(Keep.RANDOM, Merge.OF_ONE_SIGN, true),

        /** LINEAR of the values that are largest in magnitude. */
        MAGNITUDE_PRUNE(Keep.LARGEST, Merge.SUM, false),

        /** MAGNITUDE_PRUNE of the ΔWᵢ, which are formed; then the closest ΔW of the chosen rank. */
        MAGNITUDE_PRUNE_SVD(Keep.LARGEST, Merge.SUM, true);

        /** Which values of an A, B or ΔW are kept. */
        private enum Keep { ALL, LARGEST, RANDOM }

        /** How values in the same place are merged; NONE: products are put side by side. */
        private enum Merge { NONE, SUM, OF_ONE_SIGN }

        private final Keep keep;
        private final Merge merge;
        private final boolean truncates;

        Method(Keep keep, Merge merge, boolean truncates) {
            this.keep = keep;
            this.merge = merge;
            this.truncates = truncates;
        }

        /** {@return whether it keeps a fraction of the values, which {@link Combination#density} has to set} */
        public boolean needsDensity() {
            return keep != Keep.ALL;
        }

        /** {@return whether it merges A with A and B with B, so that a layer must have the same rank in all adapters} */
        public boolean needsEqualRanks() {
            return merge != Merge.NONE && !truncates;
        }

        /** {@return whether {@link Combination#rank} says which rank the result has} */
        public boolean takesRank() {
            return truncates;
        }

        /** {@return whether {@link Combination#majoritySign} says how a sign is elected} */
        public boolean electsSign() {
            return merge == Merge.OF_ONE_SIGN;
        }

        /** {@return whether it chooses at random, by {@link Combination#seed}} */
        public boolean isRandom() {
            return keep == Keep.RANDOM;
        }

        private static String those(Predicate<Method> wanted) {
            return Arrays.stream(values()).filter(wanted).map(Enum::name).collect(Collectors.joining(", "));
        }
    }

    /** How the sign is elected where adapters disagree: PEFT's {@code majority_sign_method}. */
    public enum MajoritySign {

        /** The sign of the sum of the values: PEFT's {@code total}, the default. */
        TOTAL,

        /** The majority's sign; ties are positive: PEFT's {@code frequency}. */
        FREQUENCY;

        double vote(double value) {
            return this == TOTAL ? value : Math.signum(value);
        }
    }

    private final Method method;
    private final List<AdapterContent> adapters = new ArrayList<>();
    private final List<Double> weights = new ArrayList<>();
    private @Nullable Double density;
    private @Nullable Integer rank;
    private @Nullable MajoritySign majoritySign;
    private @Nullable Long seed;

    Combination(Method method) {
        this.method = Objects.requireNonNull(method, "method");
    }

    /**
     * Adds an adapter to the combination.
     *
     * @param adapter of the same base as the others; a layer that it lacks counts as unchanged by it
     * @param weight  any finite number; a negative weight takes the task away
     * @return this combination
     * @throws IllegalArgumentException for a weight that is not finite
     */
    public Combination add(LoRAAdapter adapter, double weight) {
        if (!Double.isFinite(weight)) {
            throw new IllegalArgumentException("Adapter " + (adapters.size() + 1) + ": its weight is " + weight
                    + ", but must be finite");
        }
        adapters.add(Objects.requireNonNull(adapter, "adapter").content());
        weights.add(weight);
        return this;
    }

    /**
     * The fraction of values that TIES, DARE and MAGNITUDE_PRUNE keep; required for them.
     *
     * @param density above 0 and at most 1
     * @return this combination
     */
    public Combination density(double density) {
        this.density = density;
        return this;
    }

    /**
     * The rank to which SVD, and methods that end in SVD, truncate; default: the largest of the adapters' ranks, by layer, where
     * that of an adapter which started from a part of W counts twice.
     *
     * @param rank at least 1
     * @return this combination
     */
    public Combination rank(int rank) {
        this.rank = rank;
        return this;
    }

    /**
     * How TIES elects the sign where adapters disagree; default {@link MajoritySign#TOTAL}.
     *
     * @param majoritySign by the sum of the values, or by their number
     * @return this combination
     */
    public Combination majoritySign(MajoritySign majoritySign) {
        this.majoritySign = Objects.requireNonNull(majoritySign, "majoritySign");
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
     * Combines the adapters that were added, in all layers that any of them has.
     *
     * @return an adapter for the same base, with each layer's factor 1 and no dropout
     * @throws IllegalArgumentException if the adapters differ in a layer's shape or base, or, for the methods that
     *                                  {@linkplain Method#needsEqualRanks need equal ones}, in a layer's rank; if two of them
     *                                  trained the same layer in full, or its bias, or one trained in full what another adapts;
     *                                  if one that trained biases lacks a layer; if one is a DoRA adapter, which does more than
     *                                  add, or one started from a part of W and the method prunes A and B; if a setting is
     *                                  missing or of no use to the method
     * @throws IllegalStateException    if an A or B holds NaN or infinity
     */
    public LoRAAdapter build() {
        checkSettings();
        Set<String> layers = LayerUnion.of(adapters);
        Map<String, Delta> combined = new LinkedHashMap<>();
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            layers.forEach(layer -> combined.put(layer, combine(layer)));
            return new LoRAAdapter(new AdapterContent(combined, LayerUnion.trained(adapters), LayerUnion.biases(adapters),
                    0, LayerUnion.names(adapters, AdapterContent::own),
                    LayerUnion.names(adapters, AdapterContent::modules),
                    LayerUnion.names(adapters, AdapterContent::named), LayerUnion.model(adapters)));
        }
    }

    private Delta combine(String layer) {
        List<Integer> having = IntStream.range(0, adapters.size())
                .filter(i -> adapters.get(i).deltas().containsKey(layer)).boxed().toList();
        List<Delta> deltas = having.stream()
                .map(i -> adapters.get(i).delta(layer).plain(layer, "combining adapters")).toList();
        requirePrunable(layer, having);
        requireLike(layer, having, deltas);
        LayerCombination sum = new LayerCombination(layer, deltas, having.stream().map(weights::get).toList());
        Delta combined = combine(layer, sum, rank != null ? rank : largestRank(deltas));
        if (!isFinite(combined)) {
            throw new IllegalArgumentException("Layer \"" + layer + "\": with the weights " + weights + " the combination is "
                    + "beyond what " + combined.a().dataType() + " can hold. Choose smaller weights");
        }
        boolean cut = deltas.stream().anyMatch(Delta::cut)
                || method.truncates && combined.rank() < deltas.stream().mapToInt(Delta::rank).sum();
        List<Delta> weighted = IntStream.range(0, deltas.size())
                .mapToObj(i -> deltas.get(i).addingToBias(weights.get(having.get(i)))).toList();
        return withBias(layer, cut ? combined.cutOff() : combined, weighted);
    }

    private static boolean isFinite(Delta delta) {
        return RawValues.firstNotFinite(delta.a()) < 0 && RawValues.firstNotFinite(delta.b()) < 0;
    }

    private Delta combine(String layer, LayerCombination sum, int rank) {
        Random random = new Random((seed == null ? 0 : seed) * 31 + layer.hashCode());
        BiFunction<List<double[]>, double[], double[]> merge = (vectors, weights) -> merged(vectors, weights, random);
        if (method.merge == Method.Merge.NONE) {
            return method.truncates ? sum.truncated(rank) : sum.sideBySide();
        }
        return method.truncates ? sum.mergedAndTruncated(merge, rank) : sum.merged(merge);
    }

    private double[] merged(List<double[]> vectors, double[] weights, Random random) {
        List<double[]> kept = vectors.stream().map(vector -> kept(vector, random)).toList();
        return method.electsSign()
                ? TaskVectors.electSign(kept, weights, (majoritySign == null ? MajoritySign.TOTAL : majoritySign)::vote)
                : TaskVectors.sum(kept, weights);
    }

    private double[] kept(double[] vector, Random random) {
        if (density == null || !method.needsDensity() || density == 1) {
            return vector;
        }
        return method.keep == Method.Keep.LARGEST ? TaskVectors.keepLargest(vector, density)
                : TaskVectors.keepRandom(vector, density, random);
    }

    private static int largestRank(List<Delta> deltas) {
        return deltas.stream().mapToInt(Delta::rank).max().orElseThrow();
    }

    /**
     * Biases are values, not changes: like layers that were trained in full they come from one adapter. What PEFT's lora_bias
     * adds is a change, and has its adapter's weight.
     */
    private static Delta withBias(String layer, Delta combined, List<Delta> deltas) {
        List<Delta> biased = deltas.stream().filter(Delta::trainsBias).toList();
        if (biased.size() > 1) {
            throw new IllegalArgumentException("Layer \"" + layer + "\": its bias was trained by " + biased.size()
                    + " of the adapters, and biases cannot be combined. Choose adapters so that at most one has trained it");
        }
        List<String> forms = deltas.stream().map(Delta::storedAs).distinct().toList();
        return (biased.isEmpty() ? combined : combined.withBiasOf(biased.get(0)))
                .onStored(forms.size() == 1 ? forms.get(0) : null);
    }

    private void checkSettings() {
        if (adapters.isEmpty()) {
            throw new IllegalArgumentException("There is nothing to combine: call add(adapter, weight) first");
        }
        if (method.needsDensity() && !(density != null && density > 0 && density <= 1)) {
            throw new IllegalArgumentException(method + " needs a density above 0 and at most 1, the fraction of values to keep, "
                    + "but it is " + (density == null ? "not set" : density) + ": density(0.5), for example");
        }
        requireUse("density", density, Method::needsDensity, "");
        requireUse("rank", rank, Method::takesRank, ". The result of any method can be compressed afterwards");
        requireUse("majoritySign", majoritySign, Method::electsSign, "");
        requireUse("seed", seed, Method::isRandom, "");
        if (rank != null && rank < 1) {
            throw new IllegalArgumentException("The rank is " + rank + ", but must be at least 1");
        }
    }

    private void requireUse(String setting, @Nullable Object value, Predicate<Method> usedBy, String instead) {
        if (value != null && !usedBy.test(method)) {
            throw new IllegalArgumentException(method + " does not use " + setting + "(" + value + "); these methods do: "
                    + Method.those(usedBy) + instead);
        }
    }

    /** @param having which adapters the deltas are of */
    private void requireLike(String layer, List<Integer> having, List<Delta> deltas) {
        Delta first = deltas.get(0);
        String before = "but adapter " + (having.get(0) + 1);
        String base = null;
        for (int i = 0; i < deltas.size(); i++) {
            Delta delta = deltas.get(i);
            String which = "Layer \"" + layer + "\": adapter " + (having.get(i) + 1) + " ";
            if (delta.a().size(0) != first.a().size(0) || delta.b().size(1) != first.b().size(1)
                    || !delta.layout().isLike(first.layout())) {
                throw new IllegalArgumentException(which + "is for " + shape(delta) + ", " + before + " is for " + shape(first)
                        + ". Combine adapters of the same base");
            }
            if (delta.rank() != first.rank() && method.needsEqualRanks()) {
                throw new IllegalArgumentException(which + "has rank " + rank(layer, having.get(i), delta) + ", " + before
                        + " has " + rank(layer, having.get(0), first) + "; " + method + " needs equal ranks. Use CAT or SVD, or "
                        + "a method that ends in SVD");
            }
            if (base != null && delta.baseId() != null && !base.equals(delta.baseId())) {
                throw new IllegalArgumentException(which + "was made for the base weights " + delta.baseId()
                        + ", but the adapters before it for " + base + ". Combine adapters of the same base");
            }
            base = base == null ? delta.baseId() : base;
        }
    }

    /** Of the two products that such an adapter is the difference of, each would be pruned by itself. */
    private void requirePrunable(String layer, List<Integer> having) {
        for (int adapter : having) {
            LoRAInit init = adapters.get(adapter).delta(layer).kind().init();
            if (method.needsDensity() && !method.truncates && init.isTakenFromW()) {
                throw new IllegalArgumentException("Layer \"" + layer + "\": adapter " + (adapter + 1) + " started from a part "
                        + "of W (LoRAInit." + init + "), so its change is the difference of two products. " + method + " would "
                        + "prune each of them for itself, and most of what is left would be W. Use " + method + "_SVD, or "
                        + "LINEAR, CAT or SVD");
            }
        }
    }

    private String rank(String layer, int adapter, Delta plain) {
        return plain.rank() + (plain.rank() == adapters.get(adapter).delta(layer).rank() ? ""
                : " (twice its own, since it started from a part of W)");
    }

    private static String shape(Delta delta) {
        return delta.layout() + " [" + delta.a().size(0) + ", " + delta.b().size(1) + "]";
    }
}
