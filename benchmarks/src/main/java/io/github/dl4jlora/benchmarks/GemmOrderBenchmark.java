package io.github.dl4jlora.benchmarks;

import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.Warmup;

import java.util.concurrent.TimeUnit;

/**
 * The two products with W of a LoRA step, in every order of their operands, to find the combinations that copy, which is slow.
 * DL4J stores W in 'f' order; inputs and gradients come in either.
 */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Fork(value = 1, jvmArgsAppend = {"-Xmx1g", "-Dorg.bytedeco.javacpp.maxbytes=4g"})
@Warmup(iterations = 2, time = 1)
@Measurement(iterations = 3, time = 1)
public class GemmOrderBenchmark {

    @Param({"256", "1024", "2048"})
    int width;

    @Param("32")
    int rows;

    /** Orders of input, W and result. */
    @Param({"cfc", "cff", "ffc", "fff", "ccc", "ccf", "fcc", "fcf"})
    String orders;

    private INDArray x;
    private INDArray w;
    private INDArray result;

    @Setup
    public void allocate() {
        x = Nd4j.randn(rows, width).dup(orders.charAt(0));
        w = Nd4j.randn(width, width).dup(orders.charAt(1));
        result = Nd4j.create(x.dataType(), new long[] {rows, width}, orders.charAt(2));
    }

    @Benchmark
    public INDArray forward() {
        return Nd4j.gemm(x, w, result, false, false, 1, 0);
    }

    @Benchmark
    public INDArray backward() {
        return Nd4j.gemm(x, w, result, false, true, 1, 0);
    }
}
