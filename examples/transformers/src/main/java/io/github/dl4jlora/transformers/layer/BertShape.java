package io.github.dl4jlora.transformers.layer;

/**
 * The sizes of a BERT encoder.
 *
 * @param vocabulary   number of token ids; 0 is padding
 * @param positions    the longest text, in tokens
 * @param hidden       width of a token's vector
 * @param intermediate width of the feed-forward part
 * @param layers       number of transformer layers
 * @param heads        attention heads of a layer; they share {@code hidden} equally
 */
public record BertShape(int vocabulary, int positions, int hidden, int intermediate, int layers, int heads) {

    /** all-MiniLM-L6-v2. */
    public static final BertShape MINI_LM_L6 = new BertShape(30522, 512, 384, 1536, 6, 12);

    /**
     * @throws IllegalArgumentException for a size below 1, or heads that do not divide hidden
     */
    public BertShape {
        if (Math.min(Math.min(Math.min(vocabulary, positions), Math.min(hidden, intermediate)), Math.min(layers, heads)) < 1) {
            throw new IllegalArgumentException("A BERT encoder of vocabulary " + vocabulary + ", positions " + positions
                    + ", hidden "
                    + hidden + ", intermediate " + intermediate + ", layers " + layers + ", heads " + heads
                    + ": each must be at least 1");
        }
        if (hidden % heads != 0) {
            throw new IllegalArgumentException("hidden is " + hidden + ", which " + heads + " heads cannot share equally");
        }
    }
}
