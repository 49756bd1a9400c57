package io.github.dl4jlora.transformers;

import org.nd4j.evaluation.IEvaluation;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.Arrays;

/**
 * Labels of tokens, {@code [minibatch, tokens]}, for DL4J's evaluations, which want one-hot rows and a mask:
 *
 * <pre>
 * Evaluation evaluation = new Evaluation(names);
 * TokenLabels.evaluate(evaluation, labels, tagger.outputSingle(ids));
 * </pre>
 */
public final class TokenLabels {

    /** The label of a token that does not count, as in PyTorch. */
    public static final int IGNORED = -100;

    private TokenLabels() {
    }

    /**
     * Adds a minibatch to an evaluation; labels {@link #IGNORED} do not count.
     *
     * @param evaluation    such as DL4J's {@code Evaluation}
     * @param labels        classes, counted from 0, {@code [minibatch, tokens]}
     * @param probabilities of {@link Head#tokenClassifier}, {@code [minibatch · tokens, classes]}
     * @throws IllegalArgumentException if there is not a label for each row, or a label is no class
     */
    public static void evaluate(IEvaluation<?> evaluation, INDArray labels, INDArray probabilities) {
        double[] classes = labels.dup('c').data().asDouble();
        if (classes.length != probabilities.size(0)) {
            throw new IllegalArgumentException("Labels have shape " + Arrays.toString(labels.shape()) + ", but there are "
                    + probabilities.size(0) + " rows of probabilities: give a class for each token, [minibatch, tokens]");
        }
        float[][] rows = new float[classes.length][(int) probabilities.size(1)];
        float[][] mask = new float[classes.length][1];
        for (int i = 0; i < classes.length; i++) {
            int label = (int) classes[i];
            if (label != IGNORED) {
                if (label != classes[i] || label < 0 || label >= rows[i].length) {
                    throw new IllegalArgumentException("Label " + classes[i] + " of token " + i % labels.size(1) + " of text "
                            + i / labels.size(1) + " is neither a class below " + rows[i].length + " nor " + IGNORED
                            + ", which is for tokens that do not count");
                }
                rows[i][label] = 1;
                mask[i][0] = 1;
            }
        }
        evaluation.eval(Nd4j.createFromArray(rows), probabilities, Nd4j.createFromArray(mask));
    }
}
