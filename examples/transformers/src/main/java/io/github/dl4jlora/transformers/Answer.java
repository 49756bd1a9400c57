package io.github.dl4jlora.transformers;

import io.github.dl4jlora.transformers.layer.AnswerScores;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;

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
     * @param within  {@code [minibatch, tokens]}, 1 for tokens that may be part of an answer and 0 for others:
     *                {@link #secondTexts}; types of tokens would count the separator that ends the text, too. With 1 at token 0,
     *                that token alone is "no answer", as in SQuAD 2
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

    /**
     * {@return 1 for the tokens of second texts and 0 for others, of the ids' shape: those between the last two separators} In
     * RoBERTa and its kin the separator stands twice between the texts.
     *
     * @param ids       token ids of pairs, {@code [minibatch, tokens]}
     * @param separator id of the token that ends a text, [SEP] or {@code </s>}
     * @throws IllegalArgumentException if ids are no matrix, a text has less than two separators, or nothing between the last two
     */
    public static INDArray secondTexts(INDArray ids, int separator) {
        Objects.requireNonNull(ids, "The token ids are null: give those of pairs of texts, [minibatch, tokens]");
        if (ids.rank() != 2) {
            throw new IllegalArgumentException("Token ids have shape " + Arrays.toString(ids.shape()) + ", but must be "
                    + "[minibatch, tokens]. Give ids of one pair of texts as [1, tokens]");
        }
        INDArray within = Nd4j.zeros(ids.dataType(), ids.shape());
        for (int text = 0; text < ids.size(0); text++) {
            double[] row = ids.getRow(text).toDoubleVector();
            int end = before(row, row.length, separator);
            int start = before(row, end, separator);
            if (start < 0 || end - start < 2) {
                throw new IllegalArgumentException("Text " + text + " has no second text, which lies between the last two of its "
                        + "separators, the id " + separator + ": give pairs of texts, and the id of the tokenizer's [SEP] or "
                        + "</s>");
            }
            within.get(NDArrayIndex.point(text), NDArrayIndex.interval(start + 1, end)).assign(1);
        }
        return within;
    }

    /** The last separator before a place; -1 if there is none. */
    private static int before(double[] ids, int place, int separator) {
        int found = place - 1;
        while (found >= 0 && ids[found] != separator) {
            found--;
        }
        return found;
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
