package io.github.dl4jlora.transformers.layer;

import io.github.dl4jlora.internal.blas.RowLoops;
import io.github.dl4jlora.internal.onednn.Rows;
import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * What {@link LayerNormalizationRuntime} computes in FLOAT, in 'c' order: by oneDNN, or in loops over {@link HostFloats}, some
 * rows at a time.
 */
final class NormalizedRows {

    private NormalizedRows() {
    }

    static void forward(INDArray x, INDArray gain, INDArray bias, INDArray y, double epsilon) {
        if (Rows.normalize(x, gain, bias, y, epsilon)) {
            return;
        }
        int size = (int) x.size(1);
        float[] g = gain.toFloatVector();
        float[] b = bias.toFloatVector();
        float[] n = new float[HostFloats.wholeRows(size)];
        HostFloats in = HostFloats.of(x);
        HostFloats out = HostFloats.of(y);
        HostFloats.forEachBlock(x.length(), n.length, (at, length) -> {
            in.read(at, n, length);
            for (int row = 0; row < length; row += size) {
                normalize(n, row, size, epsilon);
                for (int j = 0; j < size; j++) {
                    n[row + j] = n[row + j] * g[j] + b[j];
                }
            }
            out.write(at, n, length);
        });
    }

    static void backward(INDArray x, INDArray gain, INDArray dy, INDArray dx, INDArray dGain, INDArray dBias,
                         double epsilon) {
        if (Rows.normalizeGradient(x, gain, dy, dx, dGain, dBias, epsilon)) {
            return;
        }
        int size = (int) x.size(1);
        float[] g = gain.toFloatVector();
        float[] gainSum = new float[size];
        float[] biasSum = new float[size];
        float[] n = new float[HostFloats.wholeRows(size)];
        float[] e = new float[HostFloats.wholeRows(size)];
        HostFloats in = HostFloats.of(x);
        HostFloats errors = HostFloats.of(dy);
        HostFloats out = HostFloats.of(dx);
        HostFloats.forEachBlock(x.length(), n.length, (at, length) -> {
            in.read(at, n, length);
            errors.read(at, e, length);
            for (int row = 0; row < length; row += size) {
                float inverse = normalize(n, row, size, epsilon);
                for (int j = 0; j < size; j++) {
                    gainSum[j] += e[row + j] * n[row + j];
                    biasSum[j] += e[row + j];
                    e[row + j] *= g[j];
                }
                float mean = RowLoops.sum(e, row, size) / size;
                float projection = RowLoops.dot(e, n, row, size) / size;
                for (int j = row; j < row + size; j++) {
                    e[j] = (e[j] - mean - n[j] * projection) * inverse;
                }
            }
            out.write(at, e, length);
        });
        HostFloats.of(dGain).write(0, gainSum, size);
        HostFloats.of(dBias).write(0, biasSum, size);
    }

    /** Replaces x by (x - mean) / σ, and returns 1/σ. */
    private static float normalize(float[] x, int from, int size, double epsilon) {
        float mean = RowLoops.sum(x, from, size) / size;
        for (int j = from; j < from + size; j++) {
            x[j] -= mean;
        }
        float inverse = (float) (1 / Math.sqrt(RowLoops.dot(x, x, from, size) / size + epsilon));
        for (int j = from; j < from + size; j++) {
            x[j] *= inverse;
        }
        return inverse;
    }
}
