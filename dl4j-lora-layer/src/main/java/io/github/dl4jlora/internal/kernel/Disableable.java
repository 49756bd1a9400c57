package io.github.dl4jlora.internal.kernel;

/**
 * A running layer that computes otherwise than the base's own, and can be told to compute what that does, bit for bit.
 */
public interface Disableable {

    /** Until {@link #enable} has been called as often. */
    void disable();

    /** Undoes one {@link #disable}. */
    void enable();
}
