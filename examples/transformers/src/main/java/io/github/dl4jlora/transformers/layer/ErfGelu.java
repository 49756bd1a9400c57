package io.github.dl4jlora.transformers.layer;

import io.github.dl4jlora.internal.blas.FastExp;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.api.ops.impl.transforms.strict.Erf;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.ops.transforms.Transforms;

/**
 * The Gaussian error linear unit (Hendrycks, Gimpel 2016, arXiv:1606.08415), exact form: {@code y = x · Φ(x)},
 * {@code dy/dx = Φ(x) + x · φ(x)}, Φ and φ the standard normal distribution and its density.
 *
 * <p>DL4J's own GELU approximates Φ by a sigmoid or tanh, which visibly changes the outputs of a model that was trained with the
 * exact form.
 *
 * <p>In FLOAT on the CPU, Φ is Abramowitz and Stegun's 7.1.26 (absolute error 1.5e-7), which needs one exponential that φ shares.
 * Elsewhere it is ND4J's error function.
 */
public final class ErfGelu extends BlockActivation {

    private static final long serialVersionUID = 1L;

    private static final double ROOT_2 = Math.sqrt(2);
    private static final double ROOT_2_PI = Math.sqrt(2 * Math.PI);

    // Abramowitz, Stegun: Handbook of Mathematical Functions, 7.1.26; p with 1/√2 in it, the coefficients with 1/2.
    private static final float P = (float) (0.3275911 / ROOT_2);
    private static final float A1 = 0.5f * 0.254829592f;
    private static final float A2 = 0.5f * -0.284496736f;
    private static final float A3 = 0.5f * 1.421413741f;
    private static final float A4 = 0.5f * -1.453152027f;
    private static final float A5 = 0.5f * 1.061405429f;
    private static final float DENSITY = (float) (1 / ROOT_2_PI);

    /** Φ = (1 + erf(x/√2)) / 2 */
    @Override
    INDArray factor(INDArray x) {
        INDArray erf = x.div(ROOT_2);
        Nd4j.getExecutioner().exec(new Erf(erf, erf));
        return erf.addi(1).muli(0.5);
    }

    @Override
    INDArray slope(INDArray x) {
        INDArray density = Transforms.exp(x.mul(x).muli(-0.5), false).divi(ROOT_2_PI);
        return factor(x).addi(density.muli(x));
    }

    @Override
    void activate(float[] x, int length) {
        for (int i = 0; i < length; i++) {
            float magnitude = Math.abs(x[i]);
            float tail = tail(magnitude, FastExp.exp(-0.5f * x[i] * x[i]));
            x[i] = Math.max(x[i], 0) - magnitude * tail;
        }
    }

    /** Two loops: HotSpot vectorises neither if the exponential is used twice in the loop that computes it. */
    @Override
    void activate(float[] x, float[] slope, int length) {
        for (int i = 0; i < length; i++) {
            slope[i] = FastExp.exp(-0.5f * x[i] * x[i]);
        }
        for (int i = 0; i < length; i++) {
            float magnitude = Math.abs(x[i]);
            float tail = tail(magnitude, slope[i]);
            // Φ is tail for negative x and 1 - tail for positive; at 0, where the sign comes out 0, both are 1/2.
            float sign = x[i] / (magnitude + Float.MIN_NORMAL);
            slope[i] = 0.5f + sign * (0.5f - tail) + bounded(x[i]) * DENSITY * slope[i];
            x[i] = Math.max(x[i], 0) - magnitude * tail;
        }
    }

    /** Φ(-magnitude), given exp(-magnitude² / 2). */
    private static float tail(float magnitude, float exp) {
        float t = 1 / (1 + P * magnitude);
        return t * (A1 + t * (A2 + t * (A3 + t * (A4 + t * A5)))) * exp;
    }

    @Override
    public String toString() {
        return "erf-gelu";
    }
}
