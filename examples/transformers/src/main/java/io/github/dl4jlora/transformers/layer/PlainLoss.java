package io.github.dl4jlora.transformers.layer;

import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.activations.IActivation;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.lossfunctions.ILossFunction;

/** A loss without settings: all of one class are equal. */
abstract class PlainLoss implements ILossFunction {

    private static final long serialVersionUID = 1L;

    @Override
    public final Pair<Double, INDArray> computeGradientAndScore(INDArray labels, INDArray output, IActivation activation,
                                                                INDArray mask, boolean average) {
        return new Pair<>(computeScore(labels, output, activation, mask, average),
                computeGradient(labels, output, activation, mask));
    }

    @Override
    public final String name() {
        return toString();
    }

    @Override
    public final boolean equals(Object other) {
        return other != null && other.getClass() == getClass();
    }

    @Override
    public final int hashCode() {
        return getClass().hashCode();
    }

    @Override
    public final String toString() {
        return getClass().getSimpleName() + "()";
    }
}
