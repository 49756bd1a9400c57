package io.github.dl4jlora.property;

import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayer;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayerWithBackprop;
import org.deeplearning4j.nn.conf.layers.recurrent.LastTimeStep;
import org.deeplearning4j.nn.conf.layers.recurrent.TimeDistributed;
import org.deeplearning4j.nn.conf.layers.util.MaskZeroLayer;

import java.util.function.UnaryOperator;

/** DL4J's layers around a layer. */
enum Wrap {
    MASK_ZERO(layer -> new MaskZeroLayer(layer, 0)),
    LAST_TIME_STEP(LastTimeStep::new),
    TIME_DISTRIBUTED(layer -> new TimeDistributed(layer, RNNFormat.NCW)),
    FROZEN(FrozenLayer::new),
    FROZEN_WITH_BACKPROP(FrozenLayerWithBackprop::new);

    private final UnaryOperator<Layer> around;

    Wrap(UnaryOperator<Layer> around) {
        this.around = around;
    }

    Layer around(Layer layer) {
        return around.apply(layer);
    }

    boolean isFreezing() {
        return this == FROZEN || this == FROZEN_WITH_BACKPROP;
    }

    /** Whether layers of this kind can be inside; freezing wrappers go around anything. */
    boolean fits(Kind kind) {
        return switch (this) {
            case MASK_ZERO, LAST_TIME_STEP -> kind.isRecurrent();
            case TIME_DISTRIBUTED -> kind == Kind.DENSE;
            case FROZEN, FROZEN_WITH_BACKPROP -> true;
        };
    }
}
