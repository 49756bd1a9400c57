package io.github.dl4jlora.transformers.layer;

import org.bytedeco.openblas.global.openblas;
import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * Head products by one {@code sgemm} for each head of each text, straight on the blocks where they lie. ND4J's own
 * batched matmul copies them first, and its matrix views cost more than the products.
 */
final class BlasHeadProducts implements HeadProducts {

    private final int texts;
    private final int heads;
    private final int tokens;
    private final int headWidth;

    BlasHeadProducts(int texts, int heads, INDArray rows) {
        this.texts = texts;
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
    private long square(int text, int head) {
        return ((long) text * heads + head) * tokens * tokens;
    }

    @Override
    public void outer(INDArray x, INDArray y, INDArray scores, double scale) {
        HostFloats left = HostFloats.of(x);
        HostFloats right = HostFloats.of(y);
        HostFloats out = HostFloats.of(scores);
        int ofX = leading(x);
        int ofY = leading(y);
        for (int text = 0; text < texts; text++) {
            for (int head = 0; head < heads; head++) {
                openblas.cblas_sgemm(openblas.CblasRowMajor, openblas.CblasNoTrans, openblas.CblasTrans, tokens,
                        tokens, headWidth,
                        (float) scale, left.at(row(text, head, ofX)), ofX, right.at(row(text, head, ofY)), ofY, 0,
                        out.at(square(text, head)), tokens);
            }
        }
    }

    @Override
    public void apply(INDArray scores, boolean transpose, INDArray y, INDArray rows, double scale) {
        HostFloats left = HostFloats.of(scores);
        HostFloats right = HostFloats.of(y);
        HostFloats out = HostFloats.of(rows);
        int ofY = leading(y);
        int ofRows = leading(rows);
        for (int text = 0; text < texts; text++) {
            for (int head = 0; head < heads; head++) {
                openblas.cblas_sgemm(openblas.CblasRowMajor, transpose ? openblas.CblasTrans : openblas.CblasNoTrans,
                        openblas.CblasNoTrans, tokens, headWidth, tokens, (float) scale, left.at(square(text, head)), tokens,
                        right.at(row(text, head, ofY)), ofY, 0, out.at(row(text, head, ofRows)), ofRows);
            }
        }
    }
}
