package io.github.dl4jlora.internal.adapted;

import org.deeplearning4j.nn.conf.RNNFormat;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.lossfunctions.ILossFunction;

/**
 * What the configuration of an adapted output layer has besides that of a dense layer. It is an interface, since the runtime
 * needs it and must not know the configurations in {@code layer}, which make the runtimes.
 */
public interface OutputConfiguration extends AdaptedConfiguration {

    /** {@return the loss} */
    ILossFunction lossFunction();

    /** {@return the layout of sequences; null for a layer whose input has two dimensions} */
    @Nullable RNNFormat sequenceFormat();
}
