package io.github.dl4jlora.internal.blas;

import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/**
 * A slim matrix outside workspaces that is overwritten in each pass. Each ND4J array is several objects outside the heap that
 * wait for Java's collector: this saves two arrays for each layer and step.
 */
public final class Scratch {

    private @Nullable INDArray array;

    /** The array of the previous pass if it had this shape, else a new one; its values are undefined. */
    public INDArray of(DataType type, long rows, long columns) {
        if (array == null || array.wasClosed() || array.dataType() != type || array.size(0) != rows || array.size(1) != columns) {
            try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
                array = Nd4j.createUninitialized(type, new long[] {rows, columns}, 'c');
            }
        }
        return array;
    }
}
