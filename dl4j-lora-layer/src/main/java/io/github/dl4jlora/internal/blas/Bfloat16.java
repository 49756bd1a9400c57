package io.github.dl4jlora.internal.blas;

import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.LongPointer;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.nativeblas.NativeOps;
import org.nd4j.nativeblas.NativeOpsHolder;
import org.nd4j.nativeblas.OpaqueDataBuffer;

import java.lang.ref.Cleaner;

/**
 * Converts BFLOAT16 in the host's memory to FLOAT by ND4J's own assignment, 0.08 ns for each value; loops in Java took 0.3 to 0.5
 * ({@code convertTypes} does not know the type). Arrays around the memory would cost 10 µs each time, so a thread keeps what ND4J
 * asks for and has it point elsewhere.
 */
public final class Bfloat16 {

    /** ND4J's number of the assignment among its operations between types. */
    private static final int ASSIGN = 0;
    /** Where in a description of a vector its length is. */
    private static final int LENGTH = 1;
    private static final Cleaner CLEANER = Cleaner.create();
    private static final ThreadLocal<Bfloat16> OF_THREAD = ThreadLocal.withInitial(Bfloat16::new);

    private final NativeOps operations = NativeOpsHolder.getInstance().getDeviceNativeOps();
    private final OpaqueDataBuffer from = OpaqueDataBuffer.externalizedDataBuffer(1, DataType.BFLOAT16, new BytePointer(), null);
    private final OpaqueDataBuffer to = OpaqueDataBuffer.externalizedDataBuffer(1, DataType.FLOAT, new FloatPointer(), null);
    private final LongPointer fromShape = shape(DataType.BFLOAT16);
    private final LongPointer toShape = shape(DataType.FLOAT);

    private Bfloat16() {
        OpaqueDataBuffer first = from;
        OpaqueDataBuffer second = to;
        CLEANER.register(this, () -> {
            first.closeBuffer();
            second.closeBuffer();
        });
    }

    /** Writes {@code count} values. */
    public static void widen(BytePointer from, long count, FloatPointer to) {
        widen(from, count, to, HostMemory.piece(count));
    }

    /** @param piece how many at a time */
    static void widen(BytePointer from, long count, FloatPointer to, long piece) {
        Bfloat16 ofThread = OF_THREAD.get();
        long whole = count - count % piece;
        ofThread.widenPieces(from, 0, whole, to, piece);
        ofThread.widenPieces(from, whole, count, to, count - whole);
    }

    private void widenPieces(BytePointer source, long begin, long end, FloatPointer target, long piece) {
        fromShape.put(LENGTH, piece);
        toShape.put(LENGTH, piece);
        for (long at = begin; at < end; at += piece) {
            from.setPrimaryBuffer(source.getPointer(Short.BYTES * at), piece);
            to.setPrimaryBuffer(target.getPointer(at), piece);
            operations.execTransformAny(null, ASSIGN, from, fromShape, null, to, toShape, null, null);
        }
        if (operations.lastErrorCode() != 0) {
            throw new IllegalStateException("ND4J cannot convert BFLOAT16 to FLOAT: " + operations.lastErrorMessage());
        }
    }

    /** ND4J's description of a vector, to be changed to other lengths. */
    private static LongPointer shape(DataType type) {
        return new LongPointer(Nd4j.getShapeInfoProvider().createShapeInformation(new long[] {2}, 'c', type).getSecond());
    }
}
