package io.github.dl4jlora.internal.run;

import io.github.dl4jlora.Scaling;
import org.nd4j.shade.jackson.annotation.JsonProperty;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

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
    private static final Logger LOG = LoggerFactory.getLogger(AdaptedParameter.class);

    /** The factor s. */
    public double factor() {
        return scaling.factor(alpha, rank);
    }

    /** Number of values in A and B. */
    public long length() {
        return rank * (nIn + nOut);
    }

    /** Warns of a rank above what the matrix has. */
    public void warnOfExcessRank(String layer) {
        long most = Math.min(nIn, nOut);
        if (rank > most) {
            LOG.warn("{}: rank {} is above min(nIn, nOut) = {} of {}, so the adapter is larger than the weights it adapts; "
                    + "give this layer a smaller one with LoRAConfig's override({}, o -> o.rank({}))", Named.layer(layer), rank,
                    most, key, Named.quoted(layer), most);
        }
    }

    /** The same parameters, one of them with another factor. */
    public static List<AdaptedParameter> rescaled(List<AdaptedParameter> all, String key, double alpha, Scaling scaling) {
        return all.stream().map(parameter -> parameter.key.equals(key)
                ? new AdaptedParameter(key, parameter.nIn, parameter.nOut, parameter.rank, alpha, scaling) : parameter).toList();
    }
}
