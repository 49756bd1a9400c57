package io.github.dl4jlora.internal.kernel;

import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.DoubleRange;
import net.jqwik.api.constraints.IntRange;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
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
class BlasTest {

    /** Ways in which a matrix can lie. */
    enum Lies { BY_ROW, BY_COLUMN, TRANSPOSED, BLOCK_OF_ROWS, BLOCK_OF_COLUMNS, EVERY_SECOND }

    private static INDArray matrix(DataType type, Lies lies, long rows, long columns) {
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

    @Property(tries = 400)
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

        INDArray product = start.dup(byColumn ? 'f' : 'c');
        assertThat(Blas.gemm(left, right, product, transposeA, transposeB, alpha, adds ? 0.5 : 0)).isSameAs(product);

        assertThat(product.equalsWithEps(expected, 1e-4)).as("%s%n%s", product, expected).isTrue();
    }

    @Property(tries = 100)
    void aRowIsAddedToEach(@ForAll boolean wide, @ForAll Lies lies, @ForAll boolean vector,
            @ForAll @IntRange(min = 1, max = 9) int rows, @ForAll @IntRange(min = 1, max = 9) int columns) {
        DataType type = wide ? DataType.DOUBLE : DataType.FLOAT;
        INDArray matrix = matrix(type, lies, rows, columns);
        INDArray row = vector ? Nd4j.randn(type, columns) : Nd4j.randn(type, 1, columns);
        INDArray expected = matrix.dup().addRowVector(row.reshape(1, columns));

        assertThat(Blas.addRow(matrix, row)).isEqualTo(expected);
    }

    @Property(tries = 60)
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
