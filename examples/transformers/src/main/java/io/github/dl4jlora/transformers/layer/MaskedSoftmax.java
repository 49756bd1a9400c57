package io.github.dl4jlora.transformers.layer;

import io.github.dl4jlora.internal.blas.RowLoops;
import io.github.dl4jlora.internal.onednn.Rows;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.linalg.ops.transforms.Transforms;

import java.util.Arrays;

/**
 * The softmax of a block of one text's attention scores, {@code [heads · rows, columns]}, in place, without padding and, if it is
 * causal, without later tokens. What is left out becomes 0, also in a row that sees no token at all: that of padding before the
 * first token, if it is causal.
 */
final class MaskedSoftmax {

    private MaskedSoftmax() {
    }

    /**
     * @param texts  minibatch
     * @param memory a vector that begins with the scores
     * @param causal whether a row leaves out the columns after its own token
     */
    static void forward(ScoreBlock block, KeptTokens texts, boolean causal, INDArray memory) {
        int[] gaps = texts.gaps(block.text(), block.columns());
        if (!causal && gaps.length == 0 && Rows.softmax(memory, (long) block.heads() * block.rows(), block.columns())) {
            return;
        }
        if (HostFloats.reaches(memory)) {
            inLoops(block, texts.first(block.text()), gaps, causal, memory);
            return;
        }
        INDArray scores = block.in(memory);
        INDArray byHead = scores.reshape('c', block.heads(), block.rows(), block.columns());
        for (int gap : gaps) {
            byHead.get(NDArrayIndex.all(), NDArrayIndex.all(), NDArrayIndex.point(gap)).assign(Double.NEGATIVE_INFINITY);
        }
        for (int row = 0; causal && row < block.rows(); row++) {
            if (block.row() + row + 1 < block.columns()) {
                byHead.get(NDArrayIndex.all(), NDArrayIndex.point(row),
                        NDArrayIndex.interval(block.row() + row + 1, block.columns())).assign(Double.NEGATIVE_INFINITY);
            }
        }
        int blind = causal ? Math.min(block.rows(), texts.first(block.text()) - block.row()) : 0;
        INDArray none = blind <= 0 ? null : byHead.get(NDArrayIndex.all(), NDArrayIndex.interval(0, blind), NDArrayIndex.all());
        if (none != null) {
            none.assign(0);
        }
        scores.subiColumnVector(scores.max(true, 1));
        Transforms.exp(scores, false);
        scores.diviColumnVector(scores.sum(true, 1));
        if (none != null) {
            none.assign(0);
        }
    }

    /** @param first the text's first token that is no padding */
    private static void inLoops(ScoreBlock block, int first, int[] gaps, boolean causal, INDArray memory) {
        HostFloats floats = HostFloats.of(memory);
        int columns = block.columns();
        float[] piece = new float[HostFloats.wholeRows(columns)];
        HostFloats.forEachBlock(block.length(), piece.length, (from, values) -> {
            floats.read(from, piece, values);
            for (int start = 0; start < values; start += columns) {
                int row = block.row() + (int) ((from + start) / columns) % block.rows();
                int seen = causal ? Math.min(columns, row + 1) : columns;
                if (seen > first) {
                    fill(piece, start, gaps, seen, Float.NEGATIVE_INFINITY);
                    RowLoops.softmax(piece, start, seen, RowLoops.largest(piece, start, seen), 0);
                    fill(piece, start, gaps, seen, 0);
                }
                Arrays.fill(piece, start + (seen > first ? seen : 0), start + columns, 0);
            }
            floats.write(from, piece, values);
        });
    }

    private static void fill(float[] piece, int start, int[] gaps, int seen, float value) {
        for (int i = 0; i < gaps.length && gaps[i] < seen; i++) {
            piece[start + gaps[i]] = value;
        }
    }

    /** Turns {@code errors}, dL/dP, into dL/d(scores) {@code = P ⊙ (dP - rowsum(P ⊙ dP))}; both begin with a block. */
    static void backward(ScoreBlock block, INDArray probabilities, INDArray errors) {
        if (Rows.softmaxGradient(probabilities, errors, (long) block.heads() * block.rows(), block.columns())) {
            return;
        }
        if (!HostFloats.reaches(probabilities, errors)) {
            INDArray p = block.in(probabilities);
            INDArray e = block.in(errors);
            e.subiColumnVector(p.mul(e).sum(true, 1)).muli(p);
            return;
        }
        int columns = block.columns();
        HostFloats p = HostFloats.of(probabilities);
        HostFloats e = HostFloats.of(errors);
        float[] probability = new float[HostFloats.wholeRows(columns)];
        float[] error = new float[HostFloats.wholeRows(columns)];
        HostFloats.forEachBlock(block.length(), error.length, (from, values) -> {
            p.read(from, probability, values);
            e.read(from, error, values);
            for (int row = 0; row < values; row += columns) {
                RowLoops.softmaxGradient(probability, error, row, columns);
            }
            e.write(from, error, values);
        });
    }
}
