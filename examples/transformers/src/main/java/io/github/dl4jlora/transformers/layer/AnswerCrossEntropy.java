package io.github.dl4jlora.transformers.layer;

import org.nd4j.linalg.activations.IActivation;
import org.nd4j.linalg.activations.impl.ActivationIdentity;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

import java.util.Arrays;

/**
 * Cross-entropy of the first and of the last token of an answer among the tokens of its text: the mean over texts for either,
 * and the mean of these two, as in Devlin et al. 2018, arXiv:1810.04805, section 4.2. For a {@link RowsLoss} on
 * {@link AnswerScores}.
 *
 * <pre>
 * input   scores     [minibatch, 2·tokens]
 * labels  positions  [minibatch, 2], of the first and of the last token, counted from 0; a position that is not in the text,
 *                    since the text was cut, does not count: tokens or more, or -100; an answer that ends before it begins is
 *                    refused
 * </pre>
 *
 * <p>Padding has no part in it: softmax is over the tokens of a text alone. In transformers it has, so that a loss there depends
 * on how long the other texts of a minibatch are; without padding both are the same.
 */
public final class AnswerCrossEntropy extends PlainLoss {

    private static final long serialVersionUID = 1L;

    /** {@return the positions, text by text} */
    private static int[] positions(INDArray labels, INDArray scores, IActivation activation, INDArray mask) {
        if (mask != null) {
            throw new IllegalArgumentException("AnswerCrossEntropy takes no mask of labels: give the position "
                    + TiedDecoder.IGNORED + " for what does not count");
        }
        if (!(activation instanceof ActivationIdentity)) {
            throw new IllegalArgumentException("AnswerCrossEntropy is computed from scores, but the layer has the activation "
                    + activation + ": give it Activation.IDENTITY");
        }
        if (scores.size(1) % 2 != 0 || labels.rank() != 2 || labels.size(0) != scores.size(0) || labels.size(1) != 2) {
            throw new IllegalArgumentException("Positions have shape " + Arrays.toString(labels.shape()) + ", and scores "
                    + Arrays.toString(scores.shape()) + ", but they must be [minibatch, 2], of the first and of the last token "
                    + "of an answer, and [minibatch, 2·tokens]");
        }
        int[] positions = WholeNumbers.in(labels, "Position", "(loss: AnswerCrossEntropy)");
        for (int text = 0; 2 * text < positions.length; text++) {
            int first = positions[2 * text];
            int last = positions[2 * text + 1];
            if (last >= 0 && last < first) {
                throw new IllegalArgumentException("The answer of text " + text + " ends with token " + last + ", before it "
                        + "begins with token " + first + ": labels are the first token and then the last, and both "
                        + TiedDecoder.IGNORED + " for a text without an answer");
            }
        }
        return positions;
    }

    /**
     * Scores of the first or of the last tokens, of texts whose position counts.
     *
     * @param texts     which
     * @param positions of each
     */
    private record Part(INDArray scores, int[] texts, int[] positions) {

        static Part of(int part, int[] whole, INDArray all) {
            int tokens = (int) (all.size(1) / 2);
            int[] texts = new int[(int) all.size(0)];
            int[] positions = new int[texts.length];
            int size = 0;
            for (int text = 0; text < texts.length; text++) {
                int position = whole[2 * text + part];
                if (position < 0 && position != TiedDecoder.IGNORED) {
                    throw new IllegalArgumentException("Position " + position + " of text " + text + " is neither a token, "
                            + "counted from 0, nor " + TiedDecoder.IGNORED + ", which is for what does not count");
                }
                if (position >= 0 && position < tokens) {
                    if (all.getDouble(text, (long) part * tokens + position) <= AnswerScores.NEVER) {
                        throw new IllegalArgumentException("Position " + position + " of text " + text + " is padding: positions "
                                + "are of the tokens of a text, counted from 0");
                    }
                    texts[size] = text;
                    positions[size++] = position;
                }
            }
            INDArray scores = all.get(NDArrayIndex.all(), NDArrayIndex.interval((long) part * tokens, (part + 1L) * tokens));
            int[] counted = Arrays.copyOf(texts, size);
            return new Part(size == 0 ? null : Nd4j.pullRows(scores.dup('c'), 1, counted, 'c'), counted,
                    Arrays.copyOf(positions, size));
        }

        void requireSome() {
            if (texts.length == 0) {
                throw new IllegalArgumentException("No position of the minibatch is in its text, so there is no mean loss: leave "
                        + "out minibatches in which none is");
            }
        }
    }

    /** {@return the mean, or the mean times the minibatch, by which DL4J divides} */
    @Override
    public double computeScore(INDArray labels, INDArray scores, IActivation activation, INDArray mask, boolean average) {
        int[] positions = positions(labels, scores, activation, mask);
        double sum = 0;
        for (int i = 0; i < 2; i++) {
            Part part = Part.of(i, positions, scores);
            part.requireSome();
            sum += Arrays.stream(TokenCrossEntropy.losses(part.scores, part.positions)).average().orElseThrow() / 2;
        }
        return average ? sum : sum * scores.size(0);
    }

    /** {@return half the sum of both losses of each text, {@code [minibatch, 1]}; 0 for what does not count} */
    @Override
    public INDArray computeScoreArray(INDArray labels, INDArray scores, IActivation activation, INDArray mask) {
        int[] positions = positions(labels, scores, activation, mask);
        double[] sums = new double[(int) scores.size(0)];
        for (int i = 0; i < 2; i++) {
            Part part = Part.of(i, positions, scores);
            double[] losses = part.texts.length == 0 ? new double[0] : TokenCrossEntropy.losses(part.scores, part.positions);
            for (int text = 0; text < losses.length; text++) {
                sums[part.texts[text]] += losses[text] / 2;
            }
        }
        return Nd4j.createFromArray(sums).castTo(scores.dataType()).reshape(sums.length, 1);
    }

    /** Times the minibatch, by which DL4J divides. */
    @Override
    public INDArray computeGradient(INDArray labels, INDArray scores, IActivation activation, INDArray mask) {
        int[] positions = positions(labels, scores, activation, mask);
        long tokens = scores.size(1) / 2;
        INDArray gradient = Nd4j.zeros(scores.dataType(), scores.shape());
        for (int i = 0; i < 2; i++) {
            Part part = Part.of(i, positions, scores);
            part.requireSome();
            TokenCrossEntropy.toGradient(part.scores, part.positions, scores.size(0) / (2.0 * part.texts.length));
            for (int text = 0; text < part.texts.length; text++) {
                gradient.get(NDArrayIndex.point(part.texts[text]), NDArrayIndex.interval(i * tokens, (i + 1) * tokens))
                        .assign(part.scores.getRow(text));
            }
        }
        return gradient;
    }
}
