package io.github.dl4jlora.internal.blas;

import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/**
 * A slim matrix outside workspaces that is written anew in each pass. Each array of ND4J is several objects outside the heap
 * that wait for Java's collector: two fewer for each layer and step.
 */
public final class Scratch {

    private INDArray array;

    /** The array of the pass before if that had this shape, else a new one; its values are whatever they are. */
    public INDArray of(DataType type, long rows, long columns) {
        if (array == null || array.wasClosed() || array.dataType() != type || array.size(0) != rows || array.size(1) != columns) {
            try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
                array = Nd4j.createUninitialized(type, new long[] {rows, columns}, 'c');
            }
        }
        return array;
    }
}
