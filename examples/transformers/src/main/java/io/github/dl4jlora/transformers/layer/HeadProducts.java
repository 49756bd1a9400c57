package io.github.dl4jlora.transformers.layer;

import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * The two kinds of matrix product that attention consists of, for all heads of one text at once: its scores stay in the
 * cache from one product to the next.
 *
 * <pre>
 * rows    [minibatch · tokens, heads · d]                 one head of one text is a [tokens, d] block of it;
 *                                                        a view of a wider matrix will do
 * scores  [heads · tokens, tokens]                        one head is a [tokens, tokens] block of it
 * </pre>
 */
interface HeadProducts {

    /** {@code scores = scale · x·yᵀ} */
    void outer(int text, INDArray x, INDArray y, INDArray scores, double scale);

    /** {@code rows = scale · scores·y}, or {@code scoresᵀ·y} */
    void apply(int text, INDArray scores, boolean transpose, INDArray y, INDArray rows, double scale);

    /** The fastest implementation for arrays like this one. */
    static HeadProducts of(INDArray rows, int texts, int heads) {
        return HostFloats.reachesRows(rows) ? new BlasHeadProducts(texts, heads, rows)
                : new PermutedHeadProducts(texts, heads, rows);
    }
}
