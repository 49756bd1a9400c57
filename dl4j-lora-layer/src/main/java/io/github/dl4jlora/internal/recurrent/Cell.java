package io.github.dl4jlora.internal.recurrent;

import org.jspecify.annotations.Nullable;

import java.util.List;

/**
 * One time step of a recurrent layer, for all examples of a batch. Arrays hold {@code [minibatch, units]}, row by row.
 *
 * @param <V> an array of float or of double
 */
interface Cell<V> {

    /** How many pre-activations a unit has: columns of W are those of the first for all units, of the second, and so on. */
    int gates();

    /**
     * @param z      pre-activations of each gate; becomes what {@link #backward} needs of them
     * @param before memory before the step
     * @param mask   0 or 1 for each example, repeated for its units; null for no mask
     * @param memory memory after the step; overwritten
     * @param output overwritten
     */
    void forward(List<V> z, V before, @Nullable V mask, V memory, V output);

    /** To be called before the last time step's backward pass. */
    void startBackward();

    /**
     * To be called for one time step after the other, from the last to the first.
     *
     * @param z       as {@link #forward} left it
     * @param before  memory before the step
     * @param dOutput dL/d(output), with what comes from the step after; may be overwritten
     * @param dz      dL/dz of the step after, zeros for the last step; becomes this step's
     */
    void backward(List<V> z, V before, @Nullable V mask, V dOutput, List<V> dz);
}
