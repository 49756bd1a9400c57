package io.github.dl4jlora.internal.kernel;

import org.nd4j.linalg.api.ndarray.INDArray;

/** A layer of sequences that is told which steps there are, and computes the others all the same, as DL4J's convolutions do. */
public interface MaskedSteps {

    /** Of the steps of its output, {@code [minibatch, steps]}; null: all are there. */
    INDArray stepMask();
}
