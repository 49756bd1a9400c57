package io.github.dl4jlora.internal.kernel;

/**
 * A running layer that computes differently from the base's layer, and can be told to compute exactly what the base's layer
 * computes, bit for bit.
 */
public interface Disableable {

    /** Computes what the base's layer computes, until {@link #enable} has been called as often as this. */
    void disable();

    /** Undoes one {@link #disable}. */
    void enable();
}
