package io.github.dl4jlora.internal.effective;

import io.github.dl4jlora.internal.run.AdaptedRuntime.InputGradient;
import org.deeplearning4j.nn.gradient.Gradient;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.Map;

/**
 * What a stock layer or vertex of an adapted layer runs on: {@link EffectiveWeights} or, where kernels run the layers inside its
 * wrappers, the frozen weights with a low-rank path beside them.
 */
public interface StockWeights {

    /** Brings up to date what the stock part runs on. Cheap when nothing has changed. */
    void refresh(boolean training);

    /** To be called when what has been derived from parameters is out of date. */
    void changed();

    /** To be called when routes have changed, which stand in the place of the layer's own path. */
    default void routed() {
        changed();
    }

    /** Says where the gradients of A, B and biases go, by key. */
    void setGradients(Map<String, INDArray> views);

    /** Tells who uses the gradient of the layer's input, for those that can leave it out. */
    default void setInputGradient(InputGradient use) {
        // Stock layers always compute it.
    }

    /** Whether different examples of a batch can have the paths of different adapters, as with kernels. */
    default boolean tellsExamplesApart() {
        return true;
    }

    /** Number of values of the gradient that the stock part computes of its own weights; kernels compute none. */
    default long gradientLength() {
        return 0;
    }

    /**
     * Turns the stock part's gradients into those of A, B and biases.
     *
     * @param stock as the stock part returned them
     * @return views of the network's gradient vector
     */
    Gradient project(Gradient stock);
}
