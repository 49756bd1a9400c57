package io.github.dl4jlora.internal.run;

import io.github.dl4jlora.Scaling;
import io.github.dl4jlora.variant.Variant;
import org.nd4j.shade.jackson.annotation.JsonProperty;

import java.io.Serializable;
import java.util.List;

/**
 * One adapted parameter of a layer: ΔM = s·A·B, A {@code [nIn, rank]}, B {@code [rank, nOut]}.
 *
 * @param key  the stock layer's name for it, such as {@code RW}
 * @param nIn  rows of the parameter, read as a matrix
 * @param nOut columns of it
 */
public record AdaptedParameter(@JsonProperty("key") String key, @JsonProperty("nIn") long nIn, @JsonProperty("nOut") long nOut,
                               @JsonProperty("rank") int rank, @JsonProperty("alpha") double alpha,
                               @JsonProperty("scaling") Scaling scaling) implements Serializable {

    private static final long serialVersionUID = 1L;

    /** The factor s. */
    public double factor() {
        return scaling.factor(alpha, rank);
    }

    /** Number of values in A and B. */
    public long length() {
        return rank * (nIn + nOut);
    }

    /** A's key; without an underscore, at which DL4J's updater would split it. */
    public String keyOfA() {
        return key + "." + Variant.A;
    }

    /** B's key. */
    public String keyOfB() {
        return key + "." + Variant.B;
    }

    /** The same parameters, one of them with another factor. */
    public static List<AdaptedParameter> rescaled(List<AdaptedParameter> all, String key, double alpha, Scaling scaling) {
        return all.stream().map(parameter -> parameter.key.equals(key)
                ? new AdaptedParameter(key, parameter.nIn, parameter.nOut, parameter.rank, alpha, scaling) : parameter).toList();
    }
}
