package io.github.dl4jlora.transformers;

import io.github.dl4jlora.transformers.layer.AnswerScores;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * An answer in a text.
 *
 * @param first its first token, counted from 0
 * @param last  its last token
 * @param score the score of the first token as such and that of the last; larger is more likely
 */
public record Answer(int first, int last, double score) {

    /**
     * {@return the best answer of each text: of all first and last tokens those with the largest score}
     *
     * @param scores  of {@link Head#questionAnswering}, {@code [minibatch, 2·tokens]}
     * @param within  {@code [minibatch, tokens]}, 1 for tokens that may be part of an answer and 0 for others: types of tokens,
     *                or their like in families without types; with 1 at token 0, that token alone is "no answer", as in SQuAD 2
     * @param longest most tokens of an answer
     * @throws IllegalArgumentException if shapes differ, longest is below 1, or no token of a text may be part of an answer
     */
    public static List<Answer> best(INDArray scores, INDArray within, int longest) {
        int tokens = (int) within.size(1);
        if (scores.rank() != 2 || scores.size(0) != within.size(0) || scores.size(1) != 2L * tokens || longest < 1) {
            throw new IllegalArgumentException("Scores have shape " + Arrays.toString(scores.shape()) + ", tokens that may be "
                    + "part of an answer " + Arrays.toString(within.shape()) + ", and answers at most " + longest
                    + " tokens, but they must be [minibatch, 2·tokens], [minibatch, tokens] and 1 or more");
        }
        List<Answer> best = new ArrayList<>();
        for (int text = 0; text < scores.size(0); text++) {
            best.add(best(scores.getRow(text).toDoubleVector(), within.getRow(text).toDoubleVector(), longest, text));
        }
        return best;
    }

    private static Answer best(double[] scores, double[] within, int longest, int text) {
        int tokens = within.length;
        Answer best = null;
        for (int first = 0; first < tokens; first++) {
            for (int last = first; last < Math.min(tokens, first + longest) && within[last] != 0
                    && scores[last] > AnswerScores.NEVER; last++) {
                double score = scores[first] + scores[tokens + last];
                best = best == null || score > best.score ? new Answer(first, last, score) : best;
            }
        }
        if (best == null) {
            throw new IllegalArgumentException("No token of text " + text + " may be part of an answer: give 1 for the tokens of "
                    + "the text that answers, [minibatch, tokens]");
        }
        return best;
    }

    /** {@return whether these are its first and last token} */
    public boolean isExactly(int otherFirst, int otherLast) {
        return first == otherFirst && last == otherLast;
    }

    /**
     * {@return the harmonic mean of precision and recall of its tokens, as in SQuAD (Rajpurkar et al. 2016, arXiv:1606.05250,
     * section 6.1), there of words}
     *
     * @param otherFirst first token of the right answer
     * @param otherLast  last token of the right answer
     */
    public double f1(int otherFirst, int otherLast) {
        int common = Math.max(0, Math.min(last, otherLast) - Math.max(first, otherFirst) + 1);
        return 2.0 * common / (last - first + 1 + otherLast - otherFirst + 1);
    }
}
