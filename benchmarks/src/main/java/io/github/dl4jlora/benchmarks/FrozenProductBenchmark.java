package io.github.dl4jlora.benchmarks;

import io.github.dl4jlora.internal.blas.Blas;
import io.github.dl4jlora.internal.kernel.FrozenMatrix;
import io.github.dl4jlora.internal.kernel.PackedMatrix;
import io.github.dl4jlora.internal.kernel.PlainMatrix;
import io.github.dl4jlora.internal.onednn.PackedCopies;
import io.github.dl4jlora.internal.onednn.Products;
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

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/**
 * Products of rows with a frozen W of FLOAT, forward and, by Wᵀ, back: by OpenBLAS, by oneDNN with W where it lies, with a packed
 * copy, and by what the library chooses. Three matrices take turns, as in a network, so that none stays in a cache alone. For
 * thresholds of {@link Products}; one thread: {@code OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1}.
 */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Fork(value = 1, jvmArgsAppend = {"-Xmx1g", "-Dorg.bytedeco.javacpp.maxbytes=4g"})
@Warmup(iterations = 2, time = 1)
@Measurement(iterations = 3, time = 1)
public class FrozenProductBenchmark {

    private static final int MATRICES = 3;

    @Param({"256", "1024", "2048"})
    int width;

    @Param({"1", "16", "32", "64", "256"})
    int rows;

    @Param({"false", "true"})
    boolean back;

    private final List<INDArray> weights = new ArrayList<>();
    private final List<FrozenMatrix> plain = new ArrayList<>();
    private final List<FrozenMatrix> packed = new ArrayList<>();
    private INDArray x;
    private INDArray byRows;
    private INDArray byColumns;
    private int turn;

    @Setup
    public void allocate() {
        x = Nd4j.randn(rows, width);
        byRows = Nd4j.create(x.dataType(), new long[] {rows, width}, 'c');
        byColumns = Nd4j.create(x.dataType(), new long[] {rows, width}, 'f');
        for (int i = 0; i < MATRICES; i++) {
            INDArray w = Nd4j.randn(width, width).dup('f');
            weights.add(back ? w.transpose() : w);
            plain.add(new PlainMatrix(w));
            packed.add(new PackedMatrix(new PlainMatrix(w), () -> true, new PackedCopies()));
        }
    }

    private int turn() {
        turn = (turn + 1) % MATRICES;
        return turn;
    }

    private INDArray multiply(FrozenMatrix matrix) {
        INDArray result = matrix.resultOrder(rows, back) == 'c' ? byRows : byColumns;
        if (back) {
            matrix.timesTransposed(x, result);
        } else {
            matrix.times(x, result);
        }
        return result;
    }

    @Benchmark
    public INDArray openBlas() {
        Blas.gemm(x, weights.get(turn()), byColumns, false, false, 1, 0);
        return byColumns;
    }

    /** Adds to what is there, which takes no longer. */
    @Benchmark
    public INDArray oneDnn() {
        if (!Products.add(x, weights.get(turn()), byRows)) {
            throw new IllegalStateException("oneDNN is not on the class path");
        }
        return byRows;
    }

    @Benchmark
    public INDArray packed() {
        return multiply(packed.get(turn()));
    }

    @Benchmark
    public INDArray chosen() {
        return multiply(plain.get(turn()));
    }
}
