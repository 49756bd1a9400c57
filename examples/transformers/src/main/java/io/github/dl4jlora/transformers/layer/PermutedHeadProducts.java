package io.github.dl4jlora.transformers.layer;

import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

/** Head products by ND4J's batched matmul on permuted views: any data type, any backend. */
final class PermutedHeadProducts implements HeadProducts {

    private final long heads;
    private final long tokens;

    PermutedHeadProducts(long texts, long heads, INDArray rows) {
        this.heads = heads;
        this.tokens = rows.size(0) / texts;
    }

    private INDArray blocks(int text, INDArray rows) {
        return byHead(text, rows).permute(1, 0, 2);
    }

    /** A view, so that it can be written to. */
    private INDArray byHead(int text, INDArray rows) {
        return rows.get(NDArrayIndex.interval(text * tokens, (text + 1) * tokens), NDArrayIndex.all())
                .reshape('c', true, tokens, heads, rows.size(1) / heads);
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
