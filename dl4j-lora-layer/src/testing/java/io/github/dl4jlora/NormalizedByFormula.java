package io.github.dl4jlora;

import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.ops.transforms.Transforms;

/**
 * Layer normalisation of rows and its gradients by their formulas, in double precision.
 *
 * @param y      gain · n + shift, n = (x - mean) / √(variance + epsilon), mean and variance those of each row
 * @param dx     gradient with respect to x
 * @param dGain  gradient with respect to the gain
 * @param dShift gradient with respect to the shift
 */
public record NormalizedByFormula(INDArray y, INDArray dx, INDArray dGain, INDArray dShift) {

    /** @param dy gradient with respect to y */
    public static NormalizedByFormula of(INDArray x, INDArray gain, INDArray shift, INDArray dy, double epsilon) {
        INDArray n = exact(x);
        n.subiColumnVector(n.mean(true, 1));
        INDArray deviation = Transforms.sqrt(n.mul(n).mean(true, 1).addi(epsilon));
        n.diviColumnVector(deviation);
        INDArray errors = exact(dy);
        INDArray e = errors.mulRowVector(exact(gain));
        INDArray dx = e.subColumnVector(e.mean(true, 1)).subi(n.mulColumnVector(e.mul(n).mean(true, 1)))
                .diviColumnVector(deviation);
        return new NormalizedByFormula(n.mulRowVector(exact(gain)).addiRowVector(exact(shift)), dx,
                errors.mul(n).sum(true, 0), errors.sum(true, 0));
    }

    private static INDArray exact(INDArray array) {
        return array.castTo(DataType.DOUBLE);
    }
}
