package io.github.dl4jlora.transformers.layer;

import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.layers.LossLayer;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

/** Runs {@link RowsLoss}. */
final class RowsLossRuntime extends LossLayer {

    private static final long serialVersionUID = 1L;

    RowsLossRuntime(NeuralNetConfiguration conf, DataType type) {
        super(conf, type);
    }

    /** Without the mask, which is one of labels. */
    @Override
    public INDArray activate(boolean training, LayerWorkspaceMgr workspaces) {
        INDArray ofLabels = maskArray;
        maskArray = null;
        try {
            return super.activate(training, workspaces);
        } finally {
            maskArray = ofLabels;
        }
    }

    /** As they are: DL4J would make rows of labels with three dimensions, and the loss says what it takes. */
    @Override
    protected INDArray getLabels2d() {
        return labels;
    }

    /** Leaves the caller's labels alone. */
    @Override
    public void clear() {
        labels = null;
        super.clear();
    }
}
