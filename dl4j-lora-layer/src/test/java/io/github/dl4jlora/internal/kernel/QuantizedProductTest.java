package io.github.dl4jlora.internal.kernel;

import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.internal.blas.BlasTest;
import io.github.dl4jlora.internal.onednn.OneDnn;
import io.github.dl4jlora.internal.quantized.QuantizedMatrix;
import net.jqwik.api.Example;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.lifecycle.AfterProperty;
import net.jqwik.api.lifecycle.BeforeProperty;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.memory.conf.WorkspaceConfiguration;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.ops.transforms.Transforms;
import org.nd4j.linalg.profiler.OpProfiler;
import org.nd4j.linalg.profiler.ProfilerConfig;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** Products with a matrix in fewer bits are those with the array that it is given back as. */
class QuantizedProductTest {

    private static QuantizedMatrix matrix(Quantization scheme, int lines, int length) {
        float[] values = Nd4j.randn(DataType.FLOAT, (long) lines * length).muli(0.05).toFloatVector();
        return QuantizedMatrix.of(scheme, lines, length, (l, to) -> System.arraycopy(values, (int) l * length, to, 0, length));
    }

    /** What the matrix stands for, in double precision. */
    private static INDArray w(QuantizedMatrix matrix, boolean linesAreColumns) {
        float[] values = new float[(int) (matrix.lines() * matrix.length())];
        matrix.restore(0, (int) matrix.lines(), values);
        INDArray lines = Nd4j.createFromArray(values).reshape('c', matrix.lines(), matrix.length()).castTo(DataType.DOUBLE);
        return linesAreColumns ? lines.transpose().dup('f') : lines;
    }

    private static double tolerance(DataType type) {
        return switch (type) {
            case DOUBLE -> 1e-14;
            case FLOAT -> 1e-6;
            case HALF -> 1e-3;
            default -> 8e-3;
        };
    }

    private static void assertNear(INDArray product, INDArray expected, long terms) {
        assertNear(product, expected, expected.norm2Number().doubleValue(), terms);
    }

    /**
     * @param size  of the sums' terms, which is what is rounded: where they cancel, little is left to compare with
     * @param terms of each sum: what rounding makes of them grows with their square root, in BLAS's own products too
     */
    private static void assertNear(INDArray product, INDArray expected, double size, long terms) {
        double error = product.castTo(DataType.DOUBLE).sub(expected).norm2Number().doubleValue();
        double tolerance = tolerance(product.dataType()) * Math.max(1, Math.sqrt(terms / 300.0));
        assertThat(error).isLessThanOrEqualTo(tolerance * size);
    }

    /** As PlainMatrix multiplies the same numbers, of the same type, in double precision. */
    private static void assertMultipliesAs(INDArray w, FrozenMatrix product, DataType type, int m, char from, char to) {
        PlainMatrix plain = new PlainMatrix(w);
        INDArray x = Nd4j.randn(DataType.DOUBLE, m, w.size(0)).castTo(type).dup(from);
        INDArray dz = Nd4j.randn(DataType.DOUBLE, m, w.size(1)).castTo(type).dup(from);
        INDArray expectedZ = Nd4j.create(DataType.DOUBLE, m, w.size(1));
        INDArray expectedDx = Nd4j.create(DataType.DOUBLE, m, w.size(0));
        plain.times(x.castTo(DataType.DOUBLE), expectedZ);
        plain.timesTransposed(dz.castTo(DataType.DOUBLE), expectedDx);
        INDArray before = dz.dup();
        INDArray z = Nd4j.valueArrayOf(new long[] {m, w.size(1)}, Float.NaN).castTo(type).dup(to);
        INDArray dx = Nd4j.valueArrayOf(new long[] {m, w.size(0)}, Float.NaN).castTo(type).dup(to);

        product.times(x, z);
        product.timesTransposed(dz, dx);

        PlainMatrix sizes = new PlainMatrix(Transforms.abs(w));
        INDArray sizeZ = Nd4j.create(DataType.DOUBLE, m, w.size(1));
        INDArray sizeDx = Nd4j.create(DataType.DOUBLE, m, w.size(0));
        sizes.times(Transforms.abs(x.castTo(DataType.DOUBLE)), sizeZ);
        sizes.timesTransposed(Transforms.abs(dz.castTo(DataType.DOUBLE)), sizeDx);
        assertNear(z, expectedZ, sizeZ.norm2Number().doubleValue(), w.size(0));
        assertNear(dx, expectedDx, sizeDx.norm2Number().doubleValue(), w.size(1));
        assertThat(dz).isEqualTo(before);
    }

    @BeforeProperty
    void drawTheSameNumbersInEveryRun() {
        Nd4j.getRandom().setSeed(24);
    }

    /** Its products of codes are rounded to bfloat16: ProductsTest. */
    @BeforeProperty
    void computeWithoutOneDnn() {
        OneDnn.use(OneDnn.Use.NEVER);
    }

    @AfterProperty
    void computeAsUsual() {
        OneDnn.use(OneDnn.Use.WHERE_IT_GAINS);
    }

    @Property(tries = 300, seed = "13254351929264")
    void productsAreThoseWithTheArray(@ForAll Quantization scheme, @ForAll boolean linesAreColumns,
            @ForAll @IntRange(max = 3) int ofType, @ForAll boolean fromColumns, @ForAll boolean toColumns,
            @ForAll @IntRange(min = 1, max = 9) int m, @ForAll @IntRange(min = 1, max = 20) int lines,
            @ForAll @IntRange(min = 1, max = 200) int length) {
        DataType type = new DataType[] {DataType.FLOAT, DataType.DOUBLE, DataType.HALF, DataType.BFLOAT16}[ofType];
        QuantizedMatrix matrix = matrix(scheme, lines, length);

        assertMultipliesAs(w(matrix, linesAreColumns), new QuantizedProduct(matrix, type, linesAreColumns), type, m,
                fromColumns ? 'f' : 'c', toColumns ? 'f' : 'c');
    }

    /** Several blocks, the last one short; few rows and many. */
    @Property(tries = 16, seed = "13254351929264")
    void productsOfSeveralBlocksAreThoseWithTheArray(@ForAll Quantization scheme, @ForAll boolean linesAreColumns,
            @ForAll boolean wide, @ForAll boolean fromColumns, @ForAll boolean toColumns,
            @ForAll @IntRange(max = 4) int ofRows, @ForAll @IntRange(min = 2100, max = 2400) int lines,
            @ForAll @IntRange(min = 250, max = 320) int length) {
        QuantizedMatrix matrix = matrix(scheme, lines, length);
        DataType type = wide ? DataType.DOUBLE : DataType.FLOAT;

        assertMultipliesAs(w(matrix, linesAreColumns), new QuantizedProduct(matrix, type, linesAreColumns), type,
                new int[] {1, 2, 33, 64, 65}[ofRows], fromColumns ? 'f' : 'c', toColumns ? 'f' : 'c');
    }

    /** More lines than a table serves, and lines of more than one group of magnitudes. */
    @Example
    void oneRowIsMultipliedByManyLinesAndByLongOnes() {
        for (Quantization scheme : Quantization.values()) {
            for (int[] size : new int[][] {{4100, 70}, {3, 16_384}, {5, 33_001}}) {
                QuantizedMatrix matrix = matrix(scheme, size[0], size[1]);
                for (boolean linesAreColumns : new boolean[] {true, false}) {
                    assertMultipliesAs(w(matrix, linesAreColumns), new QuantizedProduct(matrix, DataType.FLOAT, linesAreColumns),
                            DataType.FLOAT, 1, 'c', 'c');
                }
            }
        }
    }

    @Property(tries = 30, seed = "13254351929264")
    void operandsMayBePartsOfOthers(@ForAll Quantization scheme, @ForAll boolean linesAreColumns, @ForAll BlasTest.Lies lies,
            @ForAll @IntRange(min = 1, max = 70) int m) {
        QuantizedMatrix matrix = matrix(scheme, 37, 90);
        INDArray w = w(matrix, linesAreColumns);
        QuantizedProduct product = new QuantizedProduct(matrix, DataType.FLOAT, linesAreColumns);
        INDArray x = BlasTest.matrix(DataType.FLOAT, lies, m, w.size(0));
        INDArray dz = BlasTest.matrix(DataType.FLOAT, lies, m, w.size(1));
        INDArray z = Nd4j.create(DataType.FLOAT, m, w.size(1));
        INDArray dx = Nd4j.create(DataType.FLOAT, m, w.size(0));

        product.times(x, z);
        product.timesTransposed(dz, dx);

        assertNear(z, x.dup().castTo(DataType.DOUBLE).mmul(w), w.size(0));
        assertNear(dx, dz.dup().castTo(DataType.DOUBLE).mmul(w.transpose()), w.size(1));
    }

    @Property(tries = 60, seed = "13254351929264")
    void rowsAreThoseOfTheArray(@ForAll Quantization scheme, @ForAll boolean linesAreColumns,
            @ForAll @IntRange(max = 3) int ofType, @ForAll @IntRange(min = 1, max = 300) int words) {
        DataType type = new DataType[] {DataType.FLOAT, DataType.DOUBLE, DataType.HALF, DataType.BFLOAT16}[ofType];
        QuantizedMatrix matrix = matrix(scheme, 61, 305);
        FrozenMatrix product = new QuantizedProduct(matrix, type, linesAreColumns);
        INDArray w = w(matrix, linesAreColumns).castTo(type).dup('c');
        int[] asked = new int[words];
        for (int i = 0; i < words; i++) {
            asked[i] = (int) ((i * 17L + 3) % w.size(0));
        }
        INDArray to = Nd4j.create(type, new long[] {words, w.size(1)}, 'c');

        product.pull(asked, to);

        assertThat(to).isEqualTo(Nd4j.pullRows(w, 1, asked));
    }

    @Property(tries = 20, seed = "13254351929264")
    void theWholeMatrixIsLentByColumn(@ForAll Quantization scheme, @ForAll boolean linesAreColumns,
            @ForAll @IntRange(max = 3) int ofType) {
        DataType type = new DataType[] {DataType.FLOAT, DataType.DOUBLE, DataType.HALF, DataType.BFLOAT16}[ofType];
        for (int length : new int[] {300, 1, 77}) {
            QuantizedMatrix matrix = matrix(scheme, 40, length);
            FrozenMatrix product = new QuantizedProduct(matrix, type, linesAreColumns);

            INDArray lent = product.lent();

            assertThat(lent.stride()).containsExactly(1, product.rows());
            assertThat(lent.ordering()).isEqualTo('f');
            assertThat(lent).isEqualTo(w(matrix, linesAreColumns).castTo(type));
        }
    }

    @Example
    void aMatrixMayBeAMappedFile() throws IOException {
        for (Quantization scheme : Quantization.values()) {
            QuantizedMatrix matrix = matrix(scheme, 130, 75);
            Path file = Files.createTempFile("matrix", null);
            try (OutputStream out = Files.newOutputStream(file)) {
                matrix.write(out);
            }
            long scales = switch (scheme) {
                case BF16 -> 0;
                case INT8 -> 4;
                case NF4 -> 2 * 4 + 2;
            };
            QuantizedMatrix mapped;
            try (FileChannel channel = FileChannel.open(file)) {
                long codes = channel.size() - 130 * scales;
                mapped = QuantizedMatrix.of(scheme, 130, 75, channel.map(FileChannel.MapMode.READ_ONLY, 0, codes),
                        channel.map(FileChannel.MapMode.READ_ONLY, codes, 130 * scales));
            }
            QuantizedProduct product = new QuantizedProduct(mapped, DataType.FLOAT, true);
            for (int m : new int[] {1, 3, 70}) {
                assertMultipliesAs(w(matrix, true), product, DataType.FLOAT, m, 'c', 'f');
            }
            file.toFile().deleteOnExit();
        }
    }

    /** What is kept for the thread must outlive the workspaces in which it was made. */
    @Example
    void workspacesMayBeOpen() {
        for (Quantization scheme : Quantization.values()) {
            QuantizedMatrix matrix = matrix(scheme, 90, 70);
            QuantizedProduct product = new QuantizedProduct(matrix, DataType.FLOAT, true);
            WorkspaceConfiguration configuration = WorkspaceConfiguration.builder().initialSize(1 << 22).build();
            for (int i = 0; i < 3; i++) {
                try (MemoryWorkspace open = Nd4j.getWorkspaceManager().getAndActivateWorkspace(configuration, "ProductTest")) {
                    assertMultipliesAs(w(matrix, true), product, DataType.FLOAT, 5 + 70 * i, 'c', 'f');
                    assertThat(product.lent().isAttached()).isFalse();
                    assertThat(product.lent().castTo(DataType.DOUBLE)).isEqualTo(w(matrix, true));
                }
            }
        }
    }

    @Example
    void threadsMayMultiplyByOneMatrix() throws InterruptedException, ExecutionException {
        ExecutorService threads = Executors.newFixedThreadPool(4);
        try {
            List<Callable<Void>> tasks = new ArrayList<>();
            for (int i = 0; i < 24; i++) {
                QuantizedMatrix matrix = matrix(Quantization.values()[i % 3], 300 + i, 250);
                QuantizedProduct product = new QuantizedProduct(matrix, DataType.FLOAT, i % 2 == 0);
                INDArray w = w(matrix, i % 2 == 0);
                int rows = 1 + 5 * i;
                for (int k = 0; k < 3; k++) {
                    tasks.add(() -> {
                        assertMultipliesAs(w, product, DataType.FLOAT, rows, 'c', 'c');
                        assertThat(product.lent().castTo(DataType.DOUBLE)).isEqualTo(w);
                        return null;
                    });
                }
            }
            for (Future<Void> task : threads.invokeAll(tasks)) {
                task.get();
            }
        } finally {
            threads.shutdownNow();
        }
    }

    /** Then everything goes the way of ND4J, as it does on other backends. */
    @Example
    void whoeverHasNd4jLookForNaNIsToldOfIt() {
        ProfilerConfig before = OpProfiler.getInstance().getConfig();
        for (Quantization scheme : Quantization.values()) {
            for (boolean linesAreColumns : new boolean[] {true, false}) {
                QuantizedMatrix matrix = matrix(scheme, 600, 130);
                QuantizedProduct product = new QuantizedProduct(matrix, DataType.FLOAT, linesAreColumns);
                INDArray w = w(matrix, linesAreColumns);
                INDArray wrong = Nd4j.valueArrayOf(new long[] {2, w.size(0)}, Float.NaN);
                Nd4j.getExecutioner().setProfilingConfig(ProfilerConfig.builder().checkForNAN(true).build());
                try {
                    assertThatThrownBy(() -> product.times(wrong, Nd4j.zeros(2, w.size(1)))).hasMessageContaining("NaN");
                    for (char order : new char[] {'c', 'f'}) {
                        INDArray x = Nd4j.ones(70, w.size(0));
                        INDArray z = Nd4j.create(DataType.FLOAT, new long[] {70, w.size(1)}, order);
                        product.times(x, z);
                        assertNear(z, x.castTo(DataType.DOUBLE).mmul(w), w.size(0));
                    }
                } finally {
                    Nd4j.getExecutioner().setProfilingConfig(before);
                }
            }
        }
    }
}
