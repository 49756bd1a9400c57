package io.github.dl4jlora.frozen;

import org.deeplearning4j.nn.api.layers.RecurrentLayer;

/** A frozen recurrent layer with nothing trainable upstream. */
final class StoppedRecurrentRuntime extends StoppedRuntime implements RecurrentDelegate {

    StoppedRecurrentRuntime(FrozenRuntime frozen) {
        super(frozen);
    }

    @Override
    public RecurrentLayer recurrent() {
        return (RecurrentLayer) underlying;
    }
}
