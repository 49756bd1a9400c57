package io.github.dl4jlora.internal.kernel;

import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * A layer on sequences that is given a mask of steps, and computes the masked steps all the same, as DL4J's convolutions do.
 * A start from data asks for the mask, to leave those steps out. It does not know the runtimes, and their {@code getMaskArray}
 * is null, as DL4J's is.
 */
public interface MaskedSteps {

    /** The mask of the output's steps, {@code [minibatch, steps]}; null if no step is masked. */
    @Nullable INDArray stepMask();
}
