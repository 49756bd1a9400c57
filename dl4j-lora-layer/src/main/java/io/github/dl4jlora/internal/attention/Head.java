package io.github.dl4jlora.internal.attention;

import io.github.dl4jlora.internal.blas.Blas;
import io.github.dl4jlora.internal.blas.Block;
import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * The two kinds of matrix product that attention consists of, for one head of one example: its scores stay in the cache from one
 * product to the next.
 *
 * <pre>
 * rows    [minibatch · steps, heads · size]     the head of the example is a block [steps, size]
 * scores  [queries, keys]
 * </pre>
 *
 * @param form     heads and their size
 * @param examples in the batch
 * @param example  one of them
 * @param head     one of its heads
 */
record Head(AttentionForm form, long examples, long example, int head) {

    /** {@code scores = scale · x·yᵀ}. */
    void outer(INDArray x, INDArray y, INDArray scores, double scale) {
        Blas.gemm(block(x), block(y), whole(scores), false, true, scale, 0);
    }

    /** {@code rows = scale · scores·y}, or {@code scale · scoresᵀ·y}. */
    void apply(INDArray scores, boolean transpose, INDArray y, INDArray rows, double scale) {
        Blas.gemm(whole(scores), block(y), block(rows), transpose, false, scale, 0);
    }

    private Block block(INDArray rows) {
        long steps = rows.size(0) / examples;
        return new Block(rows, example * steps * form.width() + (long) head * form.size(), steps, form.size(),
                Math.toIntExact(form.width()));
    }

    private static Block whole(INDArray scores) {
        return new Block(scores, 0, scores.size(0), scores.size(1), Math.toIntExact(scores.size(1)));
    }
}
