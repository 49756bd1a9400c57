package io.github.dl4jlora.internal.stock;

import org.deeplearning4j.nn.api.layers.IOutputLayer;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.api.DataSet;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;

import java.util.List;

/**
 * Shows a wrapped output layer to DL4J, which looks for labels, scores and losses at its networks' outputs. The wrapped
 * layer does not train by itself: the network does.
 */
public interface OutputDelegate extends IOutputLayer {

    /** The wrapped layer, with its weights up to date. */
    IOutputLayer output();

    @Override
    default boolean needsLabels() {
        return output().needsLabels();
    }

    @Override
    default void setLabels(INDArray labels) {
        output().setLabels(labels);
    }

    @Override
    default INDArray getLabels() {
        return output().getLabels();
    }

    @Override
    default double computeScore(double regularization, boolean training, LayerWorkspaceMgr workspaces) {
        return output().computeScore(regularization, training, workspaces);
    }

    @Override
    default INDArray computeScoreForExamples(double regularization, LayerWorkspaceMgr workspaces) {
        return output().computeScoreForExamples(regularization, workspaces);
    }

    @Override
    default double f1Score(DataSet data) {
        return output().f1Score(data);
    }

    @Override
    default double f1Score(INDArray examples, INDArray labels) {
        return output().f1Score(examples, labels);
    }

    @Override
    @SuppressWarnings("deprecation")
    default int numLabels() {
        return output().numLabels();
    }

    @Override
    default int[] predict(INDArray examples) {
        return output().predict(examples);
    }

    @Override
    default List<String> predict(DataSet data) {
        return output().predict(data);
    }

    @Override
    default void fit(DataSetIterator iterator) {
        // The network trains.
    }

    @Override
    default void fit(INDArray examples, INDArray labels) {
        // The network trains.
    }

    @Override
    default void fit(DataSet data) {
        // The network trains.
    }

    @Override
    default void fit(INDArray examples, int[] labels) {
        // The network trains.
    }
}
