package io.github.dl4jlora.internal.kernel;

import io.github.dl4jlora.internal.blas.HostMemory;
import org.bytedeco.javacpp.IntPointer;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.lang.ref.Reference;
import java.util.Arrays;

/**
 * Plain ReLU and its gradient, bit for bit as ND4J computes them, for FLOAT in the host's memory. Values pass through Java
 * arrays, block by block, and loops work on the bits of the numbers: HotSpot vectorises loops over arrays of int, but neither
 * loops over memory outside the heap nor loops that choose between floats. A block fits the first-level cache.
 */
final class Rectifier {

    private static final int BLOCK = 2048;
    private static final int INFINITE = 0x7f800000;

    /** Two blocks for each thread. New blocks in each pass would be a third of the garbage of a step of narrow layers. */
    private static final ThreadLocal<int[][]> BLOCKS = ThreadLocal.withInitial(() -> new int[2][BLOCK]);

    private Rectifier() {
    }

    /** Whether this class can compute on these arrays, element by element in memory order. */
    static boolean takes(INDArray z, INDArray other) {
        return z.dataType() == DataType.FLOAT && other.dataType() == DataType.FLOAT && z.elementWiseStride() == 1
                && other.elementWiseStride() == 1 && z.ordering() == other.ordering() && Arrays.equals(z.shape(), other.shape())
                && HostMemory.holds(z, other);
    }

    /**
     * y = z where z is not below zero, else 0; NaN stays.
     *
     * @param y written to; may be z
     */
    static void forward(INDArray z, INDArray y) {
        IntPointer from = bits(z);
        IntPointer to = bits(y);
        int[] block = BLOCKS.get()[0];
        for (long at = 0; at < z.length(); at += block.length) {
            int length = (int) Math.min(block.length, z.length() - at);
            from.position(at).get(block, 0, length);
            keepNotNegative(block, length);
            to.position(at).put(block, 0, length);
        }
        Reference.reachabilityFence(z);
        Reference.reachabilityFence(y);
    }

    /**
     * dL/dz = dL/dy where z is above zero, else 0, even if dL/dy is infinite there.
     *
     * @param z overwritten by dL/dz
     */
    static void backward(INDArray z, INDArray epsilon) {
        IntPointer to = bits(z);
        IntPointer from = bits(epsilon);
        int[] block = BLOCKS.get()[0];
        int[] gradients = BLOCKS.get()[1];
        for (long at = 0; at < z.length(); at += block.length) {
            int length = (int) Math.min(block.length, z.length() - at);
            to.position(at).get(block, 0, length);
            from.position(at).get(gradients, 0, length);
            keepWherePositive(block, gradients, length);
            to.position(at).put(gradients, 0, length);
        }
        Reference.reachabilityFence(z);
        Reference.reachabilityFence(epsilon);
    }

    private static void keepNotNegative(int[] z, int length) {
        for (int i = 0; i < length; i++) {
            z[i] &= ~(z[i] >> 31 & within(z[i] & Integer.MAX_VALUE));
        }
    }

    private static void keepWherePositive(int[] z, int[] gradients, int length) {
        for (int i = 0; i < length; i++) {
            gradients[i] &= within(z[i]);
        }
    }

    /** All ones if these are the bits of a number from the smallest above zero to infinity, else 0. */
    private static int within(int bits) {
        int above = bits - 1;
        return ~above >> 31 & above - INFINITE >> 31;
    }

    private static IntPointer bits(INDArray array) {
        return new IntPointer(array.data().addressPointer());
    }
}
