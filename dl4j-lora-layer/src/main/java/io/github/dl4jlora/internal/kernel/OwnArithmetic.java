package io.github.dl4jlora.internal.kernel;

import org.deeplearning4j.nn.api.Trainable;
import org.deeplearning4j.nn.layers.wrapper.BaseWrapperLayer;
import org.jspecify.annotations.Nullable;

/** A running layer or vertex, or a layer inside wrappers, that is not DL4J's and forms no gradients of frozen weights. */
public interface OwnArithmetic {

    /** The arithmetic of a layer or vertex, or inside the layer's wrappers; null if it is all stock. */
    static @Nullable OwnArithmetic in(Trainable part) {
        return part instanceof OwnArithmetic found ? found
                : part instanceof BaseWrapperLayer wrapper ? in(wrapper.getUnderlying()) : null;
    }

    /**
     * @param stock whether the layer must compute what the base's layer computes, bit for bit
     */
    void setStock(boolean stock);
}
