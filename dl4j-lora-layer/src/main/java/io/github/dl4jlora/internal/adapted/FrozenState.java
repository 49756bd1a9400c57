package io.github.dl4jlora.internal.adapted;

import io.github.dl4jlora.conf.FrozenStorage;
import io.github.dl4jlora.internal.base.FrozenReference;
import io.github.dl4jlora.internal.common.Named;
import org.jspecify.annotations.Nullable;

import java.io.Serializable;

/**
 * Where an adapted layer or vertex keeps what does not train. This is a value: a shallow copy of a layer, such as DL4J's
 * {@code clone}, may share it.
 *
 * @param storage   where the stock layer's own values live
 * @param frozen    those values, if they are outside the vector; null when embedded, or before a SHARED layer is initialised
 * @param constants the adapter's parts that do not train, outside the vector; null when embedded, or if there are none
 * @param startSeed the seed of the adapter's start, if it has constants that are outside the vector
 */
public record FrozenState(FrozenStorage storage, @Nullable FrozenReference frozen, @Nullable FrozenReference constants,
                          long startSeed) implements Serializable {

    /** {@return the state of a layer that has no values yet} */
    public static FrozenState in(FrozenStorage storage) {
        return new FrozenState(storage, null, null, 0);
    }

    /**
     * {@return the state of a layer of a base}
     *
     * @param frozen its weights; null for embedded storage
     */
    public static FrozenState of(@Nullable FrozenReference frozen) {
        return new FrozenState(frozen == null ? FrozenStorage.EMBEDDED : FrozenStorage.SHARED, frozen, null, 0);
    }

    /**
     * {@return this; for a layer none of whose starts or variants has constants}
     *
     * @param layer name for the message
     * @throws UnsupportedOperationException if it has some, as a damaged file may say
     */
    public FrozenState requireNoConstants(@Nullable String layer) {
        if (constants != null) {
            throw new UnsupportedOperationException(Named.layer(layer) + " has no constants");
        }
        return this;
    }
}
