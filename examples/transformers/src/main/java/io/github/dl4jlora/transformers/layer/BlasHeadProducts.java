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

    private final int heads;
    private final int tokens;
    private final int headWidth;

    BlasHeadProducts(int texts, int heads, INDArray rows) {
        this.heads = heads;
        this.tokens = (int) rows.size(0) / texts;
        this.headWidth = (int) rows.size(1) / heads;
    }

    /** Where a block begins in rows. */
    private long row(int text, int head, int leading) {
        return (long) text * tokens * leading + (long) head * headWidth;
    }

    /** From one row to the next. */
    private static int leading(INDArray rows) {
        return (int) Math.max(rows.stride(0), rows.size(1));
    }

    /** Where a block begins in scores. */
    private long square(int head) {
        return (long) head * tokens * tokens;
    }

    @Override
    public void outer(int text, INDArray x, INDArray y, INDArray scores, double scale) {
        HostFloats left = HostFloats.of(x);
        HostFloats right = HostFloats.of(y);
        HostFloats out = HostFloats.of(scores);
        int ofX = leading(x);
        int ofY = leading(y);
        for (int head = 0; head < heads; head++) {
            openblas.cblas_sgemm(openblas.CblasRowMajor, openblas.CblasNoTrans, openblas.CblasTrans, tokens,
                    tokens, headWidth,
                    (float) scale, left.at(row(text, head, ofX)), ofX, right.at(row(text, head, ofY)), ofY, 0,
                    out.at(square(head)), tokens);
        }
    }

    @Override
    public void apply(int text, INDArray scores, boolean transpose, INDArray y, INDArray rows, double scale) {
        HostFloats left = HostFloats.of(scores);
        HostFloats right = HostFloats.of(y);
        HostFloats out = HostFloats.of(rows);
        int ofY = leading(y);
        int ofRows = leading(rows);
        int most = Math.max(1, UNPACKED / (tokens * headWidth));
        int pieces = (tokens + most - 1) / most;
        int height = (tokens + pieces - 1) / pieces;
        for (int head = 0; head < heads; head++) {
            for (int from = 0; from < tokens; from += height) {
                openblas.cblas_sgemm(openblas.CblasRowMajor, transpose ? openblas.CblasTrans : openblas.CblasNoTrans,
                        openblas.CblasNoTrans, Math.min(height, tokens - from), headWidth, tokens, (float) scale,
                        left.at(square(head) + (transpose ? from : (long) from * tokens)), tokens,
                        right.at(row(text, head, ofY)), ofY, 0, out.at(row(text, head, ofRows) + (long) from * ofRows), ofRows);
            }
        }
    }
}
