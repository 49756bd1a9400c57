package io.github.dl4jlora.frozen;

import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.api.layers.IOutputLayer;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.api.DataSet;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;

import java.util.List;

/** A frozen output layer: it still takes labels and computes the score. */
final class FrozenOutputRuntime extends FrozenRuntime implements IOutputLayer {

    FrozenOutputRuntime(FrozenParameters parameters, Builder builder, Layer layer) {
        super(parameters, builder, layer);
    }

    private IOutputLayer output() {
        bind();
        return (IOutputLayer) underlying;
    }

    @Override
    public boolean needsLabels() {
        return ((IOutputLayer) underlying).needsLabels();
    }

    @Override
    public void setLabels(INDArray labels) {
        output().setLabels(labels);
    }

    @Override
    public INDArray getLabels() {
        return output().getLabels();
    }

    @Override
    public double computeScore(double regularization, boolean training, LayerWorkspaceMgr workspaces) {
        return output().computeScore(regularization, training, workspaces);
    }

    @Override
    public INDArray computeScoreForExamples(double regularization, LayerWorkspaceMgr workspaces) {
        return output().computeScoreForExamples(regularization, workspaces);
    }

    @Override
    public double f1Score(DataSet data) {
        return output().f1Score(data);
    }

    @Override
    public double f1Score(INDArray examples, INDArray labels) {
        return output().f1Score(examples, labels);
    }

    @Override
    public int numLabels() {
        return output().numLabels();
    }

    @Override
    public int[] predict(INDArray examples) {
        return output().predict(examples);
    }

    @Override
    public List<String> predict(DataSet data) {
        return output().predict(data);
    }

    @Override
    public void fit(DataSetIterator iterator) {
        // Frozen.
    }

    @Override
    public void fit(INDArray examples, INDArray labels) {
        // Frozen.
    }

    @Override
    public void fit(DataSet data) {
        // Frozen.
    }

    @Override
    public void fit(INDArray examples, int[] labels) {
        // Frozen.
    }
}
