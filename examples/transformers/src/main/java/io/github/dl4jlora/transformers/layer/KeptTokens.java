package io.github.dl4jlora.transformers.layer;

import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.Arrays;
import java.util.stream.IntStream;

/**
 * The tokens of a minibatch's texts that are no padding. Without a mask of features, every padding id is padding. Ids alone do
 * not distinguish padding from a text that contains the padding token, so a mask has to mark such a token.
 */
final class KeptTokens {

    /** Otherwise a user who corrects the mask would be refused because of the previous one. */
    private static final String KEPT = ". DL4J keeps the masks of a pass that failed: call clearLayerMaskArrays() before the "
            + "next pass ";

    private final int[] ids;
    private final boolean[] kept;
    private final int tokens;
    private final int padding;
    private final int[] firsts;
    private final int[] ends;

    private KeptTokens(int[] ids, boolean[] kept, int tokens, int padding) {
        this.ids = ids;
        this.kept = kept;
        this.tokens = tokens;
        this.padding = padding;
        this.firsts = new int[ids.length / tokens];
        this.ends = new int[ids.length / tokens];
        for (int text = 0; text < texts(); text++) {
            int end = tokens;
            while (end > 0 && !isKept(text, end - 1)) {
                end--;
            }
            int first = 0;
            while (first < end && !isKept(text, first)) {
                first++;
            }
            ends[text] = end;
            firsts[text] = first;
        }
    }

    /**
     * @param ids     of all texts, one text after the other
     * @param tokens  ids of each text, padding included
     * @param padding the id that is padding
     * @param mask    {@code [minibatch, tokens]}, 1 for the tokens of a text and 0 for its padding; null for none
     * @param where   for messages
     * @throws IllegalArgumentException if a text has no token; if the mask has another shape
     */
    static KeptTokens of(int[] ids, int tokens, int padding, INDArray mask, String where) {
        boolean[] kept = new boolean[ids.length];
        double[] values = mask == null ? null : values(mask, ids.length / tokens, tokens, where);
        for (int i = 0; i < ids.length; i++) {
            kept[i] = values == null ? ids[i] != padding : values[i] != 0;
        }
        KeptTokens texts = new KeptTokens(ids, kept, tokens, padding);
        for (int text = 0; text < texts.texts(); text++) {
            if (texts.end(text) == 0) {
                throw new IllegalArgumentException("Text " + text + " of the minibatch has no token, only padding, "
                        + (mask == null ? "the id " + padding : "according to the mask of features") + ". Even an empty text has "
                        + "a token that begins or ends it, such as [CLS] and [SEP]: was it tokenized by the model's own "
                        + "tokenizer? " + where);
            }
        }
        return texts;
    }

    private static double[] values(INDArray mask, int texts, int tokens, String where) {
        if (mask.rank() != 2 || mask.size(0) != texts || mask.size(1) != tokens) {
            throw new IllegalArgumentException("The mask of features has shape " + Arrays.toString(mask.shape())
                    + ", but the token ids have shape [" + texts + ", " + tokens + "]: give a mask of the ids' shape, 1 for the "
                    + "tokens of a text and 0 for its padding, or none" + KEPT + where);
        }
        return mask.dup('c').data().asDouble();
    }

    /**
     * Checks that a mask agrees with the ids.
     *
     * @param mask        as in {@link #of}
     * @param paddingEnds whether the padding id may be a token that ends or begins texts, too
     * @throws IllegalArgumentException naming the text and its token, if a text has no token; if the mask has another shape, or a
     *                                  value that is neither 0 nor 1; if it is 0 at a token; if it is 1 where no token can be: at
     *                                  a padding id that is not in the vocabulary, or, unless it ends texts, that comes after the
     *                                  last token; if there is no mask, and an id that ends texts, too, comes before others
     */
    static void require(int[] ids, int tokens, int padding, INDArray mask, boolean paddingEnds, String where) {
        if (mask == null) {
            KeptTokens texts = of(ids, tokens, padding, null, where);
            for (int text = 0; paddingEnds && padding >= 0 && text < texts.texts(); text++) {
                int[] gaps = texts.gaps(text, texts.end(text));
                if (gaps.length > 0) {
                    throw new IllegalArgumentException("Text " + text + " of the minibatch has the padding id " + padding
                            + " before its last token, as token " + gaps[0] + ". It may be padding or the token that begins and "
                            + "ends texts: give a mask of features, [minibatch, tokens], 1 for the tokens of a text and 0 for "
                            + "its padding, or pad on the right " + where);
                }
            }
            return;
        }
        double[] values = values(mask, ids.length / tokens, tokens, where);
        for (int text = 0; text < ids.length / tokens; text++) {
            int end = tokens;
            while (end > 0 && ids[text * tokens + end - 1] == padding) {
                end--;
            }
            for (int i = 0; i < tokens; i++) {
                double value = values[text * tokens + i];
                int id = ids[text * tokens + i];
                boolean mayBeToken = id != padding || padding >= 0 && (paddingEnds || i < end);
                if (value != 1 && value != 0 || value == 0 && id != padding || value == 1 && !mayBeToken) {
                    throw new IllegalArgumentException("The mask of features is " + value + " at token " + i + " of text " + text
                            + ", but the token id there, " + id + ", is " + (id != padding ? "no padding"
                            : "padding" + (mayBeToken ? "" : ", and no token of the text comes after it"))
                            + ". A mask has 1 for the tokens of a text and 0 for its padding, the id " + padding
                            + ": correct the mask or the ids, or give no mask" + KEPT + where);
                }
            }
        }
        of(ids, tokens, padding, mask, where);
    }

    int texts() {
        return firsts.length;
    }

    /** Of each text, padding included. */
    int tokens() {
        return tokens;
    }

    boolean isKept(int text, int token) {
        return kept[text * tokens + token];
    }

    /** {@return the first token of a text that is no padding} */
    int first(int text) {
        return firsts[text];
    }

    /** {@return where a text ends: after its last token that is no padding} */
    int end(int text) {
        return ends[text];
    }

    /** {@return the last token of a text that has another id than padding; its last token where none has} */
    int last(int text) {
        for (int i = end(text) - 1; i >= 0; i--) {
            if (isKept(text, i) && ids[text * tokens + i] != padding) {
                return i;
            }
        }
        return end(text) - 1;
    }

    /** {@return the tokens of a text that are no padding, in order} */
    int[] of(int text) {
        return IntStream.range(first(text), end(text)).filter(token -> isKept(text, token)).toArray();
    }

    /** {@return the padding among the first tokens of a text} */
    int[] gaps(int text, int tokens) {
        return IntStream.range(0, tokens).filter(token -> !isKept(text, token)).toArray();
    }
}
