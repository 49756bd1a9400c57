package io.github.dl4jlora.internal.stock;

import io.github.dl4jlora.internal.base.Replacement;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.layers.Layer;

/**
 * A configuration of this library that trains as a stock one says, and corrects how DL4J runs it. {@link StockLayers#unwrap}
 * sees through it.
 */
public sealed interface TrainedReplacement extends Replacement {

    @Override
    default boolean freezes() {
        return false;
    }

    /** For a layer. */
    non-sealed interface OfLayer extends TrainedReplacement {

        /** {@return the layer as the base configures it} */
        Layer getUnderlying();

        @Override
        default Layer toStockLayer() {
            return StockLayers.copy(getUnderlying());
        }
    }

    /** For a vertex that is no layer. */
    non-sealed interface OfVertex extends TrainedReplacement {

        /** {@return the vertex as the base configures it} */
        GraphVertex getOrigin();
    }
}
