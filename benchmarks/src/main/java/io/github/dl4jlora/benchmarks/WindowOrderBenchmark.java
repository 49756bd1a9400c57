package io.github.dl4jlora.benchmarks;

import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.api.ops.DynamicCustomOp;
import org.nd4j.linalg.convolution.Convolution;
import org.nd4j.linalg.factory.Nd4j;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.Warmup;

import java.util.concurrent.TimeUnit;

/**
 * The parts of a convolution by windows: 32 images of 32×32, 32 to 64 channels, kernel 3×3, {@code Same}. Compares the orders in
 * which windows are copied, and libnd4j's own gradient of the input with a product and the sum of windows.
 */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
@Fork(value = 1, jvmArgsAppend = {"-Xmx1g", "-Dorg.bytedeco.javacpp.maxbytes=4g"})
@Warmup(iterations = 2, time = 2)
@Measurement(iterations = 5, time = 2)
public class WindowOrderBenchmark {

    private static final int EXAMPLES = 32;
    private static final int IN = 32;
    private static final int OUT = 64;
    private static final int SIDE = 32;
    private static final int KERNEL = 3;

    private final INDArray x = Nd4j.randn(EXAMPLES, IN, SIDE, SIDE);
    private final INDArray dx = Nd4j.create(EXAMPLES, IN, SIDE, SIDE);
    private final INDArray dz = Nd4j.randn(EXAMPLES, OUT, SIDE, SIDE);
    private final INDArray w = Nd4j.randn(OUT, IN, KERNEL, KERNEL);
    private final INDArray positionsLast = Nd4j.create(EXAMPLES, IN, KERNEL, KERNEL, SIDE, SIDE);
    private final INDArray positionsFirst = Nd4j.create(EXAMPLES, SIDE, SIDE, IN, KERNEL, KERNEL).permute(0, 3, 4, 5, 1, 2);
    private final INDArray z = Nd4j.create(EXAMPLES, OUT, SIDE, SIDE);
    private INDArray matrix;

    @Setup
    public void unfold() {
        matrix = w.reshape('c', OUT, (long) IN * KERNEL * KERNEL);
        windows(positionsLast);
    }

    private INDArray windows(INDArray target) {
        return Convolution.im2col(x, KERNEL, KERNEL, 1, 1, 1, 1, 1, 1, true, target);
    }

    /** An example of channels and positions as a matrix. */
    private static INDArray matrix(INDArray array, int example, long channels) {
        return array.slice(example).reshape('c', channels, (long) SIDE * SIDE);
    }

    @Benchmark
    public INDArray windowsInTheOrderOfDl4jsLayers() {
        return windows(positionsFirst);
    }

    @Benchmark
    public INDArray windowsWithPositionsLast() {
        return windows(positionsLast);
    }

    @Benchmark
    public INDArray productWithW() {
        for (int i = 0; i < EXAMPLES; i++) {
            matrix.mmuli(matrix(positionsLast, i, matrix.columns()), matrix(z, i, OUT));
        }
        return z;
    }

    @Benchmark
    public INDArray inputGradientByAProduct() {
        for (int i = 0; i < EXAMPLES; i++) {
            matrix.transpose().mmuli(matrix(dz, i, OUT), matrix(positionsLast, i, matrix.columns()));
        }
        return positionsLast;
    }

    @Benchmark
    public INDArray sumOfWindows() {
        return Convolution.col2im(positionsLast, dx, 1, 1, 1, 1, SIDE, SIDE, 1, 1);
    }

    @Benchmark
    public INDArray inputGradientByLibnd4j() {
        DynamicCustomOp gradient = DynamicCustomOp.builder("conv2d_input_bp")
                .addInputs(Nd4j.createFromArray(EXAMPLES, IN, SIDE, SIDE), w, dz).addOutputs(dx)
                // Kernel, stride, padding, dilation, SAME, NCHW, weights [out, in, kH, kW].
                .addIntegerArguments(KERNEL, KERNEL, 1, 1, 0, 0, 1, 1, 1, 0, 1).build();
        Nd4j.exec(gradient);
        return dx;
    }
}
