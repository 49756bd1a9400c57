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
 * Whether code of ours may read and write arrays where they lie, instead of asking ND4J's operations to: each of those costs
 * 5 to 20 µs whatever it computes, half of a step of narrow layers.
 */
public final class HostMemory {

    /** Values that ND4J converts on the caller's thread, whatever threads it has. */
    private static final int PIECE = 1 << 10;
    private static final boolean IS_CPU = Nd4j.getBackend().getEnvironment().isCPU();

    private HostMemory() {
    }

    /**
     * Whether they are in the host's memory and alive, and nobody wants ND4J to watch its operations. What is closed, or of a
     * workspace that is, goes to ND4J, which says so: here it would be read from where it was.
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
     * Floats of so many bytes with signs, faster than a loop of Java's. Where ND4J has several threads it is asked for pieces
     * that are too small for them: woken for each block they would spin on the cores that BLAS needs, and a product take ten
     * times as long.
     */
    public static void widen(BytePointer from, long count, FloatPointer to) {
        widen(from, count, to, NativeOpsHolder.getInstance().getDeviceNativeOps().ompGetMaxThreads() == 1 ? count : PIECE);
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

    /** Memory that is there if it is large enough; else it is freed, and what is returned is new. */
    public static FloatPointer room(FloatPointer present, long values) {
        if (present.capacity() >= values) {
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
