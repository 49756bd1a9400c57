package io.github.dl4jlora.internal.base;

import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.layers.Layer;

/** A configuration that this library puts in the place of a stock layer or vertex, and can be asked for that. */
public interface Replacement {

    /** {@return the frozen weights that it refers to; null where they are inside the vector, or where there are none} */
    default FrozenReference getFrozen() {
        return null;
    }

    /** {@return a copy of the layer that stood here; null for a vertex} */
    default Layer toStockLayer() {
        return null;
    }

    /** {@return a copy of the vertex that stood here; null for a layer} */
    default GraphVertex toStockVertex() {
        return null;
    }

    /** {@return whether the weights of what stood here are frozen; else it trains in full} */
    default boolean freezes() {
        return true;
    }

    /** {@return whether backpropagation ends here} */
    default boolean endsBackpropagation() {
        return false;
    }
}
