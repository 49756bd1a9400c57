package io.github.dl4jlora.internal.base;

import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.jspecify.annotations.Nullable;

/** A configuration that this library puts in place of a stock layer or vertex, and that can return the stock one. */
public interface Replacement {

    /** {@return the frozen weights that it refers to; null if they are inside the vector, or if there are none} */
    default @Nullable FrozenReference getFrozen() {
        return null;
    }

    /** {@return a copy of the layer that stood here; null for a vertex} */
    default @Nullable Layer toStockLayer() {
        return null;
    }

    /** {@return a copy of the vertex that stood here; null for a layer} */
    default @Nullable GraphVertex toStockVertex() {
        return null;
    }

    /** {@return whether the stock layer's or vertex's weights are frozen; otherwise it trains in full} */
    default boolean freezes() {
        return true;
    }

    /** {@return whether backpropagation ends here} */
    default boolean endsBackpropagation() {
        return false;
    }
}
