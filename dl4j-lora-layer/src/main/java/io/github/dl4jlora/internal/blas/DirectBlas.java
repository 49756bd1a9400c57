package io.github.dl4jlora.internal.blas;

import org.bytedeco.javacpp.DoublePointer;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.Pointer;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.lang.ref.Reference;
import java.util.Arrays;

import static org.bytedeco.openblas.global.openblas_nolapack.CblasColMajor;
import static org.bytedeco.openblas.global.openblas_nolapack.CblasNoTrans;
import static org.bytedeco.openblas.global.openblas_nolapack.CblasTrans;
import static org.bytedeco.openblas.global.openblas_nolapack.blas_get_num_threads;
import static org.bytedeco.openblas.global.openblas_nolapack.cblas_dgemm;
import static org.bytedeco.openblas.global.openblas_nolapack.cblas_dgemv;
import static org.bytedeco.openblas.global.openblas_nolapack.cblas_dger;
import static org.bytedeco.openblas.global.openblas_nolapack.cblas_sasum;
import static org.bytedeco.openblas.global.openblas_nolapack.cblas_saxpy;
import static org.bytedeco.openblas.global.openblas_nolapack.cblas_scopy;
import static org.bytedeco.openblas.global.openblas_nolapack.cblas_sdot;
import static org.bytedeco.openblas.global.openblas_nolapack.cblas_sgemm;
import static org.bytedeco.openblas.global.openblas_nolapack.cblas_sgemv;
import static org.bytedeco.openblas.global.openblas_nolapack.cblas_sger;
import static org.bytedeco.openblas.global.openblas_nolapack.cblas_sscal;

/**
 * Calls the BLAS of ND4J's CPU backend on arrays in place. Each call returns whether it could compute; if not, nothing has been
 * written.
 */
public final class DirectBlas {

    /** From this many values of a matrix on, OpenBLAS multiplies it by one row on several threads. */
    private static final long ROW_WORTH_THREADS = 9216;

    /** OpenBLAS adds vectors of more than 10,000 values on several threads. */
    private static final int VECTOR_OF_ONE_THREAD = 8192;

    private static volatile FloatPointer floatOnes = new FloatPointer();
    private static volatile DoublePointer doubleOnes = new DoublePointer();

    private DirectBlas() {
    }

    /** At least so many ones. */
    private static FloatPointer floatOnes(int count) {
        FloatPointer present = floatOnes;
        if (present.capacity() < count) {
            float[] values = new float[count];
            Arrays.fill(values, 1);
            present = new FloatPointer(values);
            floatOnes = present;
        }
        return present;
    }

    /** At least so many ones. */
    private static DoublePointer doubleOnes(int count) {
        DoublePointer present = doubleOnes;
        if (present.capacity() < count) {
            double[] values = new double[count];
            Arrays.fill(values, 1);
            present = new DoublePointer(values);
            doubleOnes = present;
        }
        return present;
    }

    private static boolean isOfType(DataType type, INDArray... matrices) {
        if (type != DataType.FLOAT && type != DataType.DOUBLE) {
            return false;
        }
        for (INDArray matrix : matrices) {
            if (matrix.dataType() != type || matrix.rank() != 2 || matrix.size(0) > Integer.MAX_VALUE
                    || matrix.size(1) > Integer.MAX_VALUE) {
                return false;
            }
        }
        return true;
    }

    public static boolean gemm(INDArray a, INDArray b, INDArray c, boolean transposeA, boolean transposeB, double alpha,
                               double beta) {
        if (!isOfType(c.dataType(), a, b, c) || !HostMemory.holds(a, b, c)) {
            return false;
        }
        long m = a.size(transposeA ? 1 : 0);
        long k = a.size(transposeA ? 0 : 1);
        long n = b.size(transposeB ? 0 : 1);
        Lie lieA = Lie.of(a);
        Lie lieB = Lie.of(b);
        Lie lieC = Lie.of(c);
        if (lieA.leading() == 0 || lieB.leading() == 0 || lieC.leading() == 0 || k != b.size(transposeB ? 1 : 0) || m != c.size(0)
                || n != c.size(1)) {
            return false;
        }
        if (lieC.byColumn()) {
            gemm(lieA.flag(transposeA), lieB.flag(transposeB), m, n, k, alpha, a, lieA, b, lieB, beta, c, lieC);
        } else {
            // A c that lies by rows is a cᵀ that lies by columns: cᵀ = op(b)ᵀ · op(a)ᵀ.
            gemm(lieB.flag(!transposeB), lieA.flag(!transposeA), n, m, k, alpha, b, lieB, a, lieA, beta, c, lieC);
        }
        Reference.reachabilityFence(a);
        Reference.reachabilityFence(b);
        Reference.reachabilityFence(c);
        return true;
    }

    static boolean gemm(Block a, Block b, Block c, boolean transposeA, boolean transposeB, double alpha, double beta) {
        DataType type = c.matrix().dataType();
        if (!isOfType(type, a.matrix(), b.matrix(), c.matrix()) || !HostMemory.holds(a.matrix(), b.matrix(), c.matrix())) {
            return false;
        }
        // Blocks lie by rows, and so their transposes by columns: cᵀ = op(b)ᵀ · op(a)ᵀ.
        int first = transposeB ? CblasTrans : CblasNoTrans;
        int second = transposeA ? CblasTrans : CblasNoTrans;
        int m = (int) c.columns();
        int n = (int) c.rows();
        int k = (int) (transposeA ? a.rows() : a.columns());
        if (k != (transposeB ? b.columns() : b.rows())) {
            return false;
        }
        Pointer pa = a.matrix().data().addressPointer();
        Pointer pb = b.matrix().data().addressPointer();
        Pointer pc = c.matrix().data().addressPointer();
        if (type == DataType.FLOAT) {
            gemm(first, second, m, n, k, (float) alpha, ((FloatPointer) pb).getPointer(b.from()), b.leading(),
                    ((FloatPointer) pa).getPointer(a.from()), a.leading(), (float) beta,
                    ((FloatPointer) pc).getPointer(c.from()), c.leading());
        } else {
            gemm(first, second, m, n, k, alpha, ((DoublePointer) pb).getPointer(b.from()), b.leading(),
                    ((DoublePointer) pa).getPointer(a.from()), a.leading(), beta, ((DoublePointer) pc).getPointer(c.from()),
                    c.leading());
        }
        Reference.reachabilityFence(a);
        Reference.reachabilityFence(b);
        Reference.reachabilityFence(c);
        return true;
    }

    private static void gemm(int first, int second, long m, long n, long k, double alpha, INDArray a, Lie lieA, INDArray b,
            Lie lieB, double beta, INDArray c, Lie lieC) {
        Pointer pa = a.data().addressPointer();
        Pointer pb = b.data().addressPointer();
        Pointer pc = c.data().addressPointer();
        if (c.dataType() == DataType.FLOAT) {
            gemm(first, second, (int) m, (int) n, (int) k, (float) alpha, (FloatPointer) pa, lieA.leading(),
                    (FloatPointer) pb, lieB.leading(), (float) beta, (FloatPointer) pc, lieC.leading());
        } else {
            gemm(first, second, (int) m, (int) n, (int) k, alpha, (DoublePointer) pa, lieA.leading(), (DoublePointer) pb,
                    lieB.leading(), beta, (DoublePointer) pc, lieC.leading());
        }
    }

    private static void gemm(int first, int second, int m, int n, int k, float alpha, FloatPointer a, int leadingA,
            FloatPointer b, int leadingB, float beta, FloatPointer c, int leadingC) {
        if (m == 1 || n == 1) {
            gemv(first, second, m, n, k, alpha, a, leadingA, b, leadingB, beta, c, leadingC);
        } else if (FewRows.gains(m, n, k)) {
            FewRows.gemm(first, second, m, n, k, alpha, a, leadingA, b, leadingB, beta, c, leadingC);
        } else if (FewColumns.gains(first, m, n, k)) {
            FewColumns.gemm(second, m, n, k, alpha, a, leadingA, b, leadingB, beta, c, leadingC);
        } else {
            cblas_sgemm(CblasColMajor, first, second, m, n, k, alpha, a, leadingA, b, leadingB, beta, c, leadingC);
        }
    }

    private static void gemm(int first, int second, int m, int n, int k, double alpha, DoublePointer a, int leadingA,
            DoublePointer b, int leadingB, double beta, DoublePointer c, int leadingC) {
        if (m == 1 || n == 1) {
            gemv(first, second, m, n, k, alpha, a, leadingA, b, leadingB, beta, c, leadingC);
        } else {
            cblas_dgemm(CblasColMajor, first, second, m, n, k, alpha, a, leadingA, b, leadingB, beta, c, leadingC);
        }
    }

    /**
     * A product that is a row or a column. OpenBLAS's gemm would copy the matrix first. Measured: a row by 2,048 × 2,048 takes a
     * quarter of the time so, on AVX2.
     */
    private static void gemv(int first, int second, int m, int n, int k, double alpha, Pointer a, int leadingA, Pointer b,
            int leadingB, double beta, Pointer c, int leadingC) {
        if (m == 1) {
            // cᵀ = op(b)ᵀ · aᵀ
            boolean turned = second == CblasTrans;
            gemv(turned ? CblasNoTrans : CblasTrans, turned ? n : k, turned ? k : n, alpha, b, leadingB, a,
                    first == CblasTrans ? 1 : leadingA, beta, c, leadingC);
        } else {
            boolean turned = first == CblasTrans;
            gemv(first, turned ? k : m, turned ? m : k, alpha, a, leadingA, b, second == CblasTrans ? leadingB : 1, beta, c, 1);
        }
    }

    private static void gemv(int flag, int rows, int columns, double alpha, Pointer matrix, int leading, Pointer x, int stepX,
            double beta, Pointer y, int stepY) {
        if (matrix instanceof FloatPointer floats) {
            cblas_sgemv(CblasColMajor, flag, rows, columns, (float) alpha, floats, leading, (FloatPointer) x, stepX, (float) beta,
                    (FloatPointer) y, stepY);
        } else {
            cblas_dgemv(CblasColMajor, flag, rows, columns, alpha, (DoublePointer) matrix, leading, (DoublePointer) x, stepX,
                    beta, (DoublePointer) y, stepY);
        }
    }

    /**
     * c = a · op(b) + beta · c, all by column, without gaps, and from the pointers' position 0.
     *
     * @param a {@code [m, k]}
     * @param b {@code [k, n]}, or transposed
     * @param c {@code [m, n]}
     */
    public static void gemm(int m, int n, int k, FloatPointer a, FloatPointer b, boolean transposeB, float beta, FloatPointer c) {
        gemm(CblasNoTrans, transposeB ? CblasTrans : CblasNoTrans, m, n, k, 1, a, m, b, transposeB ? n : k, beta, c, m);
    }

    /**
     * Adds low-rank products of rows: z += factor · x · A · B.
     *
     * @param x      of FLOAT
     * @param z      of FLOAT, as many rows
     * @param routes each for some rows of x and z
     */
    public static boolean addLowRank(INDArray x, INDArray z, Iterable<Route> routes) {
        if (!isOfType(DataType.FLOAT, x, z) || !HostMemory.holds(x, z)) {
            return false;
        }
        Lie lieX = Lie.of(x);
        Lie lieZ = Lie.of(z);
        if (lieX.leading() == 0 || lieZ.leading() == 0 || x.size(0) != z.size(0)) {
            return false;
        }
        for (Route route : routes) {
            if (!route.slim().lieTogether() || route.slim().nIn() != x.size(1) || route.slim().nOut() != z.size(1)
                    || route.from() < 0 || route.to() > x.size(0)) {
                return false;
            }
        }
        FloatPointer px = (FloatPointer) x.data().addressPointer();
        FloatPointer pz = (FloatPointer) z.data().addressPointer();
        int stepX = step(x);
        int stepZ = step(z);
        SlimRows rows = SlimRows.ofThread();
        for (Route route : routes) {
            FloatPointer from = px.getPointer(route.from() * x.stride(0));
            FloatPointer to = pz.getPointer(route.from() * z.stride(0));
            int count = (int) (route.to() - route.from());
            float factor = (float) route.factor();
            if (count == 1) {
                rows.addOne(route.slim(), factor, from, stepX, to, stepZ);
            } else if (count > 1) {
                addLowRank(count, route.slim(), factor, from, lieX, rows.down((long) count * route.slim().rank()), to, lieZ);
            }
        }
        Reference.reachabilityFence(x);
        Reference.reachabilityFence(z);
        Reference.reachabilityFence(routes);
        return true;
    }

    /** Distance from one column to the next. The stride of a single column may be zero, which BLAS refuses. */
    private static int step(INDArray m) {
        return m.size(1) == 1 ? 1 : (int) m.stride(1);
    }

    private static void addLowRank(int m, SlimFactors slim, float factor, FloatPointer x, Lie lieX, FloatPointer down,
            FloatPointer z, Lie lieZ) {
        FloatPointer a = slim.columnsOfA();
        FloatPointer b = slim.rowsOfB();
        gemm(lieX.flag(false), CblasNoTrans, m, slim.rank(), slim.nIn(), 1, x, lieX.leading(), a, slim.nIn(), 0, down, m);
        if (lieZ.byColumn()) {
            gemm(CblasNoTrans, CblasTrans, m, slim.nOut(), slim.rank(), factor, down, m, b, slim.nOut(), 1, z, lieZ.leading());
        } else {
            gemm(CblasNoTrans, CblasTrans, slim.nOut(), m, slim.rank(), factor, b, slim.nOut(), down, m, 1, z, lieZ.leading());
        }
    }

    /** Whether BLAS computes a row times a matrix of such a size on the caller's thread. */
    static boolean isOfOneThread(long rows, long columns) {
        return rows * columns < ROW_WORTH_THREADS || blas_get_num_threads() == 1;
    }

    /** to = x · A, where A lies by column. */
    static void rowTimes(FloatPointer x, int stepX, FloatPointer a, int length, int columns, FloatPointer to) {
        cblas_sgemv(CblasColMajor, CblasTrans, length, columns, 1, a, length, x, stepX, 0, to, 1);
    }

    /** z += factor · x · B, where B lies by row. */
    static void addRowTimes(float factor, FloatPointer x, FloatPointer b, int rows, int length, FloatPointer z, int stepZ) {
        cblas_sgemv(CblasColMajor, CblasNoTrans, length, rows, factor, b, length, x, 1, 1, z, stepZ);
    }

    /** to = from, for {@code count} values. */
    static void copy(int count, FloatPointer from, int stepFrom, FloatPointer to, int stepTo) {
        cblas_scopy(count, from, stepFrom, to, stepTo);
    }

    /** to += factor · from, for {@code count} values. */
    static void add(int count, float factor, FloatPointer from, int stepFrom, FloatPointer to, int stepTo) {
        cblas_saxpy(count, factor, from, stepFrom, to, stepTo);
    }

    static boolean addRow(INDArray matrix, INDArray row) {
        if (!isOfType(matrix.dataType(), matrix) || row.dataType() != matrix.dataType() || row.length() != matrix.size(1)
                || row.elementWiseStride() != 1 || !HostMemory.holds(matrix, row)) {
            return false;
        }
        Lie lie = Lie.of(matrix);
        if (lie.leading() == 0) {
            return false;
        }
        int rows = (int) matrix.size(0);
        int columns = (int) matrix.size(1);
        boolean down = lie.byColumn();
        Pointer to = matrix.data().addressPointer();
        if (matrix.dataType() == DataType.FLOAT) {
            FloatPointer ones = floatOnes(rows);
            FloatPointer values = (FloatPointer) row.data().addressPointer();
            cblas_sger(CblasColMajor, down ? rows : columns, down ? columns : rows, 1, down ? ones : values, 1,
                    down ? values : ones, 1, (FloatPointer) to, lie.leading());
        } else {
            DoublePointer ones = doubleOnes(rows);
            DoublePointer values = (DoublePointer) row.data().addressPointer();
            cblas_dger(CblasColMajor, down ? rows : columns, down ? columns : rows, 1, down ? ones : values, 1,
                    down ? values : ones, 1, (DoublePointer) to, lie.leading());
        }
        Reference.reachabilityFence(matrix);
        Reference.reachabilityFence(row);
        return true;
    }

    static boolean addToColumns(INDArray matrix, INDArray row) {
        int rows = (int) matrix.size(0);
        int columns = (int) matrix.size(1);
        if (isOfOneThread(rows, columns) || matrix.dataType() != DataType.FLOAT) {
            return addRow(matrix, row);
        }
        Lie lie = Lie.of(matrix);
        if (row.dataType() != DataType.FLOAT || row.length() != columns || row.elementWiseStride() != 1 || !lie.byColumn()
                || lie.leading() == 0 || !HostMemory.holds(matrix, row)) {
            return false;
        }
        FloatPointer ones = floatOnes(Math.min(rows, VECTOR_OF_ONE_THREAD));
        FloatPointer values = (FloatPointer) row.data().addressPointer();
        FloatPointer to = new FloatPointer((FloatPointer) matrix.data().addressPointer());
        for (int column = 0; column < columns; column++) {
            float value = values.get(column);
            for (int from = 0; from < rows; from += VECTOR_OF_ONE_THREAD) {
                cblas_saxpy(Math.min(VECTOR_OF_ONE_THREAD, rows - from), value, ones, 1,
                        to.position((long) column * lie.leading() + from), 1);
            }
        }
        Reference.reachabilityFence(matrix);
        Reference.reachabilityFence(row);
        return true;
    }

    /** Whether the sum of magnitudes of the first values, which are of FLOAT, is finite, as it is with no NaN among them. */
    static boolean isSumFinite(INDArray values, long count) {
        FloatPointer at = new FloatPointer(values.data().addressPointer());
        double sum = 0;
        for (long from = 0; from < count; from += VECTOR_OF_ONE_THREAD) {
            sum += cblas_sasum((int) Math.min(VECTOR_OF_ONE_THREAD, count - from), at.position(from), 1);
        }
        Reference.reachabilityFence(values);
        return Double.isFinite(sum);
    }

    /** Multiplies each row of a matrix of FLOAT, in 'c' order, by a factor of its own. */
    static void scaleRows(INDArray matrix, float[] factors) {
        FloatPointer row = new FloatPointer(matrix.data().addressPointer());
        int columns = (int) matrix.size(1);
        for (int i = 0; i < matrix.size(0); i++) {
            cblas_sscal(columns, factors[i], row.position((long) i * columns), 1);
        }
        Reference.reachabilityFence(matrix);
    }

    /** Whether {@link #transpose} takes a matrix. */
    static boolean canTranspose(INDArray matrix) {
        return isOfType(DataType.FLOAT, matrix) && matrix.elementWiseStride() == 1
                && HostMemory.holds(matrix);
    }

    /**
     * Copies a matrix into one of the other order, both without gaps.
     *
     * @param to of the same shape
     */
    static void transpose(INDArray from, INDArray to) {
        boolean down = from.ordering() == 'f';
        int lines = (int) from.size(down ? 1 : 0);
        int length = (int) from.size(down ? 0 : 1);
        turn((FloatPointer) from.data().addressPointer(), length, lines, length, (FloatPointer) to.data().addressPointer());
        Reference.reachabilityFence(from);
        Reference.reachabilityFence(to);
    }

    /**
     * Transposes lines: values at the same place of each line come to lie together.
     *
     * @param leading distance from one line to the next
     * @param to      without gaps
     */
    public static void turn(FloatPointer from, int leading, int lines, int length, FloatPointer to) {
        FloatPointer source = new FloatPointer(from);
        FloatPointer target = new FloatPointer(to);
        // One call for each line of the source, or for each line of the target: whichever needs fewer calls.
        if (lines <= length) {
            for (int line = 0; line < lines; line++) {
                cblas_scopy(length, source.position((long) line * leading), 1, target.position(line), lines);
            }
        } else {
            for (int i = 0; i < length; i++) {
                cblas_scopy(lines, source.position(i), leading, target.position((long) i * lines), 1);
            }
        }
    }

    /**
     * Products of one row with lines, one after the other, on the caller's thread. BLAS shares the product of one row and a
     * matrix among all its threads, however small the matrix, and waking them for each of many blocks takes longer than the
     * product.
     *
     * @param lines   {@code count} of {@code length} values each
     * @param first   the place of the first line's own value in the row of all lines
     * @param toLines whether that row is the result; otherwise it is the operand, and the result is the sum of all lines so far
     */
    public static void row(FloatPointer operand, FloatPointer lines, int count, int length, FloatPointer result, int first,
            boolean toLines) {
        FloatPointer line = new FloatPointer(lines);
        if (!toLines && first == 0) {
            Pointer.memset(result, 0, (long) length * Float.BYTES);
        }
        for (int i = 0; i < count; i++) {
            line.position((long) i * length);
            if (toLines) {
                result.put(first + i, cblas_sdot(length, operand, 1, line, 1));
            } else {
                cblas_saxpy(length, operand.get(first + i), line, 1, result, 1);
            }
        }
    }
}
