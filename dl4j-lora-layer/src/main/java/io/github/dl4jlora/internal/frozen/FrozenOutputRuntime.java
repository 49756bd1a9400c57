package io.github.dl4jlora.internal.frozen;

import io.github.dl4jlora.internal.stock.OutputDelegate;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.api.layers.IOutputLayer;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.jspecify.annotations.Nullable;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.api.ndarray.INDArray;

/** A frozen output layer, which still takes labels and computes the score. */
final class FrozenOutputRuntime extends FrozenRuntime implements OutputDelegate {

    FrozenOutputRuntime(FrozenPart<Layer> part, NeuralNetConfiguration declared) {
        super(part, false, declared);
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

    /** A network's own training step calls this alone, without calling the output layer's activate before. */
    @Override
    public Pair<Gradient, INDArray> backpropGradient(@Nullable INDArray epsilon, LayerWorkspaceMgr workspaces) {
        bind();
        part().requireUnmoved();
        return super.backpropGradient(epsilon, workspaces);
    }
}
