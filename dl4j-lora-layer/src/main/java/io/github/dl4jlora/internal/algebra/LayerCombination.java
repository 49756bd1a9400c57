package io.github.dl4jlora.internal.algebra;

import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.internal.content.Delta;
import io.github.dl4jlora.internal.content.TensorLayout;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.function.BiFunction;
import java.util.function.Function;
import java.util.stream.IntStream;

/**
 * Σ wᵢ·sᵢ·Aᵢ·Bᵢ of one layer as one A and one B with the factor 1, exactly or as near as a smaller rank allows.
 *
 * <pre>
 * side by side   A = [w₁s₁·A₁ w₂s₂·A₂ …]      B = [B₁; B₂; …]           the sum itself
 * merged         A = Σ ±√|wᵢsᵢ|·Aᵢ            B = Σ √|wᵢsᵢ|·Bᵢ          with cross terms Aᵢ·Bⱼ
 * truncated      the closest product of a rank, to the sum itself or to Σ wᵢ·ΔWᵢ merged value by value
 * </pre>
 */
public final class LayerCombination {

    private final String layer;
    private final List<Delta> deltas;
    private final double[] weights;
    /** wᵢ·sᵢ. */
    private final double[] factors;
    private final DataType type;
    private final @Nullable String baseId;
    private final TensorLayout layout;

    /**
     * @param deltas  of one shape, at least one
     * @param weights one for each
     * @throws IllegalStateException if an A or B holds NaN or infinity, which pruning would take for a value like others
     */
    public LayerCombination(String layer, List<Delta> deltas, List<Double> weights) {
        deltas.forEach(delta -> Svd.requireFinite(layer, delta));
        this.layer = layer;
        this.deltas = deltas;
        this.weights = weights.stream().mapToDouble(Double::doubleValue).toArray();
        this.factors = IntStream.range(0, deltas.size()).mapToDouble(i -> this.weights[i] * deltas.get(i).factor()).toArray();
        this.type = deltas.stream().map(delta -> delta.a().dataType()).reduce(LayerCombination::holdingBoth).orElseThrow();
        this.baseId = deltas.stream().map(Delta::baseId).filter(Objects::nonNull).findFirst().orElse(null);
        this.layout = deltas.get(0).layout();
    }

    /** The narrower type that loses nothing of either: FLOAT where HALF and BFLOAT16 meet. */
    private static DataType holdingBoth(DataType one, DataType other) {
        return one == other || one.width() > other.width() ? one : other.width() > one.width() ? other : DataType.FLOAT;
    }

    public Delta sideBySide() {
        return sideBySide(type);
    }

    private Delta sideBySide(DataType type) {
        INDArray[] a = new INDArray[deltas.size()];
        INDArray[] b = new INDArray[deltas.size()];
        for (int i = 0; i < a.length; i++) {
            a[i] = deltas.get(i).a().castTo(DataType.DOUBLE).mul(factors[i]);
            b[i] = deltas.get(i).b().castTo(DataType.DOUBLE);
        }
        return factorOne(Nd4j.concat(1, a).castTo(type), Nd4j.concat(0, b).castTo(type));
    }

    /**
     * @param merge merges several adapters' A (or B), flat, by their weights
     */
    public Delta merged(BiFunction<List<double[]>, double[], double[]> merge) {
        double[] halves = Arrays.stream(factors).map(factor -> Math.sqrt(Math.abs(factor))).toArray();
        double[] signed = IntStream.range(0, halves.length).mapToDouble(i -> factors[i] < 0 ? -halves[i] : halves[i]).toArray();
        // A and B each get the root of weight and factor; A alone gets the sign.
        return factorOne(merged(Delta::a, signed, merge).castTo(type), merged(Delta::b, halves, merge).castTo(type));
    }

    private INDArray merged(Function<Delta, INDArray> part, double[] weights,
                            BiFunction<List<double[]>, double[], double[]> merge) {
        List<INDArray> parts = deltas.stream().map(part).map(values -> values.castTo(DataType.DOUBLE)).toList();
        List<double[]> vectors = parts.stream().map(values -> values.reshape(values.length()).toDoubleVector()).toList();
        return Nd4j.create(merge.apply(vectors, weights), parts.get(0).shape(), 'c');
    }

    /** The closest product of a rank to the sum. */
    public Delta truncated(int rank) {
        return truncated(Svd.of(layer, sideBySide(DataType.DOUBLE)), rank);
    }

    /** As {@link #truncated(int)}, of the ΔWᵢ merged value by value. */
    public Delta mergedAndTruncated(BiFunction<List<double[]>, double[], double[]> merge, int rank) {
        return truncated(Svd.of(merged(this::product, weights, merge)), rank);
    }

    private INDArray product(Delta delta) {
        return delta.a().castTo(DataType.DOUBLE).mmul(delta.b().castTo(DataType.DOUBLE)).muli(delta.factor());
    }

    private Delta truncated(Svd svd, int rank) {
        return svd.truncate(rank, type, baseId, layout);
    }

    private Delta factorOne(INDArray a, INDArray b) {
        return new Delta(a, b, a.size(1), Scaling.ALPHA_OVER_RANK, baseId, layout);
    }
}
