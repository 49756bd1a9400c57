package io.github.dl4jlora.adapter;

import io.github.dl4jlora.Scaling;
import io.github.dl4jlora.internal.peft.Delta;
import io.github.dl4jlora.internal.peft.TensorLayout;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Random;
import java.util.function.Function;
import java.util.stream.IntStream;

/**
 * Σ wᵢ·sᵢ·Aᵢ·Bᵢ of one layer as one A and one B with the factor 1, exactly or as near as a smaller rank allows.
 *
 * <pre>
 * side by side   A = [w₁s₁·A₁ w₂s₂·A₂ …]      B = [B₁; B₂; …]           the sum itself
 * truncated      the closest product of a rank
 * merged         A = Σ ±√|wᵢsᵢ|·Aᵢ            B = Σ √|wᵢsᵢ|·Bᵢ          with cross terms Aᵢ·Bⱼ
 * </pre>
 */
final class LayerCombination {

    private final List<Delta> deltas;
    /** wᵢ·sᵢ. */
    private final double[] factors;
    private final String baseId;
    private final TensorLayout layout;

    /**
     * @param deltas  of one shape, at least one
     * @param weights one for each
     */
    LayerCombination(List<Delta> deltas, List<Double> weights) {
        this.deltas = deltas;
        this.factors = IntStream.range(0, deltas.size()).mapToDouble(i -> weights.get(i) * deltas.get(i).factor()).toArray();
        this.baseId = deltas.stream().map(Delta::baseId).filter(Objects::nonNull).findFirst().orElse(null);
        this.layout = deltas.get(0).layout();
    }

    Delta sideBySide(DataType type) {
        INDArray[] a = new INDArray[deltas.size()];
        INDArray[] b = new INDArray[deltas.size()];
        for (int i = 0; i < a.length; i++) {
            a[i] = deltas.get(i).a().castTo(DataType.DOUBLE).mul(factors[i]);
            b[i] = deltas.get(i).b().castTo(DataType.DOUBLE);
        }
        return factorOne(Nd4j.concat(1, a).castTo(type), Nd4j.concat(0, b).castTo(type));
    }

    /**
     * @throws IllegalStateException if an A or B holds NaN or infinity
     */
    Delta truncated(String layer, int rank, DataType type) {
        return Svd.of(layer, sideBySide(DataType.DOUBLE)).truncate(rank, type, baseId, layout);
    }

    /** @param density null for a method that keeps all values */
    Delta merged(Combination.Method method, Double density, Random random, DataType type) {
        INDArray a = merged(Delta::a, true, method, density, random).castTo(type);
        INDArray b = merged(Delta::b, false, method, density, random).castTo(type);
        return factorOne(a, b);
    }

    /** A or B. Weight and factor go by halves into both; the sign goes into A alone. */
    private INDArray merged(Function<Delta, INDArray> part, boolean signed, Combination.Method method, Double density,
                            Random random) {
        double[] halves = new double[deltas.size()];
        List<double[]> vectors = new ArrayList<>();
        for (int i = 0; i < halves.length; i++) {
            halves[i] = Math.sqrt(Math.abs(factors[i])) * (signed && factors[i] < 0 ? -1 : 1);
            INDArray values = part.apply(deltas.get(i)).castTo(DataType.DOUBLE);
            vectors.add(method.sparse(values.reshape(values.length()).toDoubleVector(), density, random));
        }
        return Nd4j.create(method.merge(vectors, halves), part.apply(deltas.get(0)).shape(), 'c');
    }

    private Delta factorOne(INDArray a, INDArray b) {
        return new Delta(a, b, a.size(1), Scaling.ALPHA_OVER_RANK, baseId, layout);
    }
}
