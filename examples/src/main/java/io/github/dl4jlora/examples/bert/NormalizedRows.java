package io.github.dl4jlora.examples.bert;

import org.nd4j.linalg.api.ndarray.INDArray;

/** The loops of {@link LayerNormalizationRuntime}, over {@link HostFloats} in 'c' order. */
final class NormalizedRows {

    private NormalizedRows() {
    }

    static void forward(INDArray x, INDArray gain, INDArray bias, INDArray y) {
        int size = (int) x.size(1);
        float[] g = gain.toFloatVector();
        float[] b = bias.toFloatVector();
        float[] row = new float[size];
        HostFloats in = HostFloats.of(x);
        HostFloats out = HostFloats.of(y);
        for (long i = 0; i < x.length(); i += size) {
            in.read(i, row, size);
            normalize(row);
            for (int j = 0; j < size; j++) {
                row[j] = row[j] * g[j] + b[j];
            }
            out.write(i, row, size);
        }
    }

    static void backward(INDArray x, INDArray gain, INDArray dy, INDArray dx, INDArray dGain, INDArray dBias) {
        int size = (int) x.size(1);
        float[] g = gain.toFloatVector();
        float[] n = new float[size];
        float[] e = new float[size];
        float[] gainSum = new float[size];
        float[] biasSum = new float[size];
        HostFloats in = HostFloats.of(x);
        HostFloats errors = HostFloats.of(dy);
        HostFloats out = HostFloats.of(dx);
        for (long i = 0; i < x.length(); i += size) {
            in.read(i, n, size);
            errors.read(i, e, size);
            float inverse = normalize(n);
            for (int j = 0; j < size; j++) {
                gainSum[j] += e[j] * n[j];
                biasSum[j] += e[j];
                e[j] *= g[j];
            }
            float mean = RowSums.sum(e, size) / size;
            float projection = RowSums.dot(e, n) / size;
            for (int j = 0; j < size; j++) {
                e[j] = (e[j] - mean - n[j] * projection) * inverse;
            }
            out.write(i, e, size);
        }
        HostFloats.of(dGain).write(0, gainSum, size);
        HostFloats.of(dBias).write(0, biasSum, size);
    }

    /** Replaces x by (x - mean) / σ, gives back 1/σ. */
    private static float normalize(float[] x) {
        float mean = RowSums.sum(x, x.length) / x.length;
        for (int j = 0; j < x.length; j++) {
            x[j] -= mean;
        }
        float inverse = (float) (1 / Math.sqrt(RowSums.dot(x, x) / x.length + LayerNormalization.EPSILON));
        for (int j = 0; j < x.length; j++) {
            x[j] *= inverse;
        }
        return inverse;
    }
}
