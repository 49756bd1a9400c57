package io.github.dl4jlora.internal.stock;

import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.activations.BaseActivationFunction;
import org.nd4j.linalg.activations.impl.ActivationRReLU;
import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * Computes in training, too, what DL4J's RReLU computes in test mode, with the gradient that belongs to it. That is not the
 * leaky ReLU one expects but max(x, a) with a = (l + u) / 2, from which the base's output comes.
 */
public final class TestModeRReLU extends BaseActivationFunction {

    private static final long serialVersionUID = 1L;

    private final double l;
    private final double u;

    TestModeRReLU(double l, double u) {
        this.l = l;
        this.u = u;
    }

    @Override
    public INDArray getActivation(INDArray in, boolean training) {
        return new ActivationRReLU(l, u).getActivation(in, false);
    }

    @Override
    public Pair<INDArray, INDArray> backprop(INDArray in, INDArray epsilon) {
        return new Pair<>(epsilon.mul(in.gt(0.5 * (l + u)).castTo(epsilon.dataType())), null);
    }
}
