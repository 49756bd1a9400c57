package io.github.dl4jlora.transformers;

import io.github.dl4jlora.transformers.layer.MaxPooling;
import io.github.dl4jlora.transformers.layer.MeanPooling;
import io.github.dl4jlora.transformers.layer.PickedToken;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration.GraphBuilder;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.graph.MergeVertex;

import java.util.Arrays;
import java.util.List;

/**
 * How one vector of a text is made of its token vectors, padding left out: the modes of sentence-transformers' module
 * {@code Pooling}. Several at once stand side by side in the order in which
 * they are given.
 */
public enum Pooling {

    /** The first token, BERT's [CLS]. */
    FIRST_TOKEN("cls"),
    /** The largest value in each place. */
    MAXIMUM("max"),
    /** The mean. */
    MEAN("mean"),
    /** The sum, divided by the root of the number of tokens. */
    MEAN_SQRT_LENGTH("mean_sqrt_len_tokens"),
    /** The mean, in which the i-th token counts i times. */
    WEIGHTED_MEAN("weightedmean"),
    /** The last token. */
    LAST_TOKEN("lasttoken");

    private final String mode;

    Pooling(String mode) {
        this.mode = mode;
    }

    /** {@return the name that sentence-transformers has for it, such as {@code "cls"}} */
    public String mode() {
        return mode;
    }

    /**
     * {@return the vertex that pools, whose inputs are token vectors and token ids}
     *
     * @param padding the token id that is padding
     */
    public GraphVertex vertex(int padding) {
        return switch (this) {
            case FIRST_TOKEN -> new PickedToken(PickedToken.Which.FIRST, padding);
            case MAXIMUM -> new MaxPooling(padding);
            case MEAN -> new MeanPooling(padding);
            case MEAN_SQRT_LENGTH -> new MeanPooling(padding, MeanPooling.Weights.ROOT);
            case WEIGHTED_MEAN -> new MeanPooling(padding, MeanPooling.Weights.POSITION);
            case LAST_TOKEN -> new PickedToken(PickedToken.Which.LAST_KEPT, padding);
        };
    }

    /**
     * Adds {@link Transformer#POOLING} to a graph.
     *
     * @param rows  the name of the token vectors, {@code [minibatch · tokens, hidden]}
     * @param modes one, or several to be concatenated
     * @return the name of the texts' vectors, {@code [minibatch, modes · hidden]}
     * @throws IllegalArgumentException if there is no mode
     */
    public static String addTo(GraphBuilder graph, TransformerShape shape, String rows, Pooling... modes) {
        List<Pooling> parts = Arrays.stream(modes).distinct().toList();
        if (parts.isEmpty()) {
            throw new IllegalArgumentException("There is no pooling to add; give at least one of " + List.of(values()));
        }
        if (parts.size() == 1) {
            graph.addVertex(Transformer.POOLING, parts.get(0).vertex(shape.padding()), rows, Transformer.INPUT_IDS);
            return Transformer.POOLING;
        }
        for (Pooling mode : parts) {
            graph.addVertex(mode.part(), mode.vertex(shape.padding()), rows, Transformer.INPUT_IDS);
        }
        graph.addVertex(Transformer.POOLING, new MergeVertex(), parts.stream().map(Pooling::part).toArray(String[]::new));
        return Transformer.POOLING;
    }

    private String part() {
        return Transformer.POOLING + "." + mode;
    }
}
