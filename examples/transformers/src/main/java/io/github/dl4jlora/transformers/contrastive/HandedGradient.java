package io.github.dl4jlora.transformers.contrastive;

import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.activations.IActivation;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.lossfunctions.ILossFunction;

/** In the place of a loss, hands down a gradient that is known already: what is set for labels. */
final class HandedGradient implements ILossFunction {

    private static final long serialVersionUID = 1L;

    @Override
    public INDArray computeGradient(INDArray labels, INDArray preOutput, IActivation activation, INDArray mask) {
        return labels.dup();
    }

    @Override
    public double computeScore(INDArray labels, INDArray preOutput, IActivation activation, INDArray mask, boolean average) {
        throw noScore();
    }

    @Override
    public INDArray computeScoreArray(INDArray labels, INDArray preOutput, IActivation activation, INDArray mask) {
        throw noScore();
    }

    @Override
    public Pair<Double, INDArray> computeGradientAndScore(INDArray labels, INDArray preOutput, IActivation activation,
                                                          INDArray mask, boolean average) {
        throw noScore();
    }

    private static IllegalStateException noScore() {
        return new IllegalStateException("A part of a batch has no score of its own");
    }

    @Override
    public String name() {
        return "HandedGradient";
    }
}
