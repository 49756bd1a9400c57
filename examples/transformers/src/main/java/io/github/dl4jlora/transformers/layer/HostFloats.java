package io.github.dl4jlora.transformers.layer;

import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.IntPointer;
import org.bytedeco.javacpp.Pointer;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.api.ops.executioner.OpExecutioner;
import org.nd4j.linalg.factory.Nd4j;

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

    private final FloatPointer pointer;

    private HostFloats(FloatPointer pointer) {
        this.pointer = pointer;
    }

    /** Whether the arrays can be used here: other types and devices need ND4J's operations. */
    static boolean reaches(INDArray... arrays) {
        for (INDArray array : arrays) {
            if (!reaches(array.dataType()) || array.elementWiseStride() != 1) {
                return false;
            }
        }
        return true;
    }

    static boolean reaches(DataType type) {
        return type == DataType.FLOAT && Nd4j.getExecutioner().type() == OpExecutioner.ExecutionerType.NATIVE_CPU;
    }

    /** Whether the rows of a matrix can be used here; there may be gaps between them. */
    static boolean reachesRows(INDArray matrix) {
        return reaches(matrix.dataType()) && matrix.stride(1) == 1;
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

    static HostFloats of(INDArray array) {
        // A copy of the pointer object, since reading moves its position.
        return new HostFloats(new FloatPointer(array.data().addressPointer()));
    }

    /** Of an array of INT, to read and write as bits. */
    static HostFloats bits(INDArray array) {
        return new HostFloats(new FloatPointer((Pointer) array.data().addressPointer()));
    }

    /** The address of the value at an index. The object may be the same at the next call. */
    FloatPointer at(long index) {
        return pointer.position(index);
    }

    void read(long from, float[] block, int length) {
        at(from).get(block, 0, length);
    }

    void write(long to, float[] block, int length) {
        at(to).put(block, 0, length);
    }

    void readBits(long from, int[] block, int length) {
        new IntPointer(at(from)).get(block, 0, length);
    }

    void writeBits(long to, int[] block, int length) {
        new IntPointer(at(to)).put(block, 0, length);
    }
}
