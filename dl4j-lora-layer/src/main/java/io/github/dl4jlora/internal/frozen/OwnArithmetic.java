package io.github.dl4jlora.internal.frozen;

import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.layers.wrapper.BaseWrapperLayer;
import org.jspecify.annotations.Nullable;

/** A running frozen layer, or one inside its wrappers, that is not DL4J's and forms no weight gradients. */
interface OwnArithmetic {

    /** The arithmetic inside the layer's wrappers; null if it is all stock. */
    static @Nullable OwnArithmetic in(Layer layer) {
        return layer instanceof OwnArithmetic found ? found
                : layer instanceof BaseWrapperLayer wrapper ? in(wrapper.getUnderlying()) : null;
    }

    /**
     * @param stock whether the layer must compute what the base's layer computes, bit for bit
     */
    void setStock(boolean stock);
}
