package io.github.dl4jlora.transformers.layer;

import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.indexing.NDArrayIndex;

/**
 * The part of attention's scores that is in memory at a time, {@code [heads · rows, columns]}: some heads of one text, one under
 * the other, of each the same rows, and of these the first columns.
 *
 * @param text    of the minibatch
 * @param head    the first
 * @param heads   how many
 * @param row     the first; a row is a token that looks at others
 * @param rows    how many
 * @param columns the tokens that they look at, from 0
 */
record ScoreBlock(int text, int head, int heads, int row, int rows, int columns) {

    int length() {
        return heads * rows * columns;
    }

    /**
     * {@return the block's scores, {@code [heads · rows, columns]}}
     *
     * @param memory a vector that begins with them
     */
    INDArray in(INDArray memory) {
        return memory.get(NDArrayIndex.interval(0, length())).reshape('c', heads * rows, columns);
    }
}
