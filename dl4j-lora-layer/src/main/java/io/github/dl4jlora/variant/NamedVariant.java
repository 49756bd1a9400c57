package io.github.dl4jlora.variant;

import org.jspecify.annotations.Nullable;

/** A variant without settings: its class identifies it. */
abstract class NamedVariant implements Variant {

    private static final long serialVersionUID = 1L;

    @Override
    public final boolean equals(@Nullable Object other) {
        return other != null && getClass() == other.getClass();
    }

    @Override
    public final int hashCode() {
        return getClass().hashCode();
    }

    @Override
    public final String toString() {
        return name();
    }
}
