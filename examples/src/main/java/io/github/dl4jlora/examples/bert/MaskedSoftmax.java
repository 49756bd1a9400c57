package io.github.dl4jlora.examples.bert;

import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.linalg.ops.transforms.Transforms;

import java.util.Arrays;

/** The softmax of attention scores {@code [texts · heads · tokens, tokens]}, in place, padding left out. */
final class MaskedSoftmax {

    private MaskedSoftmax() {
    }

    /**
     * @param lengths tokens of each text; the rest is padding
     */
    static void forward(INDArray scores, int[] lengths, int heads) {
        int tokens = (int) scores.size(1);
        if (HostFloats.reaches(scores)) {
            forwardInJava(scores, lengths, heads, tokens);
            return;
        }
        INDArray byText = scores.reshape('c', lengths.length, (long) heads * tokens, tokens);
        for (int text = 0; text < lengths.length; text++) {
            if (lengths[text] < tokens) {
                byText.get(NDArrayIndex.point(text), NDArrayIndex.all(), NDArrayIndex.interval(lengths[text], tokens))
                        .assign(Double.NEGATIVE_INFINITY);
            }
        }
        scores.subiColumnVector(scores.max(true, 1));
        Transforms.exp(scores, false);
        scores.diviColumnVector(scores.sum(true, 1));
    }

    private static void forwardInJava(INDArray scores, int[] lengths, int heads, int tokens) {
        HostFloats values = HostFloats.of(scores);
        float[] row = new float[tokens];
        long at = 0;
        for (int length : lengths) {
            for (int i = 0; i < heads * tokens; i++, at += tokens) {
                values.read(at, row, length);
                softmax(row, length);
                values.write(at, row, tokens);
            }
        }
    }

    private static void softmax(float[] row, int length) {
        float max = row[0];
        for (int i = 1; i < length; i++) {
            max = Math.max(max, row[i]);
        }
        for (int i = 0; i < length; i++) {
            row[i] = FastExp.exp(row[i] - max);
        }
        float inverse = 1 / RowSums.sum(row, length);
        for (int i = 0; i < length; i++) {
            row[i] *= inverse;
        }
        Arrays.fill(row, length, row.length, 0);
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
        float[] probability = new float[tokens];
        float[] error = new float[tokens];
        for (long at = 0; at < errors.length(); at += tokens) {
            p.read(at, probability, tokens);
            e.read(at, error, tokens);
            float projection = RowSums.dot(probability, error);
            for (int i = 0; i < tokens; i++) {
                error[i] = probability[i] * (error[i] - projection);
            }
            e.write(at, error, tokens);
        }
    }
}
