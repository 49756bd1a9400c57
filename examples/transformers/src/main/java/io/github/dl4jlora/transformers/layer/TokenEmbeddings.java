package io.github.dl4jlora.transformers.layer;

import io.github.dl4jlora.conf.TorchNames;
import io.github.dl4jlora.conf.TorchParameter;
import io.github.dl4jlora.footprint.Footprint;
import io.github.dl4jlora.footprint.Passage;
import io.github.dl4jlora.footprint.Rows;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * The first layer of a transformer: {@code row[b·tokens + t] = W[id[b, t]] + P[position of t] + T[type[b, t]]}.
 *
 * <pre>
 * input    token ids  [minibatch, tokens]; if it is typed, those and their types, [minibatch, 2·tokens], of {@link TypedIds}
 * output              [minibatch · tokens, hidden]
 * W        words      [vocabulary, hidden]
 * P        positions  [positions, hidden]
 * T        types      [types, hidden]; left out where there are none. Every token is of the first type, unless it is typed
 * </pre>
 *
 * <p>The position of token t is t; in RoBERTa, padding + the number of tokens up to t that are not padding, and the padding id
 * for those that are. The padding id -1, which is not a token, is looked up as token 0.
 *
 * <p>Padding may be anywhere. Without a mask of features, {@code [minibatch, tokens]}, it is where the padding id is; in GPT-2,
 * whose padding id may also be the token that ends texts, a text with that id before its last token is refused then. A mask has 1
 * for the tokens of a text, even those with the padding id, and 0 for padding; a mask that contradicts the ids is refused.
 *
 * <p>Every transformer has exactly one such layer. So this layer also gives adapter files the names of PyTorch's modules for the
 * other layers, most of which are stock layers.
 */
public final class TokenEmbeddings extends MatrixConfiguration implements TorchNames {

    /** Key of the word embeddings, which a {@link TiedDecoder} multiplies by too, and of a {@link VocabularyMatrix}. */
    public static final String WORDS = "W";
    static final String POSITIONS = "P";
    static final String TYPES = "T";

    private static final long serialVersionUID = 1L;
    /** The same for all families. */
    private static final double STANDARD_DEVIATION = 0.02;

    private long positions;
    // Defaults for configurations that were saved before these fields existed.
    private long types = 2;
    private int padding;
    private boolean positionsFromPadding;
    private ModuleNames names = ModuleNames.BERT;
    private boolean typed;

    TokenEmbeddings() {
        // For JSON.
    }

    private TokenEmbeddings(Builder builder) {
        super(builder.vocabulary, builder.hidden);
        this.positions = builder.positions;
        this.types = builder.types;
        this.padding = builder.padding;
        this.positionsFromPadding = builder.positionsFromPadding;
        this.names = builder.names;
        this.typed = builder.typed;
    }

    /** Collects the sizes. */
    public static final class Builder {

        private final long vocabulary;
        private final long positions;
        private final long hidden;
        private long types;
        private int padding;
        private boolean positionsFromPadding;
        private ModuleNames names = ModuleNames.BERT;
        private boolean typed;

        /** No token types, padding 0, and BERT's names. */
        public Builder(long vocabulary, long positions, long hidden) {
            this.vocabulary = vocabulary;
            this.positions = positions;
            this.hidden = hidden;
        }

        /** Rows of the type embeddings; 0 for none. */
        public Builder types(long rows) {
            this.types = rows;
            return this;
        }

        /** The token id that is padding. */
        public Builder padding(int id) {
            this.padding = id;
            return this;
        }

        /** Whether positions count from the padding id on, over tokens that are not padding. */
        public Builder positionsFromPadding(boolean fromPadding) {
            this.positionsFromPadding = fromPadding;
            return this;
        }

        /** What PyTorch calls the parameters of the transformer that begins with these embeddings. */
        public Builder names(ModuleNames modules) {
            this.names = modules;
            return this;
        }

        /** Whether the input has the type of each token, beside the ids: {@link TypedIds}. */
        public Builder typed(boolean isTyped) {
            this.typed = isTyped;
            return this;
        }

        /**
         * {@return the layer}
         *
         * @throws IllegalArgumentException if it is typed, but has no types
         */
        public TokenEmbeddings build() {
            if (typed && types == 0) {
                throw new IllegalArgumentException("Embeddings without types cannot be typed: give types(rows), or leave out "
                        + "typed(true)");
            }
            return new TokenEmbeddings(this);
        }
    }

    public long getPositions() {
        return positions;
    }

    public long getTypes() {
        return types;
    }

    public int getPadding() {
        return padding;
    }

    public boolean isPositionsFromPadding() {
        return positionsFromPadding;
    }

    public boolean isTyped() {
        return typed;
    }

    public ModuleNames getNames() {
        return names;
    }

    @Override
    public List<TorchParameter> torchParameters(String name, Layer layer) {
        return names.parameters(name, layer);
    }

    /** The longest text that has a position for each token. */
    long longestText() {
        return positionsFromPadding ? positions - padding - 1 : positions;
    }

    /**
     * {@return a row for each token}
     *
     * @throws IllegalArgumentException for texts longer than there are positions
     */
    @Override
    public long rows(List<Rows> inputs) {
        long tokens = inputs.get(0).rowLength() / (typed ? 2 : 1);
        if (tokens > longestText() && !positionsFromPadding) {
            throw new IllegalArgumentException("Layer \"" + getLayerName() + "\" has positions for " + longestText()
                    + " tokens, but texts of " + tokens + " are planned: give InputType.feedForward(tokens) of what is "
                    + "trained on");
        }
        return inputs.get(0).number() * tokens;
    }

    /** Vectors of words are looked up where the output is, other vectors beside it. The ids have no gradient. */
    @Override
    public Footprint footprint(Passage passage) {
        int beside = (positionsFromPadding ? 1 : 0) + (typed ? 1 : 0);
        return new Footprint(passage.out(), beside * passage.out(), passage.out() / passage.input().number(), 0);
    }

    @Override
    public Map<String, long[]> matrices() {
        Map<String, long[]> shapes = new LinkedHashMap<>();
        shapes.put(WORDS, new long[]{nIn, nOut});
        shapes.put(POSITIONS, new long[]{positions, nOut});
        if (types > 0) {
            shapes.put(TYPES, new long[]{types, nOut});
        }
        return shapes;
    }

    @Override
    public boolean equals(Object other) {
        return super.equals(other) && other instanceof TokenEmbeddings that && positions == that.positions
                && types == that.types && padding == that.padding && positionsFromPadding == that.positionsFromPadding
                && names == that.names && typed == that.typed;
    }

    @Override
    public int hashCode() {
        return Objects.hash(super.hashCode(), positions, types, padding, positionsFromPadding, names, typed);
    }

    @Override
    void fill(Map<String, INDArray> matrices) {
        matrices.values().forEach(TokenEmbeddings::start);
    }

    static void start(INDArray matrix) {
        matrix.assign(Nd4j.randn(matrix.dataType(), matrix.shape()).muli(STANDARD_DEVIATION));
    }

    @Override
    MatrixLayer<?> runtime(NeuralNetConfiguration conf, DataType type) {
        return new TokenEmbeddingsRuntime(conf, type);
    }
}
