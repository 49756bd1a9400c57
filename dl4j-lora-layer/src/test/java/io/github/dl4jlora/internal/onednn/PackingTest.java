package io.github.dl4jlora.internal.onednn;

import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.internal.kernel.FrozenMatrix;
import io.github.dl4jlora.internal.kernel.PackedMatrix;
import io.github.dl4jlora.internal.kernel.PlainMatrix;
import io.github.dl4jlora.internal.kernel.QuantizedProduct;
import io.github.dl4jlora.internal.onednn.OneDnn.Use;
import io.github.dl4jlora.internal.quantized.QuantizedMatrix;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.IntStream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

/** Products with packed copies are those with the matrix. */
class PackingTest {

    @BeforeEach
    void oneDnnIsHere() {
        assumeTrue(OneDnn.isPresent(), "oneDNN is not on the class path");
        OneDnn.use(Use.ALWAYS);
        Nd4j.getRandom().setSeed(26);
    }

    @AfterEach
    void computeAsUsual() {
        OneDnn.use(Use.WHERE_IT_GAINS);
    }

    private static FrozenMatrix packed(FrozenMatrix matrix, PackedCopies copies) {
        return new PackedMatrix(matrix, () -> true, copies);
    }

    private static void requireAlike(FrozenMatrix actual, FrozenMatrix expected, int rows) {
        for (boolean transposed : new boolean[] {false, true}) {
            INDArray x = Nd4j.randn(DataType.FLOAT, rows, transposed ? expected.columns() : expected.rows());
            INDArray found = Nd4j.valueArrayOf(new long[] {rows, transposed ? expected.rows() : expected.columns()}, Float.NaN);
            INDArray wanted = found.dup();
            if (transposed) {
                actual.timesTransposed(x, found);
                expected.timesTransposed(x, wanted);
            } else {
                actual.times(x, found);
                expected.times(x, wanted);
            }
            double size = wanted.castTo(DataType.DOUBLE).norm2Number().doubleValue();
            assertThat(found.castTo(DataType.DOUBLE).sub(wanted.castTo(DataType.DOUBLE)).norm2Number().doubleValue())
                    .as("%s rows, transposed: %s", rows, transposed).isLessThanOrEqualTo(2e-6 * size);
        }
    }

    @ParameterizedTest
    @CsvSource({"1,1", "3,5", "7,64", "70,33", "129,257", "200,300"})
    void productsWithPackedCopiesAreThoseOfTheMatrix(int nIn, int nOut) {
        for (char order : new char[] {'c', 'f'}) {
            PlainMatrix plain = new PlainMatrix(Nd4j.randn(DataType.FLOAT, nIn, nOut).dup(order));
            PackedCopies copies = new PackedCopies();
            for (int rows : new int[] {1, 2, 31, 64, 65, 100, 600}) {
                requireAlike(packed(plain, copies), plain, rows);
            }
            assertThat(copies.bytes()).isGreaterThanOrEqualTo(2L * nIn * nOut * Float.BYTES);
        }
    }

    @ParameterizedTest
    @CsvSource({"BF16,true", "BF16,false", "INT8,true", "INT8,false", "NF4,true"})
    void codesArePackedWhereTheProcessorMultipliesBfloat16(Quantization scheme, boolean linesAreColumns) {
        int lines = 150;
        int length = 90;
        float[] values = Nd4j.randn(DataType.FLOAT, (long) lines * length).toFloatVector();
        QuantizedProduct kept = new QuantizedProduct(QuantizedMatrix.of(scheme, lines, length,
                (line, to) -> System.arraycopy(values, (int) line * length, to, 0, length)), DataType.FLOAT, linesAreColumns);
        PackedCopies copies = new PackedCopies();

        for (int rows : new int[] {1, 17, 64, 300}) {
            requireAlike(packed(kept, copies), kept, rows);
        }

        boolean copied = OneDnn.multipliesBf16() && scheme != Quantization.NF4;
        assertThat(copies.bytes() > 0).isEqualTo(copied);
    }

    @Test
    void copiesOfOneDirectionAreMadeWhenTheyAreNeeded() {
        PlainMatrix plain = new PlainMatrix(Nd4j.randn(DataType.FLOAT, 256, 128));
        PackedCopies copies = new PackedCopies();
        FrozenMatrix matrix = packed(plain, copies);
        assertThat(copies.bytes()).isZero();

        matrix.times(Nd4j.randn(DataType.FLOAT, 4, 256), Nd4j.create(DataType.FLOAT, 4, 128));
        long one = copies.bytes();
        matrix.times(Nd4j.randn(DataType.FLOAT, 9, 256), Nd4j.create(DataType.FLOAT, 9, 128));

        assertThat(one).isEqualTo(Packing.bytes(Weights.Type.FLOAT, 256, 128, false)).isEqualTo(copies.bytes());
        matrix.timesTransposed(Nd4j.randn(DataType.FLOAT, 4, 128), Nd4j.create(DataType.FLOAT, 4, 256));
        assertThat(copies.bytes()).isEqualTo(one + Packing.bytes(Weights.Type.FLOAT, 128, 256, true));
    }

    @Test
    void whereOneDnnIsSwitchedOffTheMatrixIsReadWhereItLies() {
        INDArray w = Nd4j.randn(DataType.FLOAT, 256, 128);
        FrozenMatrix matrix = packed(new PlainMatrix(w), new PackedCopies());
        INDArray x = Nd4j.randn(DataType.FLOAT, 4, 256);
        matrix.times(x, Nd4j.create(DataType.FLOAT, 4, 128));
        OneDnn.use(Use.NEVER);

        INDArray z = Nd4j.create(DataType.FLOAT, 4, 128);
        matrix.times(x, z);

        assertThat(z.equalsWithEps(x.mmul(w), 1e-4)).isTrue();
    }

    @Test
    void aDoubleNetworkOnTheSameBaseLeavesCopiesToOthers() {
        INDArray w = Nd4j.randn(DataType.FLOAT, 256, 128);
        PackedCopies copies = new PackedCopies();
        requireAlikeDouble(packed(new PlainMatrix(w.castTo(DataType.DOUBLE)), copies), w);
        assertThat(copies.bytes()).isZero();

        requireAlike(packed(new PlainMatrix(w), copies), new PlainMatrix(w), 8);

        assertThat(copies.bytes()).isPositive();
    }

    private static void requireAlikeDouble(FrozenMatrix matrix, INDArray w) {
        INDArray x = Nd4j.randn(DataType.DOUBLE, 3, w.size(0));
        INDArray z = Nd4j.create(DataType.DOUBLE, 3, w.size(1));
        matrix.times(x, z);
        assertThat(z.equalsWithEps(x.mmul(w.castTo(DataType.DOUBLE)), 1e-10)).isTrue();
    }

    @Test
    void lentCopiesServeUntilTheThreadAsksForOthers() {
        PlainMatrix first = new PlainMatrix(Nd4j.randn(DataType.FLOAT, 128, 200));
        PlainMatrix second = new PlainMatrix(Nd4j.randn(DataType.FLOAT, 200, 128));
        INDArray x = Nd4j.randn(DataType.FLOAT, 8, 128);
        INDArray z = Nd4j.create(DataType.FLOAT, 8, 200);

        first.forManyProducts(8, false).times(x, z);
        assertThat(z.equalsWithEps(x.mmul(first.w()), 1e-4)).isTrue();
        second.forManyProducts(8, true).timesTransposed(x, z);

        assertThat(z.equalsWithEps(x.mmul(second.w().transpose()), 1e-4)).isTrue();
    }

    /** On a thread of its own, which keeps no primitives yet. */
    @Test
    void aPrimitiveIsKeptOnceEvenIfBlasGetsOtherThreadsWhileACopyIsMade() throws Exception {
        Weights plain = Objects.requireNonNull(Weights.of(Nd4j.randn(DataType.FLOAT, 131, 137), false));
        int threads = Nd4j.factory().blas().getMaxThreads();
        ExecutorService thread = Executors.newSingleThreadExecutor();
        try {
            int kept = thread.submit(() -> {
                Packing.packed(plain, bytes -> {
                    Nd4j.factory().blas().setMaxThreads(threads + 1);
                    return Working.own(bytes);
                });
                return Calls.kept();
            }).get();

            assertThat(kept).isOne();
        } finally {
            Nd4j.factory().blas().setMaxThreads(threads);
            thread.shutdown();
        }
    }

    @Test
    void severalThreadsShareTheCopies() throws Exception {
        PlainMatrix plain = new PlainMatrix(Nd4j.randn(DataType.FLOAT, 300, 200));
        PackedCopies copies = new PackedCopies();
        ExecutorService threads = Executors.newFixedThreadPool(4);
        try {
            Callable<Boolean> product = () -> {
                boolean right = true;
                for (int i = 0; i < 40; i++) {
                    INDArray x = Nd4j.valueArrayOf(new long[] {1 + i % 9, 300}, 1f + i);
                    INDArray z = Nd4j.create(DataType.FLOAT, x.size(0), 200);
                    packed(plain, copies).times(x, z);
                    right &= z.equalsWithEps(x.mmul(plain.w()), 0.1);
                }
                return right;
            };
            List<Future<Boolean>> results = threads.invokeAll(IntStream.range(0, 4).mapToObj(i -> product).toList());
            for (Future<Boolean> result : results) {
                assertThat(result.get()).isTrue();
            }
        } finally {
            threads.shutdown();
        }
        assertThat(copies.bytes()).isEqualTo(Packing.bytes(Weights.Type.FLOAT, 300, 200, false));
    }

    @Test
    void anyNumberOfRowsIsCutIntoFewDifferentPieces() {
        for (int rows = 1; rows < 2000; rows++) {
            long[] pieces = Products.pieces(rows, 256);
            assertThat(Arrays.stream(pieces).sum()).isEqualTo(rows);
            assertThat(Arrays.stream(pieces).filter(piece -> piece > 64 && piece != 128 && piece != 256)).isEmpty();
        }
        assertThat(Products.pieces(64, 256)).containsExactly(64);
        assertThat(Products.pieces(300, 256)).containsExactly(256, 44);
        assertThat(Products.pieces(1500, 1024)).containsExactly(1024, 256, 128, 64, 28);
    }
}
