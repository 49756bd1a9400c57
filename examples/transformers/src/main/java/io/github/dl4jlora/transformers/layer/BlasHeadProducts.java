package io.github.dl4jlora.transformers.layer;

import org.bytedeco.openblas.global.openblas;
import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * Head products by one {@code sgemm} for each head, directly on the blocks in place. ND4J's own batched matmul copies them first,
 * and its matrix views cost more than the products.
 */
final class BlasHeadProducts implements HeadProducts {

    /** Up to this number of multiplications, OpenBLAS computes a product on the operands themselves, not on packed copies. */
    private static final int UNPACKED = 1_000_000;

    private final int texts;
    private final int headWidth;

    BlasHeadProducts(int texts, int heads, INDArray rows) {
        this.texts = texts;
        this.headWidth = (int) rows.size(1) / heads;
    }

    /** Where a row of a head begins. */
    private long start(INDArray rows, int text, int row, int head) {
        return (text * (rows.size(0) / texts) + row) * leading(rows) + (long) head * headWidth;
    }

    /** From one row to the next. */
    private static int leading(INDArray rows) {
        return (int) Math.max(rows.stride(0), rows.size(1));
    }

    @Override
    public void outer(ScoreBlock block, INDArray x, INDArray y, INDArray scores, double scale) {
        HostFloats left = HostFloats.of(x);
        HostFloats right = HostFloats.of(y);
        HostFloats out = HostFloats.of(scores);
        for (int i = 0; i < block.heads(); i++) {
            int head = block.head() + i;
            openblas.cblas_sgemm(openblas.CblasRowMajor, openblas.CblasNoTrans, openblas.CblasTrans, block.rows(),
                    block.columns(), headWidth, (float) scale, left.at(start(x, block.text(), block.row(), head)), leading(x),
                    right.at(start(y, block.text(), 0, head)), leading(y), 0, out.at(square(block, i)), block.columns());
        }
        HostFloats.keep(left, right, out);
    }

    /** Where one of the block's heads begins in scores. */
    private static long square(ScoreBlock block, int head) {
        return (long) head * block.rows() * block.columns();
    }

    @Override
    public void apply(ScoreBlock block, INDArray scores, INDArray y, INDArray rows, double scale) {
        HostFloats left = HostFloats.of(scores);
        HostFloats right = HostFloats.of(y);
        HostFloats out = HostFloats.of(rows);
        int height = height(block.rows(), block.columns());
        for (int i = 0; i < block.heads(); i++) {
            int head = block.head() + i;
            for (int from = 0; from < block.rows(); from += height) {
                openblas.cblas_sgemm(openblas.CblasRowMajor, openblas.CblasNoTrans, openblas.CblasNoTrans,
                        Math.min(height, block.rows() - from), headWidth, block.columns(), (float) scale,
                        left.at(square(block, i) + (long) from * block.columns()), block.columns(),
                        right.at(start(y, block.text(), 0, head)), leading(y), 0,
                        out.at(start(rows, block.text(), block.row() + from, head)), leading(rows));
            }
        }
        HostFloats.keep(left, right, out);
    }

    @Override
    public void applyTransposed(ScoreBlock block, INDArray scores, INDArray x, INDArray columns, double scale, boolean add) {
        HostFloats left = HostFloats.of(scores);
        HostFloats right = HostFloats.of(x);
        HostFloats out = HostFloats.of(columns);
        int height = height(block.columns(), block.rows());
        for (int i = 0; i < block.heads(); i++) {
            int head = block.head() + i;
            for (int from = 0; from < block.columns(); from += height) {
                openblas.cblas_sgemm(openblas.CblasRowMajor, openblas.CblasTrans, openblas.CblasNoTrans,
                        Math.min(height, block.columns() - from), headWidth, block.rows(), (float) scale,
                        left.at(square(block, i) + from), block.columns(),
                        right.at(start(x, block.text(), block.row(), head)), leading(x), add ? 1 : 0,
                        out.at(start(columns, block.text(), from, head)), leading(columns));
            }
        }
        HostFloats.keep(left, right, out);
    }

    /** Rows of a product at a time, of {@code rows}, each a sum over {@code depth} products. */
    private int height(int rows, int depth) {
        int most = Math.max(1, UNPACKED / (depth * headWidth));
        int pieces = (rows + most - 1) / most;
        return (rows + pieces - 1) / pieces;
    }
}
