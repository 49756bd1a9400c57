package io.github.dl4jlora.transformers.layer;

import io.github.dl4jlora.internal.blas.FastExp;
import io.github.dl4jlora.internal.blas.RowLoops;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.linalg.ops.transforms.Transforms;

import java.util.Arrays;

/**
 * The softmax of one text's attention scores {@code [heads · tokens, tokens]}, in place, without padding and, if it is causal,
 * without later tokens.
 */
final class MaskedSoftmax {

    private MaskedSoftmax() {
    }

    /**
     * @param length tokens of the text; the rest is padding
     * @param causal whether row i of a head leaves out the columns after i
     * @param scales {@code [2 · rows]}, if loops in Java can reach the scores, gets the largest score of each row, and the row's
     *               scale
     */
    static void forward(INDArray scores, int length, boolean causal, float[] scales) {
        int tokens = (int) scores.size(1);
        if (HostFloats.reaches(scores)) {
            forEachRow(HostFloats.of(scores), scores.length(), tokens, length, causal, (block, row, seen, at) ->
                    softmax(block, row, seen, scales, at));
            return;
        }
        if (length < tokens) {
            scores.get(NDArrayIndex.all(), NDArrayIndex.interval(length, tokens)).assign(Double.NEGATIVE_INFINITY);
        }
        if (causal) {
            INDArray byHead = scores.reshape('c', scores.size(0) / tokens, tokens, tokens);
            for (int token = 0; token < tokens - 1; token++) {
                byHead.get(NDArrayIndex.all(), NDArrayIndex.point(token), NDArrayIndex.interval(token + 1, tokens))
                        .assign(Double.NEGATIVE_INFINITY);
            }
        }
        scores.subiColumnVector(scores.max(true, 1));
        Transforms.exp(scores, false);
        scores.diviColumnVector(scores.sum(true, 1));
    }

    /**
     * Computes the same softmax of the same scores again, bit for bit, with the scales of the first time.
     *
     * @param scales that {@link #forward} wrote
     */
    static void again(INDArray scores, int length, boolean causal, float[] scales) {
        forEachRow(HostFloats.of(scores), scores.length(), (int) scores.size(1), length, causal, (block, row, seen, at) ->
                scale(block, row, seen, scales[2 * at], scales[2 * at + 1]));
    }

    /** Softmax of a row, the {@code at}th, in the place of its first scores. */
    @FunctionalInterface
    private interface Row {
        void run(float[] block, int from, int length, int at);
    }

    private static void forEachRow(HostFloats scores, long count, int tokens, int length, boolean causal, Row softmax) {
        float[] block = new float[HostFloats.wholeRows(tokens)];
        HostFloats.forEachBlock(count, block.length, (from, values) -> {
            scores.read(from, block, values);
            for (int row = 0; row < values; row += tokens) {
                int at = (int) ((from + row) / tokens);
                int seen = causal ? Math.min(length, at % tokens + 1) : length;
                softmax.run(block, row, seen, at);
                Arrays.fill(block, row + seen, row + tokens, 0);
            }
            scores.write(from, block, values);
        });
    }

    private static void softmax(float[] x, int from, int length, float[] scales, int at) {
        float largest = RowLoops.largest(x, from, length);
        scales[2 * at] = largest;
        scales[2 * at + 1] = RowLoops.softmax(x, from, length, largest, 0);
    }

    private static void scale(float[] x, int from, int length, float max, float inverse) {
        for (int i = from; i < from + length; i++) {
            x[i] = FastExp.exp(x[i] - max) * inverse;
        }
    }

    /** Turns {@code errors}, dL/dP, into dL/d(scores) {@code = P ⊙ (dP - rowsum(P ⊙ dP))}. */
    static void backward(INDArray probabilities, INDArray errors) {
        if (!HostFloats.reaches(probabilities, errors)) {
            INDArray projection = probabilities.mul(errors).sum(true, 1);
            errors.subiColumnVector(projection).muli(probabilities);
            return;
        }
        int tokens = (int) errors.size(1);
        HostFloats p = HostFloats.of(probabilities);
        HostFloats e = HostFloats.of(errors);
        float[] probability = new float[HostFloats.wholeRows(tokens)];
        float[] error = new float[HostFloats.wholeRows(tokens)];
        HostFloats.forEachBlock(errors.length(), error.length, (from, values) -> {
            p.read(from, probability, values);
            e.read(from, error, values);
            for (int row = 0; row < values; row += tokens) {
                RowLoops.softmaxGradient(probability, error, row, tokens);
            }
            e.write(from, error, values);
        });
    }
}
