package io.github.dl4jlora.internal.kernel;

import org.nd4j.linalg.activations.IActivation;
import org.nd4j.linalg.activations.impl.ActivationReLU;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.api.ops.impl.scalar.Step;
import org.nd4j.linalg.factory.Nd4j;

import java.util.Arrays;

/** The faster of the ways in which ND4J computes what layers of ours do; figures in docs/benchmarks.md. */
public final class DenseArithmetic {

    private DenseArithmetic() {
    }

    /**
     * The order in which to have the result of a product with W: OpenBLAS is faster into a column-major one when a batch is
     * much lower than it is wide, and into a row-major one otherwise.
     */
    public static char resultOrder(long rows, long columns) {
        return 4 * rows <= columns ? 'f' : 'c';
    }

    /**
     * dL/dz from dL/dy, y = activation(z). ReLU's as two vectorised passes: ND4J's one operation for it takes several times as
     * long.
     *
     * @param z       may be overwritten
     * @param epsilon dL/dy; may be overwritten
     */
    public static INDArray activationGradient(IActivation activation, INDArray z, INDArray epsilon) {
        if (!isPlainReLU(activation) || !Arrays.equals(z.shape(), epsilon.shape())) {
            return activation.backprop(z, epsilon).getFirst();
        }
        if (!isFinite(epsilon)) {
            // 0 · ∞ is no zero, which a dead unit's gradient is.
            return activation.backprop(z, epsilon).getFirst();
        }
        return Nd4j.getExecutioner().exec(new Step(z, z)).muli(epsilon);
    }

    /** Whether all values are finite, their sum being so; false now and then where a sum overflows. */
    private static boolean isFinite(INDArray array) {
        boolean forBlas = array.elementWiseStride() == 1
                && (array.dataType() == DataType.FLOAT || array.dataType() == DataType.DOUBLE);
        // ND4J's own reduction takes fifty times as long for a small batch.
        double sum = forBlas ? Nd4j.getBlasWrapper().level1().asum(array) : array.sumNumber().doubleValue();
        return Double.isFinite(sum);
    }

    private static boolean isPlainReLU(IActivation activation) {
        return activation instanceof ActivationReLU relu && activation.getClass() == ActivationReLU.class && relu.getMax() == null
                && relu.getThreshold() == null && relu.getNegativeSlope() == null;
    }
}
