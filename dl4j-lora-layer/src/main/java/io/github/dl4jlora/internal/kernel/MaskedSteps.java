package io.github.dl4jlora.internal.kernel;

import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * A layer of sequences that is told which steps there are, and computes the others all the same, as DL4J's convolutions do.
 * A start from data asks, to leave those out: it does not know the runtimes, whose {@code getMaskArray} is null, as DL4J's is.
 */
public interface MaskedSteps {

    /** Of the steps of its output, {@code [minibatch, steps]}; null: all are there. */
    INDArray stepMask();
}
