package io.github.dl4jlora.transformers.layer;

import io.github.dl4jlora.internal.blas.FastExp;
import io.github.dl4jlora.internal.blas.RowLoops;
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
     * @param scales {@code [2 · heads · tokens]} of all heads of the text; if loops in Java can reach the scores, gets the
     *               largest score of each row, and the row's scale; null for nobody who wants them
     */
    static void forward(ScoreBlock block, KeptTokens texts, boolean causal, INDArray memory, float[] scales) {
        if (HostFloats.reaches(memory)) {
            forEachRow(block, texts, causal, memory, (piece, row, seen, at) -> softmax(piece, row, seen, scales, at));
            return;
        }
        INDArray scores = block.in(memory);
        INDArray byHead = scores.reshape('c', block.heads(), block.rows(), block.columns());
        for (int gap : texts.gaps(block.text(), block.columns())) {
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

    /**
     * Computes the same softmax of the same scores again, bit for bit, with the scales of the first time.
     *
     * @param scales that {@link #forward} wrote
     */
    static void again(ScoreBlock block, KeptTokens texts, boolean causal, INDArray memory, float[] scales) {
        forEachRow(block, texts, causal, memory, (piece, row, seen, at) ->
                scale(piece, row, seen, scales[2 * at], scales[2 * at + 1]));
    }

    /** Softmax of a row in the place of its first scores; it is the {@code at}th of all heads of its text. */
    @FunctionalInterface
    private interface Row {
        void run(float[] piece, int from, int length, int at);
    }

    private static void forEachRow(ScoreBlock block, KeptTokens texts, boolean causal, INDArray memory, Row softmax) {
        HostFloats floats = HostFloats.of(memory);
        int columns = block.columns();
        int first = texts.first(block.text());
        int[] gaps = texts.gaps(block.text(), columns);
        float[] piece = new float[HostFloats.wholeRows(columns)];
        HostFloats.forEachBlock(block.length(), piece.length, (from, values) -> {
            floats.read(from, piece, values);
            for (int start = 0; start < values; start += columns) {
                int index = (int) ((from + start) / columns);
                int row = block.row() + index % block.rows();
                int seen = causal ? Math.min(columns, row + 1) : columns;
                if (seen > first) {
                    fill(piece, start, gaps, seen, Float.NEGATIVE_INFINITY);
                    softmax.run(piece, start, seen, (block.head() + index / block.rows()) * texts.tokens() + row);
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

    private static void softmax(float[] x, int from, int length, float[] scales, int at) {
        float largest = RowLoops.largest(x, from, length);
        float inverse = RowLoops.softmax(x, from, length, largest, 0);
        if (scales != null) {
            scales[2 * at] = largest;
            scales[2 * at + 1] = inverse;
        }
    }

    private static void scale(float[] x, int from, int length, float max, float inverse) {
        for (int i = from; i < from + length; i++) {
            x[i] = FastExp.exp(x[i] - max) * inverse;
        }
    }

    /** Turns {@code errors}, dL/dP, into dL/d(scores) {@code = P ⊙ (dP - rowsum(P ⊙ dP))}; both begin with a block. */
    static void backward(ScoreBlock block, INDArray probabilities, INDArray errors) {
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
