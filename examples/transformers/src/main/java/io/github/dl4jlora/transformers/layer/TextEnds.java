package io.github.dl4jlora.transformers.layer;

import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.Arrays;

/**
 * Where the texts of a minibatch end. A text ends with its last id that is not the padding id. Ids alone do not distinguish
 * padding before that from a text that contains the padding token, so a mask of features has to mark such a token.
 */
final class TextEnds {

    /** Otherwise a user who corrects the mask would be refused because of the previous one. */
    private static final String KEPT = ". DL4J keeps the masks of a pass that failed: call clearLayerMaskArrays() before the "
            + "next pass ";

    private TextEnds() {
    }

    /**
     * {@return the number of tokens of each text}
     *
     * @param ids     of all texts, one text after the other
     * @param tokens  ids of each text, padding included
     * @param padding the id that is padding
     * @param where   for messages
     * @throws IllegalArgumentException if a text has no token
     */
    static int[] lengths(int[] ids, int tokens, int padding, String where) {
        int[] lengths = new int[ids.length / tokens];
        for (int text = 0; text < lengths.length; text++) {
            int length = tokens;
            while (length > 0 && ids[text * tokens + length - 1] == padding) {
                length--;
            }
            if (length == 0) {
                throw new IllegalArgumentException("Text " + text + " of the minibatch has no token, only padding, the id "
                        + padding + ". Even an empty text has a token that begins or ends it, such as [CLS] and [SEP]: was it "
                        + "tokenized by the model's own tokenizer? " + where);
            }
            lengths[text] = length;
        }
        return lengths;
    }

    /**
     * Checks that padding is only at the ends of texts, and that a mask agrees with the ids.
     *
     * @param mask {@code [minibatch, tokens]}, 1 for the tokens of a text and 0 for its padding; null for none
     * @throws IllegalArgumentException naming the text and its token, if a text has no token; if there is no mask and a text has
     *                                  the padding id before its last token; if the mask has another shape or another value, or
     *                                  ends a text elsewhere than the ids do
     */
    static void require(int[] ids, int tokens, int padding, INDArray mask, String where) {
        int[] lengths = lengths(ids, tokens, padding, where);
        double[] values = mask == null ? null : values(mask, lengths.length, tokens, where);
        for (int text = 0; text < lengths.length; text++) {
            if (values != null) {
                requireSame(values, text, tokens, lengths[text], padding, where);
            }
            if (values == null || padding < 0) {
                requireNoneInside(ids, text, tokens, lengths[text], padding, where);
            }
        }
    }

    private static double[] values(INDArray mask, int texts, int tokens, String where) {
        if (mask.rank() != 2 || mask.size(0) != texts || mask.size(1) != tokens) {
            throw new IllegalArgumentException("The mask of features has shape " + Arrays.toString(mask.shape())
                    + ", but the token ids have shape [" + texts + ", " + tokens + "]: give a mask of the ids' shape, 1 for the "
                    + "tokens of a text and 0 for the padding after them, or none" + KEPT + where);
        }
        return mask.dup('c').data().asDouble();
    }

    private static void requireSame(double[] mask, int text, int tokens, int length, int padding, String where) {
        for (int i = 0; i < tokens; i++) {
            double value = mask[text * tokens + i];
            if (value != (i < length ? 1 : 0)) {
                throw new IllegalArgumentException("The mask of features is " + value + " at token " + i + " of text " + text
                        + ", but according to its token ids the text has " + length + " tokens" + (length == tokens ? " and no "
                        + "padding"
                        : " and padding, the id " + padding + ", after them") + ". A mask has 1 for the tokens of a text and 0 "
                        + "for the padding after them: correct the mask or the ids, or give no mask" + KEPT + where);
            }
        }
    }

    private static void requireNoneInside(int[] ids, int text, int tokens, int length, int padding, String where) {
        for (int i = 0; i < length; i++) {
            if (ids[text * tokens + i] == padding) {
                throw new IllegalArgumentException("Text " + text + " of the minibatch has padding, the id " + padding + ", "
                        + (i == 0 ? "at its beginning" : "inside, as token " + i) + ": its last token is number " + (length - 1)
                        + ", counted from 0. Pad on the right: only ids after the last token of a text count as padding."
                        + (padding < 0 ? "" : " If the text really has the token " + padding + " there, give a mask of features, "
                        + "[minibatch, tokens], 1 for the tokens of a text and 0 for the padding after them") + " " + where);
            }
        }
    }
}
