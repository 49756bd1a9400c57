package io.github.dl4jlora.transformers.layer;

import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/** Head products by ND4J's batched matmul on permuted views: any data type, any backend. */
final class PermutedHeadProducts implements HeadProducts {

    private final long texts;
    private final long heads;

    PermutedHeadProducts(long texts, long heads) {
        this.texts = texts;
        this.heads = heads;
    }

    /** Rows of the block's heads, {@code [heads of the block, to - from, d]}: a view, so that it can be written to. */
    private INDArray blocks(ScoreBlock block, INDArray rows, int from, int to) {
        INDArray heads = rows.reshape('c', true, texts, rows.size(0) / texts, this.heads, rows.size(1) / this.heads)
                .tensorAlongDimension(block.text(), 1, 2, 3).permute(1, 0, 2);
        // get and slice do not find rows in a view of columns.
        return Nd4j.create(heads.data(), new long[]{block.heads(), to - from, heads.size(2)}, heads.stride(),
                heads.offset() + block.head() * heads.stride(0) + from * heads.stride(1), 'c');
    }

    private INDArray rows(ScoreBlock block, INDArray rows) {
        return blocks(block, rows, block.row(), block.row() + block.rows());
    }

    private INDArray columns(ScoreBlock block, INDArray rows) {
        return blocks(block, rows, 0, block.columns());
    }

    private static INDArray square(ScoreBlock block, INDArray scores) {
        return block.in(scores).reshape('c', block.heads(), block.rows(), block.columns());
    }

    @Override
    public void outer(ScoreBlock block, INDArray x, INDArray y, INDArray scores, double scale) {
        square(block, scores).assign(Nd4j.matmul(rows(block, x), columns(block, y), false, true, false)).muli(scale);
    }

    @Override
    public void apply(ScoreBlock block, INDArray scores, INDArray y, INDArray rows, double scale) {
        rows(block, rows).assign(Nd4j.matmul(square(block, scores), columns(block, y)).muli(scale));
    }

    @Override
    public void applyTransposed(ScoreBlock block, INDArray scores, INDArray x, INDArray columns, double scale, boolean add) {
        INDArray product = Nd4j.matmul(square(block, scores), rows(block, x), true, false, false).muli(scale);
        INDArray at = columns(block, columns);
        if (add) {
            at.addi(product);
        } else {
            at.assign(product);
        }
    }
}
