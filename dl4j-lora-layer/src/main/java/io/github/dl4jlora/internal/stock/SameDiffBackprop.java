package io.github.dl4jlora.internal.stock;

import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.layers.samediff.SameDiffLayer;
import org.deeplearning4j.nn.layers.wrapper.BaseWrapperLayer;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.function.Function;

/**
 * The backward pass of a stock layer or vertex that may be one of SameDiff's: then with epsilon corrected, and without the
 * lines that its first pass prints.
 */
public final class SameDiffBackprop {

    private boolean differentiated;

    /** Whether the layer, or the one inside its wrappers, is computed by SameDiff. */
    public static boolean isSameDiff(Layer layer) {
        Layer innermost = layer;
        while (innermost instanceof BaseWrapperLayer wrapper) {
            innermost = wrapper.getUnderlying();
        }
        return innermost instanceof SameDiffLayer;
    }

    /** To be called for SameDiff layers only. */
    public <T> T run(INDArray epsilon, Function<INDArray, T> backprop) {
        INDArray corrected = SameDiffGradients.corrected(epsilon);
        T result = differentiated ? backprop.apply(corrected) : SameDiffGradients.quietly(() -> backprop.apply(corrected));
        differentiated = true;
        return result;
    }
}
