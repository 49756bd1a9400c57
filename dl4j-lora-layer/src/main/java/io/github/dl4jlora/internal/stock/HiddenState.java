package io.github.dl4jlora.internal.stock;

import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.api.layers.RecurrentLayer;
import org.deeplearning4j.nn.layers.wrapper.BaseWrapperLayer;

/** Hides that a layer is recurrent, as two wrappers of DL4J around it do: DL4J looks into one only. */
public final class HiddenState extends BaseWrapperLayer {

    private HiddenState(Layer recurrent) {
        super(recurrent);
    }

    /** The layer, hidden if DL4J does not see its state in the base. */
    public static Layer asInBase(Layer layer, boolean showsState) {
        return layer instanceof RecurrentLayer && !showsState ? new HiddenState(layer) : layer;
    }
}
