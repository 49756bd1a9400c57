package io.github.dl4jlora.transformers.layer;

import io.github.dl4jlora.internal.blas.FastExp;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.ops.transforms.Transforms;

/**
 * The Gaussian error linear unit's approximation by tanh (Hendrycks, Gimpel 2016, arXiv:1606.08415), Hugging Face's
 * {@code gelu_new}: {@code y = x/2 · (1 + tanh u)}, {@code u = √(2/π) · (x + 0.044715 x³)}. As {@code (1 + tanh u) / 2 = σ(2u)},
 * {@code dy/dx = σ(2u) + x · σ(2u) · (1 - σ(2u)) · 2u'}.
 *
 * <p>DL4J's own version, called precise, cubes the factor as well.
 */
public final class TanhGelu extends BlockActivation {

    private static final long serialVersionUID = 1L;

    private static final double TWICE_ROOT_2_PI = 2 * Math.sqrt(2 / Math.PI);
    private static final double CUBIC = 0.044715;

    /** σ(2u) */
    @Override
    INDArray factor(INDArray x) {
        return Transforms.sigmoid(x.mul(x).muli(CUBIC).addi(1).muli(x).muli(TWICE_ROOT_2_PI), false);
    }

    @Override
    INDArray slope(INDArray x) {
        INDArray sigma = factor(x);
        return x.mul(x).muli(3 * CUBIC).addi(1).muli(TWICE_ROOT_2_PI).muli(x).muli(sigma.rsub(1)).addi(1).muli(sigma);
    }

    /** @param x bounded */
    private static float sigma(float x) {
        float twice = (float) TWICE_ROOT_2_PI * (x + (float) CUBIC * x * x * x);
        float magnitude = Math.abs(twice);
        float exp = FastExp.exp(-magnitude);
        // σ(-v) = 1 - σ(v), and a value that is not subtracted from 1 keeps its digits. HotSpot would not vectorise a branch.
        float positive = Math.max(twice, 0) / (magnitude + Float.MIN_NORMAL);
        return (positive + (1 - positive) * exp) / (1 + exp);
    }

    @Override
    void activate(float[] x, int length) {
        for (int i = 0; i < length; i++) {
            float bounded = bounded(x[i]);
            x[i] = Math.max(x[i], bounded) * sigma(bounded);
        }
    }

    /** Two loops, as in {@link ErfGelu}. */
    @Override
    void activate(float[] x, float[] slope, int length) {
        for (int i = 0; i < length; i++) {
            slope[i] = sigma(bounded(x[i]));
        }
        for (int i = 0; i < length; i++) {
            float sigma = slope[i];
            float bounded = bounded(x[i]);
            float twice = (float) TWICE_ROOT_2_PI * (1 + (float) (3 * CUBIC) * bounded * bounded);
            slope[i] = sigma * (1 + bounded * (1 - sigma) * twice);
            x[i] = Math.max(x[i], bounded) * sigma;
        }
    }

    @Override
    public String toString() {
        return "tanh-gelu";
    }
}
