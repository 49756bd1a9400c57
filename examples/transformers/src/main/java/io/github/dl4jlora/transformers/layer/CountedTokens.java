package io.github.dl4jlora.transformers.layer;

import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.Arrays;

/** The rows of a language model's output whose tokens count, in order, and their labels. */
final class CountedTokens {

    private final int[] rows;
    private final int[] labels;
    private final int texts;
    private final int rowsOfText;

    private CountedTokens(int[] rows, int[] labels, int texts, int rowsOfText) {
        this.rows = rows;
        this.labels = labels;
        this.texts = texts;
        this.rowsOfText = rowsOfText;
    }

    /**
     * @param labels  {@code [minibatch, k]}
     * @param mask    {@code [minibatch, k]}, 0 for labels that do not count and 1 for all others; null for none
     * @param texts   minibatch
     * @param rows    minibatch · k
     * @param decoder whose vocabulary the labels are of
     * @param kept    the tokens of the texts that are no padding, for a decoder whose rows tell the next token; null if all may
     *                be
     * @param layer   for messages
     * @throws IllegalArgumentException for labels or a mask of another shape, a label that is neither a token id nor
     *                                  {@link TiedDecoder#IGNORED}, or a mask that is neither 0 nor 1
     */
    static CountedTokens of(INDArray labels, INDArray mask, long texts, long rows, TiedDecoder decoder, KeptTokens kept,
                            String layer) {
        return of(labels, mask, texts, rows, decoder.getNOut(), decoder.isShifted() ? 1 : 0, kept, "a token id", layer);
    }

    /** As the above, of classes of tokens. */
    static CountedTokens ofClasses(INDArray labels, INDArray mask, long rows, long classes, String layer) {
        return of(labels, mask, labels.size(0), rows, classes, 0, null, "a class", layer);
    }

    private static CountedTokens of(INDArray labels, INDArray mask, long texts, long rows, long classes, int shift,
                                    KeptTokens kept, String what, String layer) {
        if (labels.rank() != 2 || labels.size(0) != texts || labels.length() != rows) {
            throw new IllegalArgumentException("Labels have shape " + Arrays.toString(labels.shape()) + ", but there are " + rows
                    + " rows of logits of " + texts + " texts: give " + what + " for each, [minibatch, k], and "
                    + TiedDecoder.IGNORED + " for tokens that do not count"
                    + (labels.length() == rows * classes ? "; one-hot labels are not taken " : " ") + layer);
        }
        int k = (int) labels.size(1);
        double[] ids = labels.dup('c').data().asDouble();
        double[] counts = mask == null ? null : mask(mask, labels, layer);
        int[] counted = new int[ids.length];
        int[] their = new int[ids.length];
        int size = 0;
        for (int i = 0; i < ids.length; i++) {
            int id = requireLabel(ids[i], i, k, classes, what, layer);
            // No token comes before the first of a text, also if padding does.
            int first = shift + (kept == null ? 0 : kept.first(i / k));
            if (id != TiedDecoder.IGNORED && i % k >= first && (counts == null || counts[i] == 1)) {
                counted[size] = i - shift;
                their[size++] = id;
            }
        }
        return new CountedTokens(Arrays.copyOf(counted, size), Arrays.copyOf(their, size), (int) labels.size(0), k);
    }

    private static double[] mask(INDArray mask, INDArray labels, String layer) {
        if (!mask.equalShapes(labels)) {
            throw new IllegalArgumentException("The mask of labels has shape " + Arrays.toString(mask.shape())
                    + ", but the labels have shape " + Arrays.toString(labels.shape())
                    + ": give 0 for a label that does not count and 1 for all "
                    + "others, or no mask, and the label " + TiedDecoder.IGNORED + " for tokens that do not count " + layer);
        }
        double[] values = mask.dup('c').data().asDouble();
        for (int i = 0; i < values.length; i++) {
            if (values[i] != 0 && values[i] != 1) {
                throw new IllegalArgumentException("The mask of labels is " + values[i] + " at token " + i % labels.size(1)
                        + " of text " + i / labels.size(1) + ": give 0 for a label that does not count and 1 for all others "
                        + layer);
            }
        }
        return values;
    }

    private static int requireLabel(double label, int index, int k, long classes, String what, String layer) {
        int id = (int) label;
        if (id != label || id != TiedDecoder.IGNORED && (id < 0 || id >= classes)) {
            throw new IllegalArgumentException("Label " + label + " of token " + index % k + " of text " + index / k
                    + " is neither " + what + " below " + classes + " nor " + TiedDecoder.IGNORED
                    + ", which is for tokens that do not count " + layer);
        }
        return id;
    }

    /**
     * @throws IllegalArgumentException if no label counts, so that there is no mean loss
     */
    void requireSome(String layer) {
        if (size() == 0) {
            throw new IllegalArgumentException("No label of the minibatch counts, so there is no mean loss (a causal model does "
                    + "not count the labels of first tokens, which no token comes before): leave out minibatches in which no "
                    + "token counts " + layer);
        }
    }

    int size() {
        return rows.length;
    }

    int[] rows() {
        return rows;
    }

    int[] labels(int from, int to) {
        return Arrays.copyOfRange(labels, from, to);
    }

    /** Means over each text's losses; 0 where it has none. */
    double[] meansOfTexts(double[] losses) {
        double[] means = new double[texts];
        int[] counts = new int[texts];
        for (int i = 0; i < losses.length; i++) {
            means[rows[i] / rowsOfText] += losses[i];
            counts[rows[i] / rowsOfText]++;
        }
        for (int text = 0; text < texts; text++) {
            means[text] /= Math.max(1, counts[text]);
        }
        return means;
    }
}
