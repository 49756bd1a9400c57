package io.github.dl4jlora.adapter;

import io.github.dl4jlora.Scaling;
import io.github.dl4jlora.internal.peft.Delta;
import io.github.dl4jlora.internal.peft.TensorLayout;
import org.apache.commons.math3.linear.Array2DRowRealMatrix;
import org.apache.commons.math3.linear.MatrixUtils;
import org.apache.commons.math3.linear.RealMatrix;
import org.apache.commons.math3.linear.SingularValueDecomposition;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.Arrays;

/**
 * The singular value decomposition of ΔW = s·A·B by way of its slim factors, without forming ΔW.
 *
 * <pre>
 * A  = U₁·R₁      [nIn, rank]      U₁, U₂ orthonormal, R₁, R₂ small
 * Bᵀ = U₂·R₂      [nOut, rank]
 * s·R₁·R₂ᵀ = P·S·Qᵀ
 * ΔW = (U₁·P)·S·(U₂·Q)ᵀ
 * </pre>
 *
 * The factors come from slim singular value decompositions: commons-math's QR would form a square Q of the layer's size.
 */
final class SlimSvd {

    private final RealMatrix left;
    private final double[] values;
    private final RealMatrix right;

    private SlimSvd(RealMatrix left, double[] values, RealMatrix right) {
        this.left = left;
        this.values = values;
        this.right = right;
    }

    /**
     * @throws IllegalStateException if A or B holds NaN or infinity
     */
    static SlimSvd of(String layer, Delta delta) {
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            SingularValueDecomposition a = decompose(layer, "A", delta.a());
            SingularValueDecomposition b = decompose(layer, "B", delta.b().transpose());
            RealMatrix core = a.getS().multiply(a.getVT()).multiply(b.getV()).multiply(b.getS()).scalarMultiply(delta.factor());
            SingularValueDecomposition inner = new SingularValueDecomposition(core);
            return new SlimSvd(a.getU().multiply(inner.getU()), inner.getSingularValues(), b.getU().multiply(inner.getV()));
        }
    }

    private static SingularValueDecomposition decompose(String layer, String key, INDArray matrix) {
        double[][] rows = matrix.castTo(DataType.DOUBLE).toDoubleMatrix();
        if (!Arrays.stream(rows).flatMapToDouble(Arrays::stream).allMatch(Double::isFinite)) {
            throw new IllegalStateException("Layer \"" + layer + "\": the adapter's " + key
                    + " holds NaN or infinity. It has diverged; go back to an earlier one");
        }
        return new SingularValueDecomposition(new Array2DRowRealMatrix(rows, false));
    }

    double[] values() {
        return values.clone();
    }

    double norm() {
        return norm(0);
    }

    /** ‖ΔW − ΔW of the largest {@code rank} singular values‖. */
    double errorAt(int rank) {
        return norm(rank);
    }

    private double norm(int from) {
        return Math.sqrt(Arrays.stream(values).skip(from).map(value -> value * value).sum());
    }

    /**
     * The closest ΔW of a rank: A the left singular vectors, B the right ones times the singular values, factor 1.
     */
    Delta truncate(int rank, DataType type, String baseId, TensorLayout layout) {
        int kept = Math.min(rank, values.length);
        RealMatrix a = left.getSubMatrix(0, left.getRowDimension() - 1, 0, kept - 1);
        RealMatrix b = MatrixUtils.createRealDiagonalMatrix(Arrays.copyOf(values, kept))
                .multiply(right.getSubMatrix(0, right.getRowDimension() - 1, 0, kept - 1).transpose());
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            return new Delta(Nd4j.create(a.getData()).castTo(type), Nd4j.create(b.getData()).castTo(type), kept,
                    Scaling.ALPHA_OVER_RANK, baseId, layout);
        }
    }
}
