package io.github.dl4jlora.internal.onednn;

import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.internal.blas.BlasTest.Lies;
import io.github.dl4jlora.internal.blas.HostMemory;
import io.github.dl4jlora.internal.onednn.OneDnn.Use;
import io.github.dl4jlora.internal.quantized.QuantizedMatrix;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.lifecycle.AddLifecycleHook;
import net.jqwik.api.lifecycle.AfterProperty;
import net.jqwik.api.lifecycle.BeforeProperty;
import net.jqwik.api.lifecycle.LifecycleContext;
import net.jqwik.api.lifecycle.SkipExecutionHook;
import org.bytedeco.javacpp.FloatPointer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.nativeblas.NativeOps;
import org.nd4j.nativeblas.NativeOpsHolder;

import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.IntStream;

import static io.github.dl4jlora.internal.blas.BlasTest.matrix;
import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

/** oneDNN's products are ND4J's, however the operands lie. */
class ProductsTest {

    private static final String MISSING = "oneDNN is not on the class path";

    /** What an assumption is to JUnit. */
    private static final class OneDnnIsHere implements SkipExecutionHook {

        @Override
        public SkipResult shouldBeSkipped(LifecycleContext context) {
            return OneDnn.isPresent() ? SkipResult.doNotSkip() : SkipResult.skip(MISSING);
        }
    }

    private static final class Bfloat16IsHere implements SkipExecutionHook {

        @Override
        public SkipResult shouldBeSkipped(LifecycleContext context) {
            return OneDnn.isPresent() && OneDnn.Cpu.MULTIPLIES_BF16 ? SkipResult.doNotSkip()
                    : SkipResult.skip("oneDNN is not on the class path, or the processor does not multiply bfloat16");
        }
    }

    @BeforeEach
    void oneDnnIsHere() {
        assumeTrue(OneDnn.isPresent(), MISSING);
    }

    @BeforeProperty
    @BeforeEach
    void computeWithOneDnnWhereverItCan() {
        OneDnn.use(Use.ALWAYS);
        Nd4j.getRandom().setSeed(26);
    }

    @AfterProperty
    @AfterEach
    void computeAsUsual() {
        OneDnn.use(Use.WHERE_IT_GAINS);
    }

    @Property(tries = 300, seed = "26")
    @AddLifecycleHook(OneDnnIsHere.class)
    void productsAreNd4js(@ForAll Lies x, @ForAll Lies w, @ForAll boolean transposed, @ForAll boolean block,
            @ForAll @IntRange(min = 1, max = 400) int m, @ForAll @IntRange(min = 1, max = 70) int n,
            @ForAll @IntRange(min = 1, max = 90) int k) {
        INDArray left = matrix(DataType.FLOAT, x, m, k);
        INDArray right = transposed ? matrix(DataType.FLOAT, w, n, k) : matrix(DataType.FLOAT, w, k, n);
        INDArray around = Nd4j.valueArrayOf(new long[] {m, n + 2}, 7f);
        INDArray z = block ? around.get(NDArrayIndex.all(), NDArrayIndex.interval(1, n + 1))
                : Nd4j.valueArrayOf(new long[] {m, n}, Float.NaN);
        INDArray expected = exact(left).mmul(exact(transposed ? right.transpose() : right));

        boolean done = Products.multiply(left, right, transposed, z);

        boolean isLeft = m > 64 && left.stride(1) != 1;
        if (x != Lies.EVERY_SECOND && w != Lies.EVERY_SECOND) {
            assertThat(done).isEqualTo(!isLeft);
        }
        if (done) {
            // Sums may cancel, in another order on another processor: the terms are what rounding goes by.
            assertThat(exact(z).sub(expected).norm2Number().doubleValue()).isLessThanOrEqualTo(1e-6
                    * exact(left).norm2Number().doubleValue() * exact(right).norm2Number().doubleValue());
            assertThat(around.getColumn(0).eq(7).all()).isTrue();
            assertThat(around.getColumn(n + 1).eq(7).all()).isTrue();
        }
    }

    /** W and the other operand in bfloat16, or W in bytes with factors: what is computed then is exact but for sums of FLOAT. */
    @Property(tries = 200, seed = "26")
    @AddLifecycleHook(Bfloat16IsHere.class)
    void codesAreMultipliedAsTheyAre(@ForAll boolean bytes, @ForAll boolean toLines, @ForAll @IntRange(min = 1, max = 100) int m,
            @ForAll @IntRange(min = 1, max = 70) int lines, @ForAll @IntRange(min = 1, max = 90) int length) {
        Quantization scheme = bytes ? Quantization.INT8 : Quantization.BF16;
        INDArray values = Nd4j.randn(DataType.FLOAT, lines, length);
        QuantizedMatrix matrix = QuantizedMatrix.of(scheme, lines, length,
                (line, to) -> System.arraycopy(values.getRow(line).toFloatVector(), 0, to, 0, length));
        float[] factors = new float[lines];
        if (bytes) {
            matrix.factors(0, lines, factors);
        }
        INDArray restored = Nd4j.create(DataType.FLOAT, (long) lines * length);
        matrix.restoreInto(restored, false);
        INDArray w = exact(restored).reshape('c', lines, length);
        INDArray x = Nd4j.randn(DataType.FLOAT, m, toLines ? length : lines);
        INDArray z = Nd4j.valueArrayOf(new long[] {m, toLines ? lines : length}, Float.NaN);

        assertThat(Products.multiply(x, Weights.ofLines(matrix.codes(0), lines, length, bytes ? factors : null, toLines), z))
                .isTrue();

        INDArray scale = bytes && !toLines ? Nd4j.createFromArray(factors) : Nd4j.ones(DataType.FLOAT, x.size(1));
        INDArray scaled = x.mulRowVector(scale).castTo(DataType.BFLOAT16).castTo(DataType.DOUBLE)
                .divRowVector(scale.castTo(DataType.DOUBLE));
        INDArray expected = scaled.mmul(toLines ? w.transpose() : w);
        assertThat(exact(z).sub(expected).norm2Number().doubleValue()).isLessThanOrEqualTo(
                2e-6 * scaled.norm2Number().doubleValue() * w.norm2Number().doubleValue());
    }

    private static INDArray exact(INDArray array) {
        return array.dup().castTo(DataType.DOUBLE);
    }

    private static QuantizedMatrix int8(INDArray lines) {
        return QuantizedMatrix.of(Quantization.INT8, lines.size(0), lines.size(1),
                (line, to) -> System.arraycopy(lines.getRow(line).toFloatVector(), 0, to, 0, to.length));
    }

    private static INDArray multiplied(INDArray x, QuantizedMatrix matrix) {
        float[] factors = new float[(int) matrix.lines()];
        matrix.factors(0, factors.length, factors);
        INDArray z = Nd4j.valueArrayOf(new long[] {x.size(0), matrix.lines()}, 7f);
        assertThat(Products.multiply(x, Weights.ofLines(matrix.codes(0), matrix.lines(), matrix.length(), factors, true), z))
                .isTrue();
        return z;
    }

    /** Few rows may be taken apart into integers, each by its own largest number, and many are not. */
    @Property(tries = 40, seed = "26")
    @AddLifecycleHook(Bfloat16IsHere.class)
    void aRowOfAnySizeIsMultipliedByCodesAsAmongOthers(@ForAll @IntRange(min = 1, max = 5) int m,
            @ForAll @IntRange(min = -30, max = 30) int exponent, @ForAll @IntRange(min = 0, max = 5) int outlier) {
        QuantizedMatrix matrix = int8(Nd4j.randn(DataType.FLOAT, 70, 90));
        INDArray many = Nd4j.randn(DataType.FLOAT, 8, 90).muli(Math.pow(10, exponent));
        many.getColumn(3).muli(Math.pow(10, outlier));
        INDArray few = many.get(NDArrayIndex.interval(0, m), NDArrayIndex.all());

        INDArray z = exact(multiplied(few, matrix));

        INDArray expected = exact(multiplied(many, matrix)).get(NDArrayIndex.interval(0, m), NDArrayIndex.all());
        assertThat(z.sub(expected).norm2Number().doubleValue()).isLessThanOrEqualTo(2e-6 * 70
                * exact(few).norm2Number().doubleValue());
    }

    @Test
    void whatIsNoNumberIsNotHiddenByCodes() {
        assumeTrue(OneDnn.Cpu.MULTIPLIES_BF16, "the processor does not multiply bfloat16");
        QuantizedMatrix matrix = int8(Nd4j.ones(DataType.FLOAT, 70, 90));
        INDArray x = Nd4j.ones(DataType.FLOAT, 1, 90);

        assertThat(multiplied(x.dup().putScalar(5, Float.NaN), matrix).isNaN().all()).isTrue();
        assertThat(multiplied(x.dup().putScalar(5, Float.POSITIVE_INFINITY), matrix).isInfinite().all()).isTrue();
        assertThat(multiplied(x.mul(0), matrix).eq(0).all()).as("zeros").isTrue();
        assertThat(multiplied(x, matrix).sub(90).amaxNumber().floatValue()).isLessThan(1e-3f);
    }

    @Test
    void leavesToOthersWhatItHasNoFastCodeFor() {
        INDArray x = Nd4j.randn(DataType.FLOAT, 3, 20);
        INDArray w = Nd4j.randn(DataType.FLOAT, 20, 30);

        assertThat(Products.multiply(x, w, false, Nd4j.create(DataType.FLOAT, new long[] {3, 30}, 'f'))).isFalse();
        assertThat(Products.multiply(x.castTo(DataType.DOUBLE), w, false, Nd4j.create(DataType.FLOAT, 3, 30))).isFalse();
        assertThat(Products.multiply(x, w, true, Nd4j.create(DataType.FLOAT, 3, 30))).as("shapes do not fit").isFalse();
        OneDnn.use(Use.WHERE_IT_GAINS);
        assertThat(Products.multiply(x, w, false, Nd4j.create(DataType.FLOAT, 3, 30))).as("little work").isFalse();
        OneDnn.use(Use.NEVER);
        assertThat(Products.gains(32, 4096, 4096, true)).isFalse();
    }

    /** A pointer tells its old capacity when it is closed: where new memory could not be had, native code wrote to address 0. */
    @Test
    void memoryThatWasClosedIsNotUsedAgain() {
        FloatPointer closed = new FloatPointer(1000);
        closed.close();

        assertThat(HostMemory.room(closed, 10).isNull()).isFalse();
    }

    @Test
    void codesAreMultipliedWhereTheMatrixIsLargeEnough() {
        OneDnn.use(Use.WHERE_IT_GAINS);

        assertThat(Products.multipliesCodes(256, 256)).isEqualTo(OneDnn.multipliesBf16());
        assertThat(Products.multipliesCodes(16, 16)).isFalse();
    }

    @Test
    void aMatrixWhoseRowsCollideInCachesIsLeftToOpenBlas() {
        OneDnn.use(Use.WHERE_IT_GAINS);
        INDArray w = Nd4j.rand(DataType.FLOAT, 768, 3072);
        INDArray x = Nd4j.rand(DataType.FLOAT, 128, 768);
        INDArray z = Nd4j.valueArrayOf(new long[] {128, 3072}, 5f);

        assertThat(Products.multiply(x, w, false, z)).isFalse();
        assertThat(Products.gains(128, 3072, 768, true)).isFalse();
        assertThat(z.minNumber().floatValue()).as("nothing is written").isEqualTo(5);
        if (OneDnn.threads() == 1 && OneDnn.Cpu.READS_IN_PLACE) {
            assertThat(Products.gains(127, 3072, 768, true)).isTrue();
            assertThat(Products.gains(128, 4096, 768, true)).isTrue();
            assertThat(Products.gains(128, 3000, 768, true)).isTrue();
            assertThat(Products.multiply(x, w.dup('f'), false, z)).as("by columns").isTrue();
        }
    }

    /** On AVX2 it took up to twice as long as OpenBLAS, the way back through rows of 1,536 numbers for instance. */
    @Test
    void aMatrixInPlaceIsLeftToOpenBlasWithoutAvx512() {
        OneDnn.use(Use.WHERE_IT_GAINS);
        INDArray w = Nd4j.rand(DataType.FLOAT, 384, 1536);
        INDArray x = Nd4j.rand(DataType.FLOAT, 64, 1536);
        boolean expected = OneDnn.Cpu.READS_IN_PLACE && OneDnn.threads() == 1;

        assertThat(Products.gains(64, 384, 1536, true)).isEqualTo(expected);
        assertThat(Products.multiply(x, w.transpose(), false, Nd4j.create(DataType.FLOAT, 64, 384))).isEqualTo(expected);
    }

    @Test
    void aThreadKeepsNoMorePrimitivesThanItsBound() {
        for (int n = 1; n <= Calls.MOST + 20; n++) {
            INDArray x = Nd4j.randn(DataType.FLOAT, 2, 3);
            INDArray w = Nd4j.randn(DataType.FLOAT, 3, n);
            INDArray z = Nd4j.create(DataType.FLOAT, 2, n);

            assertThat(Products.multiply(x, w, false, z)).isTrue();
            assertThat(exact(z).equalsWithEps(exact(x).mmul(exact(w)), 1e-5)).isTrue();
        }

        assertThat(Calls.kept()).isEqualTo(Calls.MOST);
    }

    @Test
    void severalThreadsDoNotDisturbEachOther() throws Exception {
        ExecutorService threads = Executors.newFixedThreadPool(4);
        try {
            INDArray w = Nd4j.randn(DataType.FLOAT, 200, 300).dup('f');
            Callable<Boolean> product = () -> {
                boolean right = true;
                for (int i = 0; i < 50; i++) {
                    INDArray x = Nd4j.valueArrayOf(new long[] {1 + i % 7, 200}, 1f + i);
                    INDArray z = Nd4j.create(DataType.FLOAT, x.size(0), 300);
                    right &= Products.multiply(x, w, false, z) && z.equalsWithEps(x.mmul(w), 0.05);
                }
                return right;
            };

            for (Future<Boolean> result : threads.invokeAll(IntStream.range(0, 4).mapToObj(i -> product).toList())) {
                assertThat(result.get()).isTrue();
            }
        } finally {
            threads.shutdown();
        }
    }

    @Test
    void aProductIsComputedOnOneThreadWhereSeveralWouldWaitLongerThanTheyCompute() throws Exception {
        assertThat(compiledForTwoThreads(32)).isZero();
        assertThat(compiledForTwoThreads(128)).isOne();
    }

    /** How many primitives a product of so many rows compiles when BLAS gets a second thread. */
    private static int compiledForTwoThreads(int rows) throws Exception {
        INDArray x = Nd4j.randn(DataType.FLOAT, rows, 256);
        INDArray w = Nd4j.randn(DataType.FLOAT, 256, 1024);
        INDArray z = Nd4j.create(DataType.FLOAT, rows, 1024);
        int blas = Nd4j.factory().blas().getMaxThreads();
        ExecutorService another = Executors.newSingleThreadExecutor();
        try {
            return another.submit(() -> {
                Nd4j.factory().blas().setMaxThreads(1);
                assertThat(Products.multiply(x, w, false, z)).isTrue();
                int before = Calls.kept();
                Nd4j.factory().blas().setMaxThreads(2);
                assertThat(Products.multiply(x, w, false, z)).isTrue();
                return Calls.kept() - before;
            }).get();
        } finally {
            Nd4j.factory().blas().setMaxThreads(blas);
            another.shutdown();
        }
    }

    @Test
    void theThreadsOfNd4jsLoopsStayAsTheyWere() {
        NativeOps operations = NativeOpsHolder.getInstance().getDeviceNativeOps();
        int loops = operations.ompGetMaxThreads();
        int blas = Nd4j.factory().blas().getMaxThreads();
        Nd4j.factory().blas().setMaxThreads(blas + 1);
        try {
            assertThat(OneDnn.onThreads(OneDnn.threads(), () -> operations.ompGetMaxThreads() == blas + 1)).isTrue();
        } finally {
            Nd4j.factory().blas().setMaxThreads(blas);
        }

        assertThat(operations.ompGetMaxThreads()).isEqualTo(loops);
    }
}
