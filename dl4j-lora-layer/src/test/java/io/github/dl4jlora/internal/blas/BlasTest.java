package io.github.dl4jlora.internal.blas;

import io.github.dl4jlora.internal.processor.Processor;
import io.github.dl4jlora.internal.processor.Processor.Vectors;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.DoubleRange;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.lifecycle.BeforeProperty;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.openblas.global.openblas_nolapack;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.memory.conf.WorkspaceConfiguration;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.linalg.profiler.OpProfiler;
import org.nd4j.linalg.profiler.ProfilerConfig;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** Products straight from BLAS are ND4J's products, however the operands lie, and go wrong where ND4J's do. */
public class BlasTest {

    /** Ways in which a matrix can lie. */
    public enum Lies { BY_ROW, BY_COLUMN, TRANSPOSED, BLOCK_OF_ROWS, BLOCK_OF_COLUMNS, EVERY_SECOND }

    public static INDArray matrix(DataType type, Lies lies, long rows, long columns) {
        return switch (lies) {
            case BY_ROW -> Nd4j.randn(type, rows, columns).dup('c');
            case BY_COLUMN -> Nd4j.randn(type, rows, columns).dup('f');
            case TRANSPOSED -> Nd4j.randn(type, columns, rows).dup('c').transpose();
            case BLOCK_OF_ROWS -> Nd4j.randn(type, rows + 3, columns).dup('f').get(NDArrayIndex.interval(2, rows + 2));
            case BLOCK_OF_COLUMNS -> Nd4j.randn(type, rows, columns + 3).dup('c')
                    .get(NDArrayIndex.all(), NDArrayIndex.interval(1, columns + 1));
            case EVERY_SECOND -> Nd4j.randn(type, 2 * rows, 2 * columns)
                    .get(NDArrayIndex.interval(0, 2, 2 * rows), NDArrayIndex.interval(0, 2, 2 * columns));
        };
    }

    @BeforeProperty
    @BeforeEach
    void drawTheSameNumbersInEveryRun() {
        Nd4j.getRandom().setSeed(24);
    }

    @Property(tries = 400, seed = "24")
    void productsAreNd4js(@ForAll boolean wide, @ForAll Lies a, @ForAll Lies b, @ForAll boolean byColumn,
            @ForAll boolean transposeA, @ForAll boolean transposeB, @ForAll @IntRange(min = 1, max = 9) int m,
            @ForAll @IntRange(min = 1, max = 9) int n,
            @ForAll @IntRange(min = 1, max = 9) int k,
            @ForAll @DoubleRange(min = -2, max = 2) double alpha, @ForAll boolean adds) {
        DataType type = wide ? DataType.DOUBLE : DataType.FLOAT;
        INDArray left = transposeA ? matrix(type, a, k, m) : matrix(type, a, m, k);
        INDArray right = transposeB ? matrix(type, b, n, k) : matrix(type, b, k, n);
        INDArray start = Nd4j.randn(type, m, n).dup(byColumn ? 'f' : 'c');
        INDArray expected = (transposeA ? left.transpose() : left).dup().mmul((transposeB ? right.transpose() : right).dup())
                .mul(alpha).add(adds ? start.mul(0.5) : Nd4j.zeros(type, m, n));

        INDArray product = adds ? start : start.assign(Float.NaN);
        assertThat(Blas.gemm(left, right, product, transposeA, transposeB, alpha, adds ? 0.5 : 0)).isSameAs(product);

        assertThat(product.equalsWithEps(expected, 1e-4)).as("%s%n%s", product, expected).isTrue();
    }

    /** Whatever the processor, and whichever kernels OpenBLAS has for it. */
    @Property(tries = 150, seed = "24")
    void productsInBlocksAreProducts(@ForAll boolean transposeA, @ForAll boolean transposeB,
            @ForAll @IntRange(min = 1, max = 3) int gap, @ForAll @IntRange(min = 1, max = FewRows.MOST_ROWS) int m,
            @ForAll @IntRange(min = 1, max = 300) int n, @ForAll @IntRange(min = 1, max = 700) int k,
            @ForAll @DoubleRange(min = -2, max = 2) double alpha, @ForAll boolean adds) {
        assertIsProduct(FewRows::gemm, transposeA, transposeB, gap, m, n, k, alpha, adds);
    }

    @Property(tries = 150, seed = "24")
    void soAreThoseOfFewColumns(@ForAll boolean transposeB, @ForAll @IntRange(min = 1, max = 3) int gap,
            @ForAll @IntRange(min = 1, max = 2500) int m, @ForAll @IntRange(min = 1, max = FewColumns.MOST_COLUMNS) int n,
            @ForAll @IntRange(min = 1, max = 300) int k, @ForAll @DoubleRange(min = -2, max = 2) double alpha,
            @ForAll boolean adds) {
        assertIsProduct((flagA, flagB, rows, columns, depth, factor, a, leadingA, b, leadingB, beta, c, leadingC) ->
                FewColumns.gemm(flagB, rows, columns, depth, factor, a, leadingA, b, leadingB, beta, c, leadingC),
                false, transposeB, gap, m, n, k, alpha, adds);
    }

    private interface Product {

        void gemm(int transposeA, int transposeB, int m, int n, int k, float alpha, FloatPointer a, int leadingA, FloatPointer b,
                int leadingB, float beta, FloatPointer c, int leadingC);
    }

    private static void assertIsProduct(Product product, boolean transposeA, boolean transposeB, int gap, int m, int n, int k,
            double alpha, boolean adds) {
        INDArray left = transposeA ? Nd4j.randn(k + gap, m).dup('f') : Nd4j.randn(m + gap, k).dup('f');
        INDArray right = transposeB ? Nd4j.randn(n + gap, k).dup('f') : Nd4j.randn(k + gap, n).dup('f');
        INDArray result = adds ? Nd4j.randn(m + gap, n).dup('f') : Nd4j.valueArrayOf(new long[] {m + gap, n}, Float.NaN).dup('f');
        INDArray beyond = result.get(NDArrayIndex.interval(m, m + gap), NDArrayIndex.all()).assign(7);
        INDArray a = left.get(NDArrayIndex.interval(0, transposeA ? k : m), NDArrayIndex.all());
        INDArray b = right.get(NDArrayIndex.interval(0, transposeB ? n : k), NDArrayIndex.all());
        INDArray c = result.get(NDArrayIndex.interval(0, m), NDArrayIndex.all());
        INDArray expected = (transposeA ? a.transpose() : a).dup().castTo(DataType.DOUBLE)
                .mmul((transposeB ? b.transpose() : b).dup().castTo(DataType.DOUBLE)).mul(alpha);
        if (adds) {
            expected.addi(c.castTo(DataType.DOUBLE).mul(0.5));
        }

        product.gemm(flag(transposeA), flag(transposeB), m, n, k, (float) alpha, floats(left), (int) left.size(0), floats(right),
                (int) right.size(0), adds ? 0.5f : 0, floats(result), m + gap);

        assertThat(c.castTo(DataType.DOUBLE).equalsWithEps(expected, 1e-3)).as("%s%n%s", c, expected).isTrue();
        assertThat(beyond).as("what lies between columns").isEqualTo(Nd4j.valueArrayOf(new long[] {gap, n}, 7f));
    }

    private static int flag(boolean transposed) {
        return transposed ? openblas_nolapack.CblasTrans : openblas_nolapack.CblasNoTrans;
    }

    private static FloatPointer floats(INDArray array) {
        return (FloatPointer) array.data().addressPointer();
    }

    @Test
    void smallKernelsAreUsedForFewRowsOrColumnsOnlyAndWhereTheyAre() {
        boolean here = Processor.kernel().map(Vectors::ofKernel).orElse(Vectors.UNKNOWN) == Vectors.AVX_512;

        assertThat(FewRows.gains(32, 256, 256)).isEqualTo(here);
        assertThat(FewRows.gains(32, 64, 64)).as("OpenBLAS does that itself").isFalse();
        assertThat(FewRows.gains(FewRows.MOST_ROWS + 1, 1024, 1024)).isFalse();
        assertThat(FewColumns.gains(flag(false), 768, 8, 1024)).isEqualTo(here);
        assertThat(FewColumns.gains(flag(true), 768, 8, 1024)).as("no such kernel takes a transposed left operand").isFalse();
        assertThat(FewColumns.gains(flag(false), 768, FewColumns.MOST_COLUMNS + 1, 1024)).isFalse();
        assertThat(FewColumns.gains(flag(false), 64, 8, 8192)).as("few rows as well").isFalse();
        int threads = Nd4j.factory().blas().getMaxThreads();
        Nd4j.factory().blas().setMaxThreads(2);
        try {
            assertThat(FewRows.gains(16, 1024, 1024)).as("slim, on two threads").isEqualTo(here);
            assertThat(FewColumns.gains(flag(false), 1024, 16, 1024)).as("slim, on two threads").isEqualTo(here);
            assertThat(FewRows.gains(17, 1024, 1024)).as("on two threads").isFalse();
            assertThat(FewRows.gains(16, 2048, 2048)).as("large, on two threads").isFalse();
        } finally {
            Nd4j.factory().blas().setMaxThreads(threads);
        }
    }

    @Property(tries = 100, seed = "24")
    void aRowIsAddedToEach(@ForAll boolean wide, @ForAll Lies lies, @ForAll boolean vector,
            @ForAll @IntRange(min = 1, max = 9) int rows, @ForAll @IntRange(min = 1, max = 9) int columns) {
        DataType type = wide ? DataType.DOUBLE : DataType.FLOAT;
        INDArray matrix = matrix(type, lies, rows, columns);
        INDArray row = vector ? Nd4j.randn(type, columns) : Nd4j.randn(type, 1, columns);
        INDArray expected = matrix.dup().addRowVector(row.reshape(1, columns));

        assertThat(Blas.addRow(matrix, row)).isEqualTo(expected);
    }

    @Property(tries = 60, seed = "24")
    void aCopyInTheOtherOrderHasTheSameValues(@ForAll boolean byColumn, @ForAll @IntRange(min = 1, max = 40) int rows,
            @ForAll @IntRange(min = 1, max = 40) int columns) {
        INDArray matrix = Nd4j.randn(rows, columns).dup(byColumn ? 'f' : 'c');

        INDArray copy = Blas.inOrder(matrix, byColumn ? 'c' : 'f', LayerWorkspaceMgr.noWorkspaces());

        assertThat(copy.ordering()).isEqualTo(byColumn ? 'c' : 'f');
        assertThat(copy).isEqualTo(matrix);
    }

    @Test
    void shapesThatDoNotMatchAreRefusedAsByNd4j() {
        assertThatThrownBy(() -> Blas.gemm(Nd4j.ones(2, 3), Nd4j.ones(2, 3), Nd4j.ones(2, 3), false, false, 1, 0))
                .isInstanceOf(RuntimeException.class);
        assertThatThrownBy(() -> Blas.gemm(Nd4j.ones(2, 3), Nd4j.ones(3, 2), Nd4j.ones(3, 3), false, false, 1, 0))
                .isInstanceOf(RuntimeException.class);
    }

    @Test
    void aClosedOperandIsRefusedAndNotReadFromWhereItWas() {
        INDArray closed = Nd4j.ones(3, 2);
        closed.close();
        INDArray result = Nd4j.zeros(2, 2);

        assertThatThrownBy(() -> Blas.gemm(Nd4j.ones(2, 3), closed, result, false, false, 1, 0))
                .isInstanceOf(RuntimeException.class);
        assertThatThrownBy(() -> Blas.gemm(Nd4j.ones(2, 2), Nd4j.ones(2, 2), closed, false, false, 1, 0))
                .isInstanceOf(RuntimeException.class);
        assertThat(result).isEqualTo(Nd4j.zeros(2, 2));
    }

    @Test
    void anOperandOfAClosedWorkspaceIsRefused() {
        INDArray leaked;
        WorkspaceConfiguration configuration = WorkspaceConfiguration.builder().initialSize(1 << 16).build();
        try (MemoryWorkspace workspace = Nd4j.getWorkspaceManager().getAndActivateWorkspace(configuration, "BlasTest")) {
            leaked = Nd4j.ones(3, 2);
        }

        assertThatThrownBy(() -> Blas.gemm(Nd4j.ones(2, 3), leaked, Nd4j.zeros(2, 2), false, false, 1, 0))
                .hasStackTraceContaining("leaked workspace pointer");
    }

    /** The rows before and after a block, and the columns beside it, stay as they are. */
    @Property(tries = 200, seed = "24")
    void productsOfBlocksAreThoseOfTheirViews(@ForAll boolean wide, @ForAll boolean direct, @ForAll boolean transposeA,
            @ForAll boolean transposeB, @ForAll @IntRange(min = 1, max = 9) int m, @ForAll @IntRange(min = 1, max = 9) int n,
            @ForAll @IntRange(min = 1, max = 9) int k, @ForAll @DoubleRange(min = -2, max = 2) double alpha) {
        DataType type = wide ? DataType.DOUBLE : DataType.FLOAT;
        Block a = block(type, transposeA ? k : m, transposeA ? m : k);
        Block b = block(type, transposeB ? n : k, transposeB ? k : n);
        Block c = block(type, m, n);
        INDArray expected = c.matrix().dup();
        INDArray left = a.view().dup();
        INDArray right = b.view().dup();
        expected.get(NDArrayIndex.interval(2, 2 + m), NDArrayIndex.interval(1, 1 + n)).assign(
                (transposeA ? left.transpose() : left).mmul(transposeB ? right.transpose() : right).mul(alpha));
        Blas.use(direct);
        try {
            Blas.gemm(a, b, c, transposeA, transposeB, alpha, 0);
        } finally {
            Blas.use(true);
        }
        assertThat(c.matrix().equalsWithEps(expected, 1e-4)).as("%s%n%s", c.matrix(), expected).isTrue();
    }

    /** From row 2 and column 1 of a larger matrix on. */
    private static Block block(DataType type, int rows, int columns) {
        return new Block(Nd4j.randn(type, rows + 3, columns + 4).dup('c'), 2L * (columns + 4) + 1, rows, columns, columns + 4);
    }

    @Test
    void whoeverHasNd4jLookForNaNIsToldOfIt() {
        ProfilerConfig before = OpProfiler.getInstance().getConfig();
        Nd4j.getExecutioner().setProfilingConfig(ProfilerConfig.builder().checkForNAN(true).build());
        try {
            assertThatThrownBy(() -> Blas.gemm(Nd4j.valueArrayOf(new long[] {2, 2}, Float.NaN), Nd4j.ones(2, 2), Nd4j.zeros(2, 2),
                    false, false, 1, 0)).hasMessageContaining("NaN");
        } finally {
            Nd4j.getExecutioner().setProfilingConfig(before);
        }
    }
}
