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
    private static final Cleaner CLEANER = Cleaner.create();
    private static final ThreadLocal<Bfloat16> OF_THREAD = ThreadLocal.withInitial(Bfloat16::new);

    private final NativeOps operations = NativeOpsHolder.getInstance().getDeviceNativeOps();
    private final OpaqueDataBuffer from = OpaqueDataBuffer.externalizedDataBuffer(1, DataType.BFLOAT16, new BytePointer(), null);
    private final OpaqueDataBuffer to = OpaqueDataBuffer.externalizedDataBuffer(1, DataType.FLOAT, new FloatPointer(), null);

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
        if (begin == end) {
            return;
        }
        LongPointer narrow = shape(piece, DataType.BFLOAT16);
        LongPointer wide = shape(piece, DataType.FLOAT);
        for (long at = begin; at < end; at += piece) {
            from.setPrimaryBuffer(source.getPointer(Short.BYTES * at), piece);
            to.setPrimaryBuffer(target.getPointer(at), piece);
            operations.execTransformAny(null, ASSIGN, from, narrow, null, to, wide, null, null);
        }
    }

    private static LongPointer shape(long length, DataType type) {
        return (LongPointer) Nd4j.getShapeInfoProvider().createShapeInformation(new long[] {length}, 'c', type).getFirst()
                .addressPointer();
    }
}
