package io.github.dl4jlora.variant;

import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.ops.transforms.Transforms;

import java.util.Map;
import java.util.Objects;

/**
 * The norms of the columns of V = W + P·Q, P {@code [nIn, k]} and Q {@code [k, nOut]} slim, without forming V:
 *
 * <pre>
 * ‖V‖² = ‖W‖² + 2·Σ (PᵀW) ⊙ Q + Σ (PᵀP·Q) ⊙ Q     sums over rows
 * </pre>
 */
final class ColumnNorms {

    /** The norm of a column of zeros, so that nothing is divided by zero. */
    private static final double SMALLEST = 1e-15;

    /** The same for HALF, which has no numbers as small: its smallest number with all bits of precision. */
    private static final double SMALLEST_HALF = 0x1p-14;

    private ColumnNorms() {
    }

    /** The norms by the definition, from V itself. */
    static INDArray of(INDArray v) {
        return Transforms.max(v.castTo(typeFor(v)).norm2(true, 0), SMALLEST, false);
    }

    /** The norms, as coarse as a magnitude of that type, so that their ratio is 1 at the start; neither is zero. */
    static INDArray rounded(INDArray norms, DataType type) {
        return Transforms.max(norms.castTo(type).castTo(norms.dataType()), type == DataType.HALF ? SMALLEST_HALF : SMALLEST,
                false);
    }

    /** The type of norms: sums of squares leave the range of 16-bit numbers. */
    static DataType typeFor(INDArray w) {
        return w.dataType() == DataType.DOUBLE ? DataType.DOUBLE : DataType.FLOAT;
    }

    /** ‖W‖² of each column {@code [1, nOut]}, of {@link #typeFor}, in whatever workspace is open. */
    static INDArray squares(INDArray w) {
        INDArray norms = w.castTo(typeFor(w)).norm2(true, 0);
        return norms.muli(norms);
    }

    /**
     * @param squares    of W, not written to
     * @param parameters A, B and, where the start was taken from W, A0 and B0
     * @return {@code [1, nOut]}, of {@link #typeFor}, in whatever workspace is open
     */
    static INDArray ofSum(INDArray w, INDArray squares, Map<String, INDArray> parameters, double factor) {
        INDArray p = Objects.requireNonNull(parameters.get(Variant.A));
        INDArray q = Objects.requireNonNull(parameters.get(Variant.B)).mul(factor);
        if (parameters.get(Variant.START_A) != null) {
            p = Nd4j.concat(1, p, parameters.get(Variant.START_A));
            q = Nd4j.concat(0, q, Objects.requireNonNull(parameters.get(Variant.START_B)).mul(-factor));
        }
        DataType type = typeFor(w);
        INDArray slim = Nd4j.create(w.dataType(), new long[] {p.size(1), w.size(1)}, 'f');
        Nd4j.gemm(p, w, slim, true, false, 2, 0);
        Nd4j.gemm(Nd4j.gemm(p, p, true, false), q, slim, false, false, 1, 1);
        INDArray change = slim.castTo(type).muli(q.castTo(type)).sum(true, 0);
        return Transforms.sqrt(Transforms.max(change.addi(squares), SMALLEST * SMALLEST, false), false);
    }
}
