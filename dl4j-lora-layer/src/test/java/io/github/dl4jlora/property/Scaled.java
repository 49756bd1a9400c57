package io.github.dl4jlora.property;

import org.deeplearning4j.nn.api.MaskState;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.samediff.SameDiffLambdaVertex;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.api.ndarray.INDArray;

/** A vertex as users write them: factor · x. DL4J's own clone() of it forgets the factor. */
public final class Scaled extends SameDiffLambdaVertex {

    /** As DL4J writes it to JSON. */
    public double factor = 1;

    /** For DL4J. */
    public Scaled() {
    }

    Scaled(double factor) {
        this.factor = factor;
    }

    @Override
    public SDVariable defineVertex(SameDiff sameDiff, VertexInputs inputs) {
        return inputs.getInput(0).mul(factor);
    }

    @Override
    public InputType getOutputType(int index, InputType... inputs) {
        return inputs[0];
    }

    @Override
    public Pair<INDArray, MaskState> feedForwardMaskArrays(INDArray[] masks, MaskState state, int minibatch) {
        return new Pair<>(masks == null ? null : masks[0], state);
    }
}
