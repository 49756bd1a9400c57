package io.github.dl4jlora.internal.blas;

import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/**
 * A part of a matrix: adjacent columns of adjacent rows. A view would take longer to make than a small product with it takes.
 *
 * @param matrix  in 'c' order; there may be gaps between its rows
 * @param from    how many values before the block's first one the matrix has, gaps included
 * @param rows    of the block
 * @param columns of the block
 * @param leading from one row's first value to the next one's
 */
public record Block(INDArray matrix, long from, long rows, long columns, int leading) {

    INDArray view() {
        return Nd4j.create(matrix.data(), new long[] {rows, columns}, new long[] {leading, 1}, matrix.offset() + from, 'c');
    }
}
