package io.github.dl4jlora.transformers.layer;

import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * The three kinds of matrix product that attention consists of, for a block of scores, which stays in the cache from one product
 * to the next.
 *
 * <pre>
 * rows    [minibatch · tokens, heads · d]                 one head of one text is a [tokens, d] block of it;
 *                                                        a view of a wider matrix will do; tokens may differ from operand
 *                                                        to operand
 * scores  [heads of the block · rows, columns]            the first values of a vector that may be longer
 * </pre>
 */
interface HeadProducts {

    /** {@code scores = scale · x·yᵀ}, of the block's rows of x and columns, which are rows of y. */
    void outer(ScoreBlock block, INDArray x, INDArray y, INDArray scores, double scale);

    /** {@code rows = scale · scores·y}: the block's rows, from its columns, which are rows of y. */
    void apply(ScoreBlock block, INDArray scores, INDArray y, INDArray rows, double scale);

    /**
     * {@code columns = scale · scoresᵀ·x}: the block's columns, which are rows of {@code columns}, from its rows of x.
     *
     * @param add whether to add to what is there
     */
    void applyTransposed(ScoreBlock block, INDArray scores, INDArray x, INDArray columns, double scale, boolean add);

    /** The fastest implementation for arrays like this one. */
    static HeadProducts of(INDArray rows, int texts, int heads) {
        return HostFloats.reachesRows(rows) ? new BlasHeadProducts(texts, heads, rows)
                : new PermutedHeadProducts(texts, heads);
    }
}
