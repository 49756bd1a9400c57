package io.github.dl4jlora.transformers.layer;

import io.github.dl4jlora.internal.blas.HostMemory;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.IntPointer;
import org.bytedeco.javacpp.Pointer;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.api.ops.executioner.OpExecutioner;
import org.nd4j.linalg.factory.Nd4j;

import java.lang.ref.Reference;

/**
 * The values of an array without gaps, of type FLOAT and in the memory of the CPU, for loops in Java.
 *
 * <p>Copy a block into a Java array, compute, copy it back: HotSpot turns loops over Java arrays into vector
 * instructions, but not loops over memory outside the heap. Blocks that fit the first-level cache make the copies cheap.
 */
final class HostFloats {

    /** Values in a block that loops element by element work on. */
    static final int BLOCK = 2048;

    /** Processes a block. */
    @FunctionalInterface
    interface Block {
        void run(long from, int length);
    }

    /** Frees the memory when it is collected, which must not be amid a copy. */
    private final INDArray array;
    private final FloatPointer pointer;

    private HostFloats(INDArray array) {
        this.array = array;
        // A pointer object of its own, since reading moves its position.
        this.pointer = new FloatPointer((Pointer) array.data().addressPointer());
    }

    /** Whether the arrays can be used here: others, those that were closed among them, are left to ND4J's operations. */
    static boolean reaches(INDArray... arrays) {
        for (INDArray array : arrays) {
            if (!reaches(array.dataType()) || array.elementWiseStride() != 1) {
                return false;
            }
        }
        return HostMemory.holds(arrays);
    }

    static boolean reaches(DataType type) {
        return type == DataType.FLOAT && Nd4j.getExecutioner().type() == OpExecutioner.ExecutionerType.NATIVE_CPU;
    }

    /** Whether the rows of a matrix can be used here; there may be gaps between them. */
    static boolean reachesRows(INDArray matrix) {
        return reaches(matrix.dataType()) && matrix.stride(1) == 1 && HostMemory.holds(matrix);
    }

    /** The length of a block of whole rows. */
    static int wholeRows(int width) {
        return Math.max(1, BLOCK / width) * width;
    }

    /** Goes through {@code values} values, block by block. */
    static void forEachBlock(long values, Block block) {
        forEachBlock(values, BLOCK, block);
    }

    /** @param length of a block; the last may be shorter */
    static void forEachBlock(long values, int length, Block block) {
        for (long from = 0; from < values; from += length) {
            block.run(from, (int) Math.min(length, values - from));
        }
    }

    /** Of an array of FLOAT, or of one of INT, to read and write as bits. */
    static HostFloats of(INDArray array) {
        return new HostFloats(array);
    }

    /**
     * The address of the value at an index. The object may be the same at the next call. Call {@link #keep} when the address is
     * no longer needed.
     */
    FloatPointer at(long index) {
        return pointer.position(index);
    }

    /** Keeps the arrays from being collected until now. */
    static void keep(HostFloats... all) {
        for (HostFloats each : all) {
            Reference.reachabilityFence(each.array);
        }
    }

    void read(long from, float[] block, int length) {
        at(from).get(block, 0, length);
        Reference.reachabilityFence(array);
    }

    void write(long to, float[] block, int length) {
        at(to).put(block, 0, length);
        Reference.reachabilityFence(array);
    }

    void readBits(long from, int[] block, int length) {
        new IntPointer(at(from)).get(block, 0, length);
        Reference.reachabilityFence(array);
    }

    void writeBits(long to, int[] block, int length) {
        new IntPointer(at(to)).put(block, 0, length);
        Reference.reachabilityFence(array);
    }
}
