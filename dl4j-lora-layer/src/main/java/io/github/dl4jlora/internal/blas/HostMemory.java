package io.github.dl4jlora.internal.blas;

import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.FloatPointer;
import org.nd4j.linalg.api.buffer.DataTypeEx;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.profiler.OpProfiler;
import org.nd4j.linalg.profiler.ProfilerConfig;
import org.nd4j.nativeblas.NativeOps;
import org.nd4j.nativeblas.NativeOpsHolder;

/**
 * Whether this library's code may read and write arrays in place instead of calling ND4J's operations. Each operation costs 5 to
 * 20 µs whatever it computes: half of a step of narrow layers.
 */
public final class HostMemory {

    /** The number of values that ND4J still converts on the caller's thread, however many threads it has. */
    private static final int PIECE = 1 << 10;
    private static final boolean IS_CPU = Nd4j.getBackend().getEnvironment().isCPU();

    private HostMemory() {
    }

    /**
     * Whether the arrays are in the host's memory and alive, and ND4J's profiler does not watch operations. An array that is
     * closed, or whose workspace is, goes to ND4J, which reports that; code here would read from where the array was.
     */
    public static boolean holds(INDArray... arrays) {
        if (!IS_CPU || isWatched()) {
            return false;
        }
        for (INDArray array : arrays) {
            if (array.wasClosed() || array.isEmpty() || !KeptArrays.isUsable(array)) {
                return false;
            }
        }
        return true;
    }

    /**
     * Converts signed bytes to floats, faster than a loop in Java. Where ND4J has several threads, it gets pieces too small to
     * share among them: woken for each block, they would spin on the cores that BLAS needs, and a product would take ten times
     * as long.
     */
    public static void widen(BytePointer from, long count, FloatPointer to) {
        widen(from, count, to, piece(count));
    }

    /** How many of so many values ND4J is to convert at a time. */
    static long piece(long count) {
        return NativeOpsHolder.getInstance().getDeviceNativeOps().ompGetMaxThreads() == 1 ? count : PIECE;
    }

    /** @param piece how many at a time */
    public static void widen(BytePointer from, long count, FloatPointer to, long piece) {
        NativeOps operations = NativeOpsHolder.getInstance().getDeviceNativeOps();
        for (long at = 0; at < count; at += piece) {
            // Addresses, not positions: for a void* JavaCPP counts a position in bytes, whatever it points to.
            operations.convertTypes(null, DataTypeEx.INT8.ordinal(), from.getPointer(at), Math.min(piece, count - at),
                    DataTypeEx.FLOAT.ordinal(), to.getPointer(at));
        }
    }

    /** The present memory if it is large enough; otherwise that is freed, and new memory is returned. */
    public static FloatPointer room(FloatPointer present, long values) {
        // Where new memory could not be had, the present one is closed, and still tells its capacity.
        if (!present.isNull() && present.capacity() >= values) {
            return present;
        }
        present.close();
        return new FloatPointer(values);
    }

    private static boolean isWatched() {
        ProfilerConfig config = OpProfiler.getInstance().getConfig();
        return config != null && (config.isCheckForNAN() || config.isCheckForINF() || config.isStackTrace()
                || config.isCheckElapsedTime() || config.isNativeStatistics() || config.isNotOptimalArguments());
    }
}
