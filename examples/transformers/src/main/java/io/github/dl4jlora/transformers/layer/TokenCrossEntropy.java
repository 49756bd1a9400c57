package io.github.dl4jlora.transformers.layer;

import io.github.dl4jlora.internal.blas.FastExp;
import io.github.dl4jlora.internal.blas.RowLoops;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.ops.transforms.Transforms;

/**
 * {@code loss = -log softmax(logits)[label]} of each row, and {@code dL/d(logits) = softmax(logits) - 1 at the label}, with no
 * array but the logits {@code [rows, vocabulary]}.
 */
final class TokenCrossEntropy {

    private TokenCrossEntropy() {
    }

    /** Overwrites the logits. */
    static double[] losses(INDArray logits, int[] labels) {
        return run(logits, labels, 0);
    }

    /**
     * Replaces logits by the gradient of scale times the sum of losses.
     *
     * @return the sum of losses, not scaled
     */
    static double toGradient(INDArray logits, int[] labels, double scale) {
        double sum = 0;
        for (double loss : run(logits, labels, scale)) {
            sum += loss;
        }
        return sum;
    }

    private static double[] run(INDArray logits, int[] labels, double scale) {
        double[] losses = new double[labels.length];
        if (!HostFloats.reaches(logits) || logits.ordering() != 'c') {
            runInNd4j(logits, labels, scale, losses);
            return losses;
        }
        int width = (int) logits.size(1);
        HostFloats values = HostFloats.of(logits);
        float[] row = new float[width];
        for (int i = 0; i < labels.length; i++) {
            values.read((long) i * width, row, width);
            losses[i] = run(row, labels[i], (float) scale);
            values.write((long) i * width, row, width);
        }
        return losses;
    }

    private static double run(float[] x, int label, float scale) {
        float max = RowLoops.largest(x, 0, x.length);
        float own = x[label] - max;
        for (int i = 0; i < x.length; i++) {
            x[i] = FastExp.exp(x[i] - max);
        }
        double sum = RowLoops.sum(x, 0, x.length);
        float factor = (float) (scale / sum);
        for (int i = 0; i < x.length; i++) {
            x[i] *= factor;
        }
        x[label] -= scale;
        return Math.log(sum) - own;
    }

    private static void runInNd4j(INDArray logits, int[] labels, double scale, double[] losses) {
        logits.subiColumnVector(logits.max(true, 1));
        double[] own = new double[labels.length];
        for (int i = 0; i < labels.length; i++) {
            own[i] = logits.getDouble(i, labels[i]);
        }
        Transforms.exp(logits, false);
        INDArray sums = logits.sum(true, 1);
        logits.diviColumnVector(sums).muli(scale);
        for (int i = 0; i < labels.length; i++) {
            losses[i] = Math.log(sums.getDouble(i)) - own[i];
            logits.putScalar(i, labels[i], logits.getDouble(i, labels[i]) - scale);
        }
    }
}
