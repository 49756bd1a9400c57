package io.github.dl4jlora.internal.blas;

import io.github.dl4jlora.internal.common.GuardedBy;
import org.bytedeco.javacpp.FloatPointer;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataBuffer;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.Objects;

/**
 * A {@code [nIn, rank]} and B {@code [rank, nOut]} of an adapter. If the adapter is kept in memory beside thousands of others,
 * both lie in one vector, A by column and then B by row: each array costs a kilobyte or more, whatever it holds.
 */
public final class SlimFactors {

    private final @Nullable DataBuffer values;
    private final long offset;
    private final int nIn;
    private final int rank;
    private final int nOut;
    @GuardedBy("this")
    private @Nullable INDArray a;
    @GuardedBy("this")
    private @Nullable INDArray b;

    /** Two arrays, which are not copied. */
    public SlimFactors(INDArray a, INDArray b) {
        this.values = null;
        this.offset = 0;
        this.nIn = (int) a.size(0);
        this.rank = (int) a.size(1);
        this.nOut = (int) b.size(1);
        this.a = a;
        this.b = b;
    }

    /**
     * Places in a vector.
     *
     * @param values the vector's buffer: it takes a third of an array's memory
     * @param offset of the first value of A
     */
    public SlimFactors(DataBuffer values, long offset, long nIn, long rank, long nOut) {
        this.values = values;
        this.offset = offset;
        this.nIn = Math.toIntExact(nIn);
        this.rank = Math.toIntExact(rank);
        this.nOut = Math.toIntExact(nOut);
    }

    /** {@return A {@code [nIn, rank]}} */
    public synchronized INDArray a() {
        if (a == null) {
            a = Nd4j.create(values, new long[] {nIn, rank}, new long[] {1, nIn}, offset, 'f');
        }
        return a;
    }

    /** {@return B {@code [rank, nOut]}} */
    public synchronized INDArray b() {
        if (b == null) {
            b = Nd4j.create(values, new long[] {rank, nOut}, new long[] {nOut, 1}, offset + (long) nIn * rank, 'c');
        }
        return b;
    }

    int nIn() {
        return nIn;
    }

    int rank() {
        return rank;
    }

    int nOut() {
        return nOut;
    }

    /** Whether A and B can be read in place, if they are in the host's memory. */
    boolean lieTogether() {
        return values != null && values.dataType() == DataType.FLOAT && !values.wasClosed();
    }

    /** Where A begins, by column. */
    FloatPointer columnsOfA() {
        return ((FloatPointer) Objects.requireNonNull(values).addressPointer()).getPointer(offset);
    }

    /** Where B begins, by row. */
    FloatPointer rowsOfB() {
        return ((FloatPointer) Objects.requireNonNull(values).addressPointer()).getPointer(offset + (long) nIn * rank);
    }
}
