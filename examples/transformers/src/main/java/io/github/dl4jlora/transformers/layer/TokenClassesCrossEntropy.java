package io.github.dl4jlora.transformers.layer;

import org.nd4j.linalg.activations.IActivation;
import org.nd4j.linalg.activations.impl.ActivationSoftmax;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.api.ops.impl.scatter.ScatterUpdate;
import org.nd4j.linalg.factory.Nd4j;

import java.util.Arrays;

/**
 * Cross-entropy of a class for each token, the mean over all tokens that count, as PyTorch's with {@code ignore_index=-100}. For
 * a {@link RowsLoss}.
 *
 * <pre>
 * input   logits  [minibatch · tokens, classes], below a softmax
 * labels  classes [minibatch, tokens], counted from 0; -100 for a token that does not count
 * mask            [minibatch, tokens], if there is one: 1, or 0 for a label that does not count
 * </pre>
 */
public final class TokenClassesCrossEntropy extends PlainLoss {

    private static final long serialVersionUID = 1L;
    private static final String HERE = "(loss: TokenClassesCrossEntropy)";

    private static CountedTokens counted(INDArray labels, INDArray logits, IActivation activation, INDArray mask) {
        if (!(activation instanceof ActivationSoftmax)) {
            throw new IllegalArgumentException("TokenClassesCrossEntropy is computed below a softmax, but the layer has the "
                    + "activation " + activation + ": give it Activation.SOFTMAX");
        }
        return CountedTokens.ofClasses(labels, mask, logits.size(0), logits.size(1), HERE);
    }

    private static INDArray rows(INDArray logits, CountedTokens counted) {
        return Nd4j.pullRows(logits.ordering() == 'c' ? logits : logits.dup('c'), 1, counted.rows(), 'c');
    }

    private static double[] losses(INDArray logits, CountedTokens counted) {
        return TokenCrossEntropy.losses(rows(logits, counted), counted.labels(0, counted.size()));
    }

    /** {@return the mean, or the mean times the rows, by which DL4J divides} */
    @Override
    public double computeScore(INDArray labels, INDArray logits, IActivation activation, INDArray mask, boolean average) {
        CountedTokens counted = counted(labels, logits, activation, mask);
        counted.requireSome(HERE);
        double mean = Arrays.stream(losses(logits, counted)).average().orElseThrow();
        return average ? mean : mean * logits.size(0);
    }

    /** {@return the mean over the tokens that count of each text, {@code [minibatch, 1]}; 0 for a text without any} */
    @Override
    public INDArray computeScoreArray(INDArray labels, INDArray logits, IActivation activation, INDArray mask) {
        CountedTokens counted = counted(labels, logits, activation, mask);
        double[] means = counted.meansOfTexts(counted.size() == 0 ? new double[0] : losses(logits, counted));
        return Nd4j.createFromArray(means).castTo(logits.dataType()).reshape(means.length, 1);
    }

    /** Times the minibatch, by which DL4J divides. */
    @Override
    @SuppressWarnings("deprecation")
    public INDArray computeGradient(INDArray labels, INDArray logits, IActivation activation, INDArray mask) {
        CountedTokens counted = counted(labels, logits, activation, mask);
        counted.requireSome(HERE);
        INDArray rows = rows(logits, counted);
        TokenCrossEntropy.toGradient(rows, counted.labels(0, counted.size()), (double) labels.size(0) / counted.size());
        INDArray gradient = Nd4j.zeros(logits.dataType(), logits.shape());
        Nd4j.getExecutioner().scatterUpdate(ScatterUpdate.UpdateOp.ADD, gradient, Nd4j.createFromArray(counted.rows()), rows,
                new int[]{1});
        return gradient;
    }
}
