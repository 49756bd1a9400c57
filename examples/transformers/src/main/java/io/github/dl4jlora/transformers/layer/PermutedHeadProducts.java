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

    private INDArray blocks(int text, INDArray rows) {
        return byHead(text, rows).permute(1, 0, 2);
    }

    /** A view, so that it can be written to. {@code get} and {@code slice} do not find rows in a view of columns. */
    private INDArray byHead(int text, INDArray rows) {
        return rows.reshape('c', true, texts, tokens, heads, rows.size(1) / heads)
                .tensorAlongDimension(text, 1, 2, 3);
    }

    private INDArray square(INDArray scores) {
        return scores.reshape('c', heads, tokens, tokens);
    }

    @Override
    public void outer(int text, INDArray x, INDArray y, INDArray scores, double scale) {
        square(scores).assign(Nd4j.matmul(blocks(text, x), blocks(text, y), false, true, false)).muli(scale);
    }

    @Override
    public void apply(int text, INDArray scores, boolean transpose, INDArray y, INDArray rows, double scale) {
        INDArray product = Nd4j.matmul(square(scores), blocks(text, y), transpose, false, false);
        byHead(text, rows).assign(product.permute(1, 0, 2)).muli(scale);
    }
}
