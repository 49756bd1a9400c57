package io.github.dl4jlora.internal.content;

import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.internal.common.Views;
import io.github.dl4jlora.variant.Variant;
import org.deeplearning4j.nn.params.DefaultParamInitializer;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;

/**
 * One adapted matrix of a layer: A, B and all else that belongs to them.
 *
 * @param a        {@code [nIn, rank]}
 * @param b        {@code [rank, nOut]}
 * @param baseId   content id of the frozen layer's original values; null if the file does not say
 * @param layout   how A and B lie in a file
 * @param more     other parts by key: A0 and B0 where the start was taken from W, DoRA's m, a trained b, and what only files
 *                 have, {@link #LORA_BIAS} and {@link #BASE_WEIGHT}
 * @param storedAs how the frozen layer was kept when this was trained, by its scheme or data type; null if the file does not say
 * @param cut      whether directions that were trained were cut off afterwards, as by compressing; false if the file does not say
 */
public record Delta(INDArray a, INDArray b, double alpha, Scaling scaling, @Nullable String baseId, TensorLayout layout,
             Map<String, INDArray> more, Kind kind, @Nullable String storedAs, boolean cut) {

    /** The key of what PEFT's lora_B adds to b, after s. A network has it in b. */
    public static final String LORA_BIAS = "lora_B.bias";

    /** The key of the base's own W, which PEFT saves beside the adapter of an embedding. It is only compared with the base's. */
    public static final String BASE_WEIGHT = "base_layer.weight";

    public Delta(INDArray a, INDArray b, double alpha, Scaling scaling, @Nullable String baseId, TensorLayout layout,
            Map<String, INDArray> more, Kind kind, @Nullable String storedAs) {
        this(a, b, alpha, scaling, baseId, layout, more, kind, storedAs, false);
    }

    public Delta(INDArray a, INDArray b, double alpha, Scaling scaling, @Nullable String baseId, TensorLayout layout) {
        this(a, b, alpha, scaling, baseId, layout, Map.of(), Kind.PLAIN, null);
    }

    public Delta(INDArray a, INDArray b, double alpha, Scaling scaling, @Nullable String baseId) {
        this(a, b, alpha, scaling, baseId, TensorLayout.LINEAR);
    }

    public int rank() {
        return (int) a.size(1);
    }

    public double factor() {
        return scaling.factor(alpha, rank());
    }

    public boolean has(String key) {
        return more.containsKey(key);
    }

    /** Whether it started from a part of W that its file does not hold, so that it has to be taken from W again. */
    public boolean lacksStart() {
        return kind.init().isTakenFromW() && !has(Variant.START_A);
    }

    /** Whether it changes b, by a value of its own or by what it adds. */
    public boolean trainsBias() {
        return has(DefaultParamInitializer.BIAS_KEY) || has(LORA_BIAS);
    }

    /** The parts that a network has too, by key. */
    public Map<String, INDArray> parts() {
        Map<String, INDArray> parts = new LinkedHashMap<>();
        parts.put(Variant.A, a);
        parts.put(Variant.B, b);
        parts.putAll(more);
        parts.remove(BASE_WEIGHT);
        INDArray added = parts.remove(LORA_BIAS);
        if (added != null) {
            parts.put(DefaultParamInitializer.BIAS_KEY, added);
        }
        return parts;
    }

    /**
     * The same with b as a value of its own: {@link #LORA_BIAS}, times s, is added to the adapter's b, or to the base's. For an
     * adapter that {@link #has} LORA_BIAS.
     *
     * @param baseBias the base's b; null only if the adapter has one of its own
     */
    public Delta onBias(@Nullable INDArray baseBias) {
        INDArray added = Objects.requireNonNull(more.get(LORA_BIAS));
        INDArray own = more.get(DefaultParamInitializer.BIAS_KEY);
        INDArray bias = own == null ? Objects.requireNonNull(baseBias) : own;
        Map<String, INDArray> rest = new LinkedHashMap<>(more);
        rest.remove(LORA_BIAS);
        rest.put(DefaultParamInitializer.BIAS_KEY,
                added.mul(factor()).addi(bias.castTo(added.dataType()).reshape(added.shape())));
        return new Delta(a, b, alpha, scaling, baseId, layout, rest, kind, storedAs, cut);
    }

    /**
     * The same as a single product that is added to W. Where the start was taken from W it has twice the rank:
     * s·A·B − s·A0·B0 = s·[A A0]·[B; −B0]. PEFT's {@code subtract_mutated_init}.
     *
     * @param purpose for the message
     * @throws IllegalArgumentException for a variant that does more than add to W, or where the start is missing
     */
    public Delta plain(String layer, String purpose) {
        if (!kind.variant().isAdditive()) {
            throw new IllegalArgumentException("Layer \"" + layer + "\": " + purpose + " has no meaning for "
                    + kind.variant().name() + ", which scales the columns of W + s·A·B instead of adding to W. Merge it into a "
                    + "network with LoRA.merge");
        }
        if (!kind.init().isTakenFromW()) {
            return this;
        }
        if (lacksStart()) {
            throw new IllegalArgumentException("Layer \"" + layer + "\": " + purpose + " needs the start that LoRAInit."
                    + kind.init() + " took from W, and the adapter's file does not hold it. Put the adapter into a network "
                    + "with LoRA.apply(base, adapter), and take it out again with LoRAAdapter.of");
        }
        Map<String, INDArray> rest = new HashMap<>(more);
        INDArray startA = rest.remove(Variant.START_A);
        INDArray startB = rest.remove(Variant.START_B);
        // So that the factor stays the same although the rank has doubled. A ratio of factors is exact where alpha is divided
        // by the rank.
        double same = alpha * (scaling.factor(1, rank()) / scaling.factor(1, 2 * rank()));
        return new Delta(Nd4j.concat(1, a, startA), Nd4j.concat(0, b, startB.neg()), same, scaling, baseId, layout, rest,
                kind.started(), storedAs, cut);
    }

    /**
     * The way back from {@link #plain}: splits a product of twice the rank into the half that was trained and its start.
     *
     * @param started how it started
     */
    public Delta split(Kind started) {
        int half = rank() / 2;
        Map<String, INDArray> parts = new LinkedHashMap<>(more);
        parts.put(Variant.START_A, Views.part(a, 1, half, rank()).dup());
        parts.put(Variant.START_B, Views.rows(b, half, rank()).neg());
        double same = alpha * (scaling.factor(1, rank()) / scaling.factor(1, half));
        return new Delta(Views.part(a, 1, 0, half).dup(), Views.rows(b, 0, half).dup(), same, scaling, baseId, layout, parts,
                started, storedAs, cut);
    }

    /**
     * Whether training changed nothing: ΔW is zero because A or B is, or both are what they started from. Of variants that only
     * add; a product that happens to be zero otherwise is not looked for.
     */
    public boolean changesNothing() {
        if (!kind.variant().isAdditive()) {
            return false;
        }
        if (kind.init().isTakenFromW()) {
            return has(Variant.START_A) && isZero(a.sub(more.get(Variant.START_A))) && isZero(b.sub(more.get(Variant.START_B)));
        }
        return isZero(a) || isZero(b);
    }

    private static boolean isZero(INDArray array) {
        return array.amaxNumber().doubleValue() == 0;
    }

    /** This, which is {@link #plain}, with A and B of another product. s times {@link #LORA_BIAS} stays the same. */
    public Delta with(Delta product) {
        Map<String, INDArray> parts = addingToBias(factor() / product.factor()).more;
        return new Delta(product.a, product.b, product.alpha, product.scaling, baseId, layout, parts, kind.started(), storedAs,
                product.cut);
    }

    /** The same with the bias of another one. s times {@link #LORA_BIAS} stays the same. */
    public Delta withBiasOf(Delta biased) {
        Map<String, INDArray> parts = new LinkedHashMap<>(more);
        biased.addingToBias(biased.factor() / factor()).more.forEach((key, value) -> {
            if (key.equals(DefaultParamInitializer.BIAS_KEY) || key.equals(LORA_BIAS)) {
                parts.put(key, value);
            }
        });
        return withMore(parts);
    }

    /** The same with so many times of {@link #LORA_BIAS}. */
    public Delta addingToBias(double times) {
        INDArray added = more.get(LORA_BIAS);
        if (added == null || times == 1) {
            return this;
        }
        Map<String, INDArray> parts = new LinkedHashMap<>(more);
        parts.put(LORA_BIAS, added.mul(times));
        return withMore(parts);
    }

    /** The same with other parts beside A and B. */
    public Delta withMore(Map<String, INDArray> parts) {
        return new Delta(a, b, alpha, scaling, baseId, layout, parts, kind, storedAs, cut);
    }

    /** The same, trained on a base that was kept in another way. */
    public Delta onStored(@Nullable String form) {
        return new Delta(a, b, alpha, scaling, baseId, layout, more, kind, form, cut);
    }

    /** The same, of which directions were cut off. */
    public Delta cutOff() {
        return new Delta(a, b, alpha, scaling, baseId, layout, more, kind, storedAs, true);
    }
}
