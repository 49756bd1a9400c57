package io.github.dl4jlora.transformers.layer;

import org.nd4j.linalg.activations.IActivation;
import org.nd4j.linalg.activations.impl.ActivationSigmoid;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.lossfunctions.LossUtil;
import org.nd4j.linalg.ops.transforms.Transforms;

import java.util.Arrays;

/**
 * Binary cross-entropy of labels of which an example may have any number: PyTorch's {@code BCEWithLogitsLoss}, the mean over
 * labels and examples. It is computed from the logits z, so that it is exact where a probability is 0 or 1 in FLOAT:
 *
 * <pre>
 * input   z       [minibatch, labels], below a sigmoid
 * labels  y       [minibatch, labels], 1 for a label that an example has, 0 for others, or a probability between
 * loss            max(z, 0) − z·y + log(1 + e^−|z|), and dL/dz = sigmoid(z) − y, both divided by the number of labels
 * mask            [minibatch, 1] or [minibatch, labels], if there is one; 0 for what has loss 0
 * </pre>
 *
 * <p>DL4J's {@code LossBinaryXENT} sums over labels, and cuts off probabilities near 0 and 1.
 */
public final class LabelsCrossEntropy extends PlainLoss {

    private static final long serialVersionUID = 1L;

    private static void require(INDArray labels, INDArray logits, IActivation activation) {
        if (!(activation instanceof ActivationSigmoid)) {
            throw new IllegalArgumentException("LabelsCrossEntropy is computed below a sigmoid, but the layer has the activation "
                    + activation + ": give it Activation.SIGMOID");
        }
        if (!labels.equalShapes(logits)) {
            throw new IllegalArgumentException("Labels have shape " + Arrays.toString(labels.shape()) + ", but the outputs have "
                    + Arrays.toString(logits.shape()) + ": give 1 for each label that an example has, and 0 for the others");
        }
        if (Double.isNaN(labels.sumNumber().doubleValue())) {
            throw new IllegalArgumentException("A label is NaN, but labels must be 0, 1 or between: 1 for each label that an "
                    + "example has. For what is not known, give 0 here and 0 in a mask of labels");
        }
        if (labels.minNumber().doubleValue() < 0 || labels.maxNumber().doubleValue() > 1) {
            throw new IllegalArgumentException("Labels are from " + labels.minNumber() + " to " + labels.maxNumber()
                    + ", but must be 0, 1 or between: 1 for each label that an example has");
        }
    }

    /** Of each label of each example. */
    private static INDArray losses(INDArray labels, INDArray logits, IActivation activation, INDArray mask) {
        require(labels, logits, activation);
        INDArray z = logits.dup();
        INDArray losses = Transforms.log(Transforms.exp(Transforms.abs(z, true).negi(), false).addi(1), false)
                .addi(Transforms.relu(z, true)).subi(z.muli(labels.castTo(z.dataType()))).divi(z.size(1));
        return masked(losses, mask);
    }

    private static INDArray masked(INDArray values, INDArray mask) {
        if (mask != null) {
            LossUtil.applyMask(values, mask);
        }
        return values;
    }

    @Override
    public double computeScore(INDArray labels, INDArray logits, IActivation activation, INDArray mask, boolean average) {
        double sum = losses(labels, logits, activation, mask).sumNumber().doubleValue();
        return average ? sum / logits.size(0) : sum;
    }

    /** {@return the mean over the labels of each example, {@code [minibatch, 1]}} */
    @Override
    public INDArray computeScoreArray(INDArray labels, INDArray logits, IActivation activation, INDArray mask) {
        return losses(labels, logits, activation, mask).sum(true, 1);
    }

    @Override
    public INDArray computeGradient(INDArray labels, INDArray logits, IActivation activation, INDArray mask) {
        require(labels, logits, activation);
        return masked(Nd4j.nn().sigmoid(logits.dup()).subi(labels.castTo(logits.dataType())).divi(logits.size(1)), mask);
    }
}
