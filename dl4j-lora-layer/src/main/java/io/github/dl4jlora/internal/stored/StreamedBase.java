package io.github.dl4jlora.internal.stored;

import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.api.Trainable;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.io.IOException;

/** A network in a file, whose values are never in memory all at once: a stand-in of its shape, and its layers one by one. */
public interface StreamedBase {

    /** Takes the values of one layer. */
    @FunctionalInterface
    interface LayerValues {

        /**
         * @param layer  of the stand-in: names and shapes
         * @param values flat, in DL4J's order, shape {@code [n]}: a new array in no workspace, which the taker may keep or close
         */
        void accept(Trainable layer, INDArray values) throws IOException;
    }

    /**
     * A ComputationGraph or MultiLayerNetwork of the same configuration and data type. Its parameters are zeros that take memory
     * only where they are accessed.
     */
    Model standIn();

    /**
     * Reads every layer or vertex that has parameters, once, in the order of DL4J's parameter vector. Values taken before a
     * failure must not be used: only after the last value is the checksum known to match.
     *
     * @throws IOException if the file is damaged, or has been replaced since; the message names it
     */
    void forEach(LayerValues taker) throws IOException;
}
