package io.github.dl4jlora.transformers.layer;

import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * The arithmetic of {@link MultiHeadAttention}. With P = softmax(Q·Kᵀ/√d + bias), block of scores by block:
 *
 * <pre>
 * O = P·V      dV = Pᵀ·dO      dP = dO·Vᵀ      dS = P ⊙ (dP - rowsum(P ⊙ dP))      dQ = dS·K / √d      dK = dSᵀ·Q / √d
 * </pre>
 *
 * P is computed again in the backward pass, as by Dao et al. 2022 (arXiv:2205.14135), and never there as a whole, so that memory
 * grows with the number of tokens, not with its square. A block fits the cache of one core. Columns after the end of a text are
 * not computed, nor, if it is causal, those after a block's last row.
 */
final class BlockwiseAttention {

    /** Scores of a block; the backward pass has two such arrays. */
    private static final int CACHED = 1 << 17;
    /** Rows of a block however long they are: with fewer, products would mostly copy their operands. */
    private static final int LEAST_ROWS = 16;
    /** Rows of a block that is causal: with more, half of its scores would be computed for nothing. */
    private static final int CAUSAL_ROWS = 128;

    private final HeadProducts products;
    private final KeptTokens texts;
    private final int heads;
    private final double scale;
    private final boolean causal;
    private final ScoreBias bias;

    /**
     * @param scale 1/√d
     * @param bias  null for none
     */
    BlockwiseAttention(HeadProducts products, KeptTokens texts, int heads, double scale, boolean causal, ScoreBias bias) {
        this.products = products;
        this.texts = texts;
        this.heads = heads;
        this.scale = scale;
        this.causal = causal;
        this.bias = bias;
    }

    /** {@return how many scores are in memory at a time} */
    static long scores(int heads, int tokens, boolean causal) {
        int rows = rows(tokens, causal);
        return (long) heads(heads, rows, tokens) * rows * tokens;
    }

    private static int rows(int tokens, boolean causal) {
        int most = Math.max(LEAST_ROWS, CACHED / tokens);
        return evenly(tokens, causal ? Math.min(most, CAUSAL_ROWS) : most);
    }

    private static int heads(int heads, int rows, int tokens) {
        return evenly(heads, Math.max(1, CACHED / (rows * tokens)));
    }

    /** The size of the parts that a whole falls into, if none is larger than {@code most}. */
    private static int evenly(int whole, int most) {
        int parts = (whole + most - 1) / most;
        return (whole + parts - 1) / parts;
    }

    /** Does something with a block. */
    @FunctionalInterface
    private interface Step {
        void run(ScoreBlock block, boolean first);
    }

    /** The last rows come first: they see all columns of a text. */
    private void forEachBlock(Step step) {
        int rows = rows(texts.tokens(), causal);
        int together = heads(heads, rows, texts.tokens());
        for (int text = 0; text < texts.texts(); text++) {
            for (int head = 0; head < heads; head += together) {
                for (int row = (texts.tokens() - 1) / rows * rows; row >= 0; row -= rows) {
                    int end = Math.min(row + rows, texts.tokens());
                    step.run(new ScoreBlock(text, head, Math.min(together, heads - head), row, end - row,
                            causal ? Math.min(end, texts.end(text)) : texts.end(text)), end == texts.tokens());
                }
            }
        }
    }

    /**
     * @param output {@code [minibatch · tokens, hidden]}, gets O
     * @param memory a vector with room for as many scores as {@link #scores} says
     */
    void forward(INDArray query, INDArray key, INDArray value, INDArray output, INDArray memory) {
        forEachBlock((block, first) -> {
            probabilities(block, query, key, memory);
            products.apply(block, memory, value, output, 1);
        });
    }

    private void probabilities(ScoreBlock block, INDArray query, INDArray key, INDArray memory) {
        products.outer(block, query, key, memory, scale);
        if (bias != null) {
            bias.add(block, block.in(memory));
        }
        MaskedSoftmax.forward(block, texts, causal, memory);
    }

    /**
     * @param dKey    zeros, as {@code dValue} is: padding at the end of a text is not written to
     * @param memory  for as many scores as {@link #scores} says
     * @param dMemory the same
     */
    void backward(INDArray query, INDArray key, INDArray value, INDArray dOutput, INDArray dQuery, INDArray dKey,
                  INDArray dValue, INDArray memory, INDArray dMemory) {
        forEachBlock((block, first) -> {
            probabilities(block, query, key, memory);
            products.applyTransposed(block, memory, dOutput, dValue, 1, !first);
            products.outer(block, dOutput, value, dMemory, 1);
            MaskedSoftmax.backward(block, memory, dMemory);
            if (bias != null) {
                bias.backward(block, block.in(dMemory));
            }
            products.apply(block, dMemory, key, dQuery, scale);
            products.applyTransposed(block, dMemory, query, dKey, scale, !first);
        });
    }
}
