package io.github.dl4jlora.internal.algebra;

import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.internal.blas.Decomposition;
import io.github.dl4jlora.internal.content.Delta;
import io.github.dl4jlora.internal.content.TensorLayout;
import io.github.dl4jlora.internal.untrusted.RawValues;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

import java.util.Arrays;
import java.util.Map;

/**
 * A singular value decomposition M = U·S·Vᵀ in double precision of a matrix or of a product of two slim ones, which is not
 * formed:
 *
 * <pre>
 * s·A·B   A = U₁·S₁·V₁ᵀ,  Bᵀ = U₂·S₂·V₂ᵀ
 *         s·S₁·V₁ᵀ·V₂·S₂ = P·S·Qᵀ         (U₁·P)·S·(U₂·Q)ᵀ
 * </pre>
 */
public final class Svd {

    private static final double EPSILON = Math.ulp(1.0);

    /** {@code [m, k]}, k at most min(m, n). */
    private final INDArray u;
    private final double[] values;
    /** {@code [n, k]}. */
    private final INDArray v;

    private Svd(INDArray u, double[] values, INDArray v) {
        this.u = u;
        this.values = values;
        this.v = v;
    }

    /**
     * Of s·A·B.
     *
     * @throws IllegalStateException if A or B holds NaN or infinity
     */
    public static Svd of(String layer, Delta delta) {
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            requireFinite(layer, delta);
            Svd a = of(delta.a().castTo(DataType.DOUBLE));
            Svd b = of(delta.b().transpose().castTo(DataType.DOUBLE));
            Svd core = of(a.scaledV().transpose().mmul(b.scaledV()).muli(delta.factor()));
            return new Svd(a.u.mmul(core.u), core.values, b.u.mmul(core.v));
        }
    }

    /** @throws IllegalStateException if A or B holds NaN or infinity */
    static void requireFinite(String layer, Delta delta) {
        Map.of("A", delta.a(), "B", delta.b()).forEach((key, matrix) -> {
            if (RawValues.firstNotFinite(matrix) >= 0) {
                throw new IllegalStateException("Layer \"" + layer + "\": the adapter's " + key
                        + " holds NaN or infinity. The adapter has diverged; go back to an earlier one");
            }
        });
    }

    /** @param matrix {@code [m, n]} in double, finite; not written to */
    public static Svd of(INDArray matrix) {
        Decomposition found = Decomposition.of(matrix);
        return new Svd(found.u(), found.values(), found.v());
    }

    /** V·S. */
    private INDArray scaledV() {
        return v.mulRowVector(Nd4j.createFromArray(values));
    }

    public double[] values() {
        return values.clone();
    }

    public double norm() {
        return errorAt(0);
    }

    /** ‖M − M of the largest {@code rank} singular values‖. */
    public double errorAt(int rank) {
        return Math.sqrt(squares(rank));
    }

    /** The sum of the squares of the values from this index on. */
    private double squares(int from) {
        return Arrays.stream(values).skip(from).map(value -> value * value).sum();
    }

    /**
     * @param what for the message
     * @throws IllegalArgumentException for an energy that is not above 0 and at most 1
     */
    public static void requireShare(String what, double energy) {
        if (!(energy > 0 && energy <= 1)) {
            throw new IllegalArgumentException(what + " is " + energy + ", but must be above 0 and at most 1: it is a share of "
                    + "ΔW's sum of squares, for example 0.99");
        }
    }

    /**
     * The smallest rank, at least 1, that keeps a share of the sum of squares. Values that are zero but for rounding keep
     * nothing.
     *
     * @param energy above 0; 1: all of it
     */
    public int rankKeeping(double energy) {
        double zero = values[0] * EPSILON * Math.max(u.size(0), v.size(0));
        int rank = (int) Arrays.stream(values).filter(value -> value > zero).count();
        double mayBeLost = (1 - energy) * squares(0);
        while (rank > 1 && squares(rank - 1) <= mayBeLost) {
            rank--;
        }
        return Math.max(rank, 1);
    }

    /**
     * The closest matrix of a rank as a product with the factor 1: A the left singular vectors, B the right ones times the
     * singular values.
     */
    public Delta truncate(int rank, DataType type, @Nullable String baseId, TensorLayout layout) {
        int kept = Math.min(rank, values.length);
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            return new Delta(columns(u, kept).castTo(type), columns(scaledV(), kept).transpose().castTo(type), kept,
                    Scaling.ALPHA_OVER_RANK, baseId, layout);
        }
    }

    /** A copy, so that nothing holds the whole. */
    private static INDArray columns(INDArray matrix, int count) {
        return matrix.get(NDArrayIndex.all(), NDArrayIndex.interval(0, count)).dup();
    }
}
