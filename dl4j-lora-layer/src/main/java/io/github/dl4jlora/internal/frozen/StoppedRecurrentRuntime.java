package io.github.dl4jlora.internal.frozen;

import io.github.dl4jlora.internal.stock.RecurrentDelegate;
import org.deeplearning4j.nn.api.layers.RecurrentLayer;

/** A frozen recurrent layer with nothing trainable upstream. */
public final class StoppedRecurrentRuntime extends StoppedRuntime implements RecurrentDelegate {

    public StoppedRecurrentRuntime(FrozenRuntime frozen) {
        super(frozen);
    }

    @Override
    public RecurrentLayer recurrent() {
        return (RecurrentLayer) underlying;
    }
}
