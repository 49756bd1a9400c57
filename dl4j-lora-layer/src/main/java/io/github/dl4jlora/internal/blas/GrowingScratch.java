package io.github.dl4jlora.internal.blas;

import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/** Memory outside workspaces for one matrix at a time, as large as the largest so far. */
public final class GrowingScratch {

    private @Nullable INDArray memory;
    private @Nullable INDArray last;

    /** An uninitialised matrix in 'c' order, in the memory of the previous one. */
    public INDArray of(DataType type, long rows, long columns) {
        return of(type, rows, columns, 'c');
    }

    /** As {@link #of(DataType, long, long)}, in the given order. */
    public INDArray of(DataType type, long rows, long columns, char order) {
        if (memory == null || memory.wasClosed() || memory.dataType() != type || memory.length() < rows * columns) {
            try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
                memory = Nd4j.createUninitialized(type, rows * columns);
            }
            last = null;
        }
        if (last == null || last.size(0) != rows || last.size(1) != columns || last.ordering() != order) {
            long[] strides = order == 'c' ? new long[] {columns, 1} : new long[] {1, rows};
            last = Nd4j.create(memory.data(), new long[] {rows, columns}, strides, 0, order);
        }
        return last;
    }
}
