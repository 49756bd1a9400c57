package io.github.dl4jlora.internal.adapted;

import org.nd4j.shade.jackson.annotation.JsonProperty;

import java.io.Serializable;

/**
 * A bias of a stock layer that trains beside its frozen weights. What trains is a copy {@code [1, length]}; the base's own
 * stays where it is.
 *
 * @param key    the stock layer's name for it, such as {@code b}, and the trained copy's
 * @param length number of its values
 */
public record TrainedBias(@JsonProperty("key") String key, @JsonProperty("length") long length) implements Serializable {

    private static final long serialVersionUID = 1L;

    /** The base's own in the parameter table of an embedded layer. */
    String frozenKey() {
        return key + "0";
    }
}
