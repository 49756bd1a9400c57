package io.github.dl4jlora.transformers.layer;

import io.github.dl4jlora.footprint.Footprint;
import io.github.dl4jlora.footprint.Passage;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.shade.jackson.annotation.JsonProperty;

import java.util.Objects;

/**
 * The mean of a text's token vectors, or another weighted sum of them, padding left out.
 *
 * <pre>
 * inputs  rows       [minibatch · tokens, hidden]
 *         token ids  [minibatch, tokens], with padding anywhere; the last input, as it has no gradient
 * output             [minibatch, hidden]
 * </pre>
 */
public final class MeanPooling extends RowsVertex {

    /** What each of a text's n tokens counts. */
    public enum Weights {
        /** 1/n, so that the sum is the mean. */
        EQUAL {
            @Override
            double of(int token, int tokens) {
                return 1.0 / tokens;
            }
        },
        /** 1/√n. */
        ROOT {
            @Override
            double of(int token, int tokens) {
                return 1 / Math.sqrt(tokens);
            }
        },
        /** i/(1 + … + n) for the i-th token: the later, the more (Muennighoff 2022, arXiv:2202.08904, section 4.1). */
        POSITION {
            @Override
            double of(int token, int tokens) {
                return (token + 1) * 2.0 / (tokens * (tokens + 1.0));
            }
        };

        /**
         * {@return the weight of a token}
         *
         * @param token  counted from 0
         * @param tokens of the text
         */
        abstract double of(int token, int tokens);
    }

    private final Weights weights;

    /** As the mean. */
    public MeanPooling(int padding) {
        this(padding, Weights.EQUAL);
    }

    /**
     * @param padding the token id that is padding
     * @param weights of the tokens; null, as in configurations saved before there was a choice, for the mean
     */
    public MeanPooling(@JsonProperty("padding") int padding, @JsonProperty("weights") Weights weights) {
        super(2, padding);
        this.weights = weights == null ? Weights.EQUAL : weights;
    }

    public Weights getWeights() {
        return weights;
    }

    /** Products are made apart, and copied. */
    @Override
    public Footprint footprint(Passage passage) {
        long rows = passage.input().values();
        return new Footprint(passage.out(), passage.out(), rows + passage.out(), rows);
    }

    @Override
    public MeanPooling clone() {
        return new MeanPooling(getPadding(), weights);
    }

    @Override
    public boolean equals(Object other) {
        return super.equals(other) && weights == ((MeanPooling) other).weights;
    }

    @Override
    public int hashCode() {
        return Objects.hash(super.hashCode(), weights);
    }

    @Override
    public org.deeplearning4j.nn.graph.vertex.GraphVertex instantiate(ComputationGraph graph, String name, int index,
                                                                      INDArray view, boolean initialize, DataType type) {
        return new MeanPoolingRuntime(graph, name, index, getPadding(), weights, type);
    }
}
