package io.github.dl4jlora.internal.adapted;

import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.internal.common.Named;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
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

    /** How many values A and B may have with a rank above the matrix's. */
    private static final long MOST_BEYOND = 1 << 24;
    private static final double LARGEST_HALF = 65504;
    private static final String EXCESS_RANK = "{}: rank {} is above min(nIn, nOut) = {} of {}, so the adapter is larger than the "
            + "weights it adapts; {}";

    /** The factor s. */
    public double factor() {
        return scaling.factor(alpha, rank);
    }

    /** Number of values in A and B. */
    public long length() {
        return rank * (nIn + nOut);
    }

    /** The largest useful rank: with a higher one, A·B can be nothing that it cannot be with this one. */
    public long largestRank() {
        return Math.min(nIn, nOut);
    }

    /** Warns of a rank above the largest of the matrix, and says what to do. */
    public void warnOfExcessRank(@Nullable String layer) {
        if (rank > largestRank()) {
            LOG.warn(EXCESS_RANK, Named.layer(layer), rank, largestRank(), key, "give this layer a smaller one with LoRAConfig's "
                    + "override(" + Named.quoted(layer) + ", o -> o.rank(" + largestRank() + "))");
        }
    }

    /** Tells the same of an adapter, whose rank cannot be chosen any more: there is nothing that its user could do. */
    public void tellOfExcessRankOfAdapter(@Nullable String layer) {
        if (rank > largestRank()) {
            LOG.info(EXCESS_RANK, Named.layer(layer), rank, largestRank(), key, "an adapter of that rank computes the same");
        }
    }

    /**
     * To be called before memory is taken.
     *
     * @throws IllegalArgumentException if A and B are far larger than the matrix, and too large for memory; or if the factor is
     *                                  larger than the type that the layer computes in allows
     */
    public void requirePossible(@Nullable String layer, DataType type) {
        refuseAbsurdRank(layer);
        requireFiniteFactor(layer, type);
    }

    private void refuseAbsurdRank(@Nullable String layer) {
        if (rank > largestRank() && rank > MOST_BEYOND / Math.max(1, nIn + nOut)) {
            throw new IllegalArgumentException(Named.layer(layer) + ": rank " + rank + " is above min(nIn, nOut) = "
                    + largestRank() + " of " + key + ", and A and B would take " + rank + "·" + (nIn + nOut)
                    + " values. Set it with rank(" + largestRank() + ") or below");
        }
    }

    /** @throws IllegalArgumentException if the factor is larger than the type that the layer computes in allows */
    public void requireFiniteFactor(@Nullable String layer, DataType type) {
        double most = type == DataType.HALF ? LARGEST_HALF : Scaling.LARGEST_FACTOR;
        if (!(Math.abs(factor()) <= most)) {
            throw new IllegalArgumentException(Named.layer(layer) + ": alpha " + alpha + " makes the factor of A·B " + factor()
                    + ", but a network of type " + type + " can compute with at most " + most + ". Choose an alpha closer to 0");
        }
    }

    /** The same parameters, but one of them with another factor. */
    public static List<AdaptedParameter> rescaled(List<AdaptedParameter> all, String key, double alpha, Scaling scaling) {
        return all.stream().map(parameter -> parameter.key.equals(key)
                ? new AdaptedParameter(key, parameter.nIn, parameter.nOut, parameter.rank, alpha, scaling) : parameter).toList();
    }
}
