package io.github.dl4jlora.internal.base;

import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

/** Reads columns of a matrix one after the other, in blocks: an ND4J array for each of many thousands would take longer. */
final class LineReader {

    private static final int VALUES = 1 << 18;

    private final INDArray columns;
    private final int most;
    private float[] block = {};
    private long first;
    private long end;

    LineReader(INDArray columns) {
        this.columns = columns;
        this.most = (int) Math.max(1, VALUES / columns.size(0));
    }

    /**
     * @param line not below the previous one
     * @param to   as long as a column
     */
    void read(long line, float[] to) {
        if (line >= end) {
            first = line;
            end = Math.min(columns.size(1), line + most);
            try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces();
                 INDArray part = Nd4j.createUninitialized(DataType.FLOAT, new long[] {columns.size(0), end - first}, 'f')) {
                part.assign(columns.get(NDArrayIndex.all(), NDArrayIndex.interval(first, end)));
                block = part.data().asFloat();
            }
        }
        System.arraycopy(block, (int) (line - first) * to.length, to, 0, to.length);
    }
}
