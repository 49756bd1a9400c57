package io.github.dl4jlora.internal.blas;

import io.github.dl4jlora.internal.processor.NativeLibraries;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.Arrays;
import java.util.List;

/**
 * What this library's layers need of BLAS. This is the one seam behind which the CPU's BLAS is called without an ND4J operation
 * around it; such an operation takes ten times as long as a slim product. Anything other than matrices of FLOAT or DOUBLE in the
 * host's memory is left to ND4J.
 */
public final class Blas {

    private static final boolean HAS_DIRECT = NativeLibraries.has("org.bytedeco.openblas.global.openblas_nolapack")
            && Nd4j.getBackend().getEnvironment().isCPU();

    private static volatile boolean direct = HAS_DIRECT;

    private Blas() {
    }

    /** Whether the CPU's BLAS is called without ND4J. */
    public static boolean isDirect() {
        return direct;
    }

    /** Whether to call the CPU's BLAS without ND4J from now on, if that can be; for tests. */
    public static void use(boolean directly) {
        direct = directly && HAS_DIRECT;
    }

    /**
     * c = alpha · op(a) · op(b) + beta · c, as {@code Nd4j.gemm} computes it, with operands in either order.
     *
     * @param c may be columns of a wider matrix
     * @return c
     */
    public static INDArray gemm(INDArray a, INDArray b, INDArray c, boolean transposeA, boolean transposeB, double alpha,
            double beta) {
        if (direct && DirectBlas.gemm(a, b, c, transposeA, transposeB, alpha, beta)) {
            return c;
        }
        if (c.elementWiseStride() != 1 && c.rank() == 2) {
            // ND4J refuses a c with gaps.
            return c.assign(Nd4j.gemm(a, b, c.dup('f'), transposeA, transposeB, alpha, beta));
        }
        return Nd4j.gemm(a, b, c, transposeA, transposeB, alpha, beta);
    }

    /**
     * c = alpha · op(a) · op(b) + beta · c, of blocks of matrices.
     *
     * @param c overwritten
     */
    public static void gemm(Block a, Block b, Block c, boolean transposeA, boolean transposeB, double alpha, double beta) {
        if (!direct || !DirectBlas.gemm(a, b, c, transposeA, transposeB, alpha, beta)) {
            gemm(a.view(), b.view(), c.view(), transposeA, transposeB, alpha, beta);
        }
    }

    /**
     * Adds low-rank products of rows, without an array for each of them: z += factor · x · A · B.
     *
     * @param routes each for some rows of x and z
     * @return whether that could be done; if not, nothing has been written
     */
    public static boolean addLowRank(INDArray x, INDArray z, List<Route> routes) {
        return direct && DirectBlas.addLowRank(x, z, routes);
    }

    /**
     * Whether values are known to be numbers, neither NaN nor infinite.
     *
     * @param values of FLOAT in the host's memory, without gaps
     * @param count  of the first, which are asked about
     */
    public static boolean areNumbers(INDArray values, long count) {
        return direct && DirectBlas.isSumFinite(values, count);
    }

    /**
     * Multiplies each row of a matrix of FLOAT in the host's memory by a factor of its own, in place.
     *
     * @param matrix  'c' order, without gaps
     * @param factors at least one for each row
     */
    public static void scaleRows(INDArray matrix, float[] factors) {
        if (direct) {
            DirectBlas.scaleRows(matrix, factors);
        } else {
            float[] own = Arrays.copyOf(factors, (int) matrix.size(0));
            matrix.muliColumnVector(Nd4j.createFromArray(own).reshape(own.length, 1));
        }
    }

    /**
     * Adds a row to each row of a matrix, in place.
     *
     * @return the matrix
     */
    public static INDArray addRow(INDArray matrix, INDArray row) {
        if (direct && DirectBlas.addRow(matrix, row)) {
            return matrix;
        }
        return matrix.addiRowVector(row);
    }

    /**
     * Adds a number to each column of a column-major matrix, in place, on the caller's thread. BLAS would share the work among
     * its threads, and these spin on for a while on cores that others need.
     */
    public static void addToColumns(INDArray matrix, INDArray row) {
        if (!direct || !DirectBlas.addToColumns(matrix, row)) {
            matrix.addiRowVector(row.reshape(1, row.length()));
        }
    }

    /**
     * A matrix with its values in the given order: itself, or a copy for a backward pass. Where two orders meet, ND4J takes 8 ns
     * for each value, BLAS a tenth of that.
     *
     * @return the matrix as it is if it cannot be copied here
     */
    public static INDArray inOrder(INDArray matrix, char order, LayerWorkspaceMgr workspaces) {
        if (!direct || matrix.ordering() == order || !DirectBlas.canTranspose(matrix)) {
            return matrix;
        }
        INDArray copy = workspaces.createUninitialized(ArrayType.BP_WORKING_MEM, matrix.dataType(), matrix.shape(), order);
        DirectBlas.transpose(matrix, copy);
        return copy;
    }
}
