package io.github.dl4jlora.transformers.layer;

import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/** Head products by ND4J's batched matmul on permuted views: any data type, any backend. */
final class PermutedHeadProducts implements HeadProducts {

    private final long texts;
    private final long heads;
    private final long tokens;

    PermutedHeadProducts(long texts, long heads, INDArray rows) {
        this.texts = texts;
        this.heads = heads;
        this.tokens = rows.size(0) / texts;
    }

    private INDArray blocks(INDArray rows) {
        return byHead(rows).permute(0, 2, 1, 3);
    }

    /** A view, so that it can be written to. */
    private INDArray byHead(INDArray rows) {
        return rows.reshape('c', true, texts, tokens, heads, rows.size(1) / heads);
    }

    private INDArray square(INDArray scores) {
        return scores.reshape('c', texts, heads, tokens, tokens);
    }

    @Override
    public void outer(INDArray x, INDArray y, INDArray scores, double scale) {
        square(scores).assign(Nd4j.matmul(blocks(x), blocks(y), false, true, false)).muli(scale);
    }

    @Override
    public void apply(INDArray scores, boolean transpose, INDArray y, INDArray rows, double scale) {
        INDArray product = Nd4j.matmul(square(scores), blocks(y), transpose, false, false);
        byHead(rows).assign(product.permute(0, 2, 1, 3)).muli(scale);
    }
}
