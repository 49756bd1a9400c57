package io.github.dl4jlora.internal.frozen;

import io.github.dl4jlora.internal.stock.OutputDelegate;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.api.layers.IOutputLayer;

/** A frozen output layer: it still takes labels and computes the score. */
public final class FrozenOutputRuntime extends FrozenRuntime implements OutputDelegate {

    public FrozenOutputRuntime(FrozenParameters parameters, Builder builder, Layer layer) {
        super(parameters, builder, layer);
    }

    @Override
    public IOutputLayer output() {
        bind();
        return (IOutputLayer) underlying;
    }

    @Override
    public boolean needsLabels() {
        return ((IOutputLayer) underlying).needsLabels();
    }
}
