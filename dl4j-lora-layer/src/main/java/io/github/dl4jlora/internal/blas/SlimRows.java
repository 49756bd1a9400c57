package io.github.dl4jlora.internal.blas;

import org.bytedeco.javacpp.FloatPointer;

/** Low-rank products of single rows, of FLOAT in the host's memory, on the caller's thread. */
final class SlimRows {

    private static final ThreadLocal<SlimRows> OF_THREAD = ThreadLocal.withInitial(SlimRows::new);

    private FloatPointer row = new FloatPointer();
    private FloatPointer down = new FloatPointer();
    private FloatPointer up = new FloatPointer();

    private SlimRows() {
    }

    static SlimRows ofThread() {
        return OF_THREAD.get();
    }

    /** Room for x · A. */
    FloatPointer down(long values) {
        down = HostMemory.room(down, values);
        return down;
    }

    /** z += factor · x · A · B, where x and z are one row each, with values {@code stepX} and {@code stepZ} apart. */
    void addOne(SlimFactors slim, float factor, FloatPointer x, int stepX, FloatPointer z, int stepZ) {
        if (DirectBlas.isOfOneThread(slim.rank(), Math.max(slim.nIn(), slim.nOut()))) {
            DirectBlas.rowTimes(x, stepX, slim.columnsOfA(), slim.nIn(), slim.rank(), down(slim.rank()));
            DirectBlas.addRowTimes(factor, down, slim.rowsOfB(), slim.rank(), slim.nOut(), z, stepZ);
            return;
        }
        FloatPointer operand = x;
        if (stepX != 1) {
            row = HostMemory.room(row, slim.nIn());
            DirectBlas.copy(slim.nIn(), x, stepX, row, 1);
            operand = row;
        }
        up = HostMemory.room(up, slim.nOut());
        DirectBlas.row(operand, slim.columnsOfA(), slim.rank(), slim.nIn(), down(slim.rank()), 0, true);
        DirectBlas.row(down, slim.rowsOfB(), slim.rank(), slim.nOut(), up, 0, false);
        DirectBlas.add(slim.nOut(), factor, up, 1, z, stepZ);
    }
}
