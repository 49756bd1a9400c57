package io.github.dl4jlora.transformers.layer;

import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.linalg.ops.transforms.Transforms;

import java.util.Arrays;

/**
 * The softmax of one text's attention scores {@code [heads · tokens, tokens]}, in place, padding and, if asked, what comes
 * later left out.
 */
final class MaskedSoftmax {

    private MaskedSoftmax() {
    }

    /**
     * @param length tokens of the text; the rest is padding
     * @param causal whether row i of a head leaves out the columns after i
     */
    static void forward(INDArray scores, int length, boolean causal) {
        int tokens = (int) scores.size(1);
        if (HostFloats.reaches(scores)) {
            forwardInJava(scores, length, tokens, causal);
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

    /** Block by block, a head each. */
    private static void forwardInJava(INDArray scores, int length, int tokens, boolean causal) {
        HostFloats values = HostFloats.of(scores);
        float[] block = new float[tokens * tokens];
        for (long at = 0; at < scores.length(); at += block.length) {
            values.read(at, block, block.length);
            for (int row = 0; row < block.length; row += tokens) {
                int seen = causal ? Math.min(length, row / tokens + 1) : length;
                softmax(block, row, seen);
                Arrays.fill(block, row + seen, row + tokens, 0);
            }
            values.write(at, block, block.length);
        }
    }

    private static void softmax(float[] x, int from, int length) {
        float max = x[from];
        for (int i = from + 1; i < from + length; i++) {
            max = Math.max(max, x[i]);
        }
        for (int i = from; i < from + length; i++) {
            x[i] = FastExp.exp(x[i] - max);
        }
        float inverse = 1 / RowSums.sum(x, from, length);
        for (int i = from; i < from + length; i++) {
            x[i] *= inverse;
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
        float[] probability = new float[tokens * tokens];
        float[] error = new float[tokens * tokens];
        for (long at = 0; at < errors.length(); at += error.length) {
            p.read(at, probability, error.length);
            e.read(at, error, error.length);
            for (int row = 0; row < error.length; row += tokens) {
                float projection = RowSums.dot(probability, error, row, tokens);
                for (int i = row; i < row + tokens; i++) {
                    error[i] = probability[i] * (error[i] - projection);
                }
            }
            e.write(at, error, error.length);
        }
    }
}
