package io.github.dl4jlora.transformers;

import java.util.Map;
import java.util.TreeMap;

/**
 * The sizes of a transformer.
 *
 * @param family       how it is wired, and what its modules are called
 * @param vocabulary   number of token ids
 * @param positions    rows of the position embeddings; see {@link #longestText}
 * @param tokenTypes   rows of the token type embeddings; 0 for none. Every token is of the first type, unless a network has an
 *                     input of types
 * @param hidden       width of a token's vector
 * @param intermediate width of the feed-forward part
 * @param layers       number of transformer layers
 * @param heads        attention heads of a layer; they share {@code hidden} equally
 * @param epsilon      what layer normalisation adds to the variance
 * @param activation   of the feed-forward part
 * @param padding      the token id that is padding; {@link #NO_TOKEN} where the model has none
 * @param tied         whether a language model's decoder uses the word embeddings as its matrix
 */
public record TransformerShape(Family family, int vocabulary, int positions, int tokenTypes, int hidden, int intermediate,
                               int layers, int heads, double epsilon, Nonlinearity activation, int padding, boolean tied) {

    /** The padding id of models that have no padding token. */
    public static final int NO_TOKEN = -1;

    /** all-MiniLM-L6-v2. */
    public static final TransformerShape MINI_LM_L6 = bert(30522, 512, 384, 1536, 6, 12);
    /** bert-base-uncased. */
    public static final TransformerShape BERT_BASE = bert(30522, 512, 768, 3072, 12, 12);
    /** xlm-roberta-base. */
    public static final TransformerShape XLM_ROBERTA_BASE = xlmRoberta(250002, 514, 768, 3072, 12, 12);
    /** camembert-base. */
    public static final TransformerShape CAMEMBERT_BASE = camembert(32005, 514, 768, 3072, 12, 12);
    /** microsoft/mpnet-base, and all-mpnet-base-v2. */
    public static final TransformerShape MPNET_BASE = mpnet(30527, 514, 768, 3072, 12, 12);

    /**
     * @throws IllegalArgumentException for a size below 1, heads that do not divide hidden, an epsilon that is not above 0, a
     *                                  padding id outside the vocabulary, or positions that leave no room for a token
     */
    public TransformerShape {
        Map<String, Integer> sizes = new TreeMap<>(Map.of("vocabulary", vocabulary, "positions", positions, "hidden", hidden,
                "intermediate", intermediate, "layers", layers, "heads", heads));
        sizes.forEach((name, size) -> require(size >= 1, family, name + " is " + size + ", but must be at least 1"));
        require(tokenTypes >= 0, family, "tokenTypes is " + tokenTypes + ", but must be 0 for none, or more");
        require(hidden % heads == 0, family, "hidden is " + hidden + ", which " + heads + " heads cannot share equally");
        require(epsilon > 0 && epsilon < 1, family, "epsilon is " + epsilon + ", but must be above 0 and below 1");
        require(padding >= NO_TOKEN && padding < vocabulary, family, "padding is " + padding
                + ", but must be a token id below the vocabulary of " + vocabulary + ", or " + NO_TOKEN + " for none");
        require(positions > firstPosition(family, padding), family, "positions is " + positions + ", but the first token has "
                + "position " + firstPosition(family, padding));
    }

    /** With a tied decoder. */
    public TransformerShape(Family family, int vocabulary, int positions, int tokenTypes, int hidden, int intermediate,
                            int layers, int heads, double epsilon, Nonlinearity activation, int padding) {
        this(family, vocabulary, positions, tokenTypes, hidden, intermediate, layers, heads, epsilon, activation, padding, true);
    }

    /** {@return the same, but with a language model's decoder that has a matrix of its own, {@code [vocabulary, hidden]}} */
    public TransformerShape untied() {
        return new TransformerShape(family, vocabulary, positions, tokenTypes, hidden, intermediate, layers, heads, epsilon,
                activation, padding, false);
    }

    /**
     * {@return the same, but with another padding id}
     *
     * @throws IllegalArgumentException as the constructor
     */
    public TransformerShape padded(int id) {
        return new TransformerShape(family, vocabulary, positions, tokenTypes, hidden, intermediate, layers, heads, epsilon,
                activation, id, tied);
    }

    /** {@return whether the tokens of a second text may have another type than those of the first} */
    public boolean hasTextTypes() {
        return tokenTypes > 1;
    }

    private static void require(boolean condition, Family family, String message) {
        if (!condition) {
            throw new IllegalArgumentException("A transformer of the family " + family + ": " + message);
        }
    }

    private static int firstPosition(Family family, int padding) {
        return family.countsPositionsFromPadding() ? padding + 1 : 0;
    }

    /** {@return BERT with two token types, epsilon 1e-12, exact GELU and padding 0} */
    public static TransformerShape bert(int vocabulary, int positions, int hidden, int intermediate, int layers, int heads) {
        return new TransformerShape(Family.BERT, vocabulary, positions, 2, hidden, intermediate, layers, heads, 1e-12,
                Nonlinearity.GELU, 0);
    }

    /** {@return RoBERTa with one token type, epsilon 1e-5, exact GELU and padding 1} */
    public static TransformerShape roberta(int vocabulary, int positions, int hidden, int intermediate, int layers, int heads) {
        return likeRoberta(Family.ROBERTA, vocabulary, positions, 1, hidden, intermediate, layers, heads);
    }

    /** {@return XLM-RoBERTa with one token type, epsilon 1e-5, exact GELU and padding 1} */
    public static TransformerShape xlmRoberta(int vocabulary, int positions, int hidden, int intermediate, int layers,
                                              int heads) {
        return likeRoberta(Family.XLM_ROBERTA, vocabulary, positions, 1, hidden, intermediate, layers, heads);
    }

    /** {@return CamemBERT with one token type, epsilon 1e-5, exact GELU and padding 1} */
    public static TransformerShape camembert(int vocabulary, int positions, int hidden, int intermediate, int layers, int heads) {
        return likeRoberta(Family.CAMEMBERT, vocabulary, positions, 1, hidden, intermediate, layers, heads);
    }

    /** {@return MPNet, with epsilon 1e-5, exact GELU, padding 1 and no token types} */
    public static TransformerShape mpnet(int vocabulary, int positions, int hidden, int intermediate, int layers, int heads) {
        return likeRoberta(Family.MPNET, vocabulary, positions, 0, hidden, intermediate, layers, heads);
    }

    private static TransformerShape likeRoberta(Family family, int vocabulary, int positions, int types, int hidden,
                                                int intermediate, int layers, int heads) {
        return new TransformerShape(family, vocabulary, positions, types, hidden, intermediate, layers, heads, 1e-5,
                Nonlinearity.GELU, 1);
    }

    /** {@return DistilBERT with epsilon 1e-12, exact GELU and padding 0} */
    public static TransformerShape distilBert(int vocabulary, int positions, int hidden, int intermediate, int layers,
                                              int heads) {
        return new TransformerShape(Family.DISTILBERT, vocabulary, positions, 0, hidden, intermediate, layers, heads, 1e-12,
                Nonlinearity.GELU, 0);
    }

    /** {@return GPT-2 with a feed-forward part four times as wide, epsilon 1e-5, GELU by tanh, and no token for padding} */
    public static TransformerShape gpt2(int vocabulary, int positions, int hidden, int layers, int heads) {
        return new TransformerShape(Family.GPT2, vocabulary, positions, 0, hidden, 4 * hidden, layers, heads, 1e-5,
                Nonlinearity.GELU_NEW, NO_TOKEN);
    }

    /** {@return the longest text that has a position for each token} */
    public int longestText() {
        return positions - firstPosition(family, padding);
    }
}
