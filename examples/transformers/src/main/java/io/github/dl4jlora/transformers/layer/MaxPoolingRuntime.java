package io.github.dl4jlora.transformers.layer;

import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

/** Runs {@link MaxPooling} text by text. Backward it finds the largest values again, so that nothing is kept between passes. */
@SuppressWarnings("overrides")
final class MaxPoolingRuntime extends TokenVertex {

    private static final long serialVersionUID = 1L;

    MaxPoolingRuntime(ComputationGraph graph, String name, int index, int padding, DataType type) {
        super(graph, name, index, padding, type);
    }

    /** The rows of a text, {@code [tokens of it, hidden]}. */
    private static INDArray text(INDArray rows, int text, int tokens, int length) {
        long first = (long) text * tokens;
        return rows.get(NDArrayIndex.interval(first, first + length), NDArrayIndex.all());
    }

    @Override
    public INDArray doForward(boolean training, LayerWorkspaceMgr workspaces) {
        INDArray ids = checkedIds();
        int[] lengths = lengths(ids);
        INDArray largest = workspaces.createUninitialized(ArrayType.ACTIVATIONS, dataType,
                new long[]{lengths.length, inputs[0].size(1)}, 'c');
        for (int text = 0; text < lengths.length; text++) {
            largest.getRow(text).assign(text(inputs[0], text, (int) ids.size(1), lengths[text]).max(0));
        }
        return largest;
    }

    @Override
    public Pair<Gradient, INDArray[]> doBackward(boolean tbptt, LayerWorkspaceMgr workspaces) {
        INDArray ids = checkedIds();
        int[] lengths = lengths(ids);
        INDArray dRows = workspaces.create(ArrayType.ACTIVATION_GRAD, dataType, inputs[0].shape(), 'c');
        for (int text = 0; text < lengths.length; text++) {
            long[] which = Nd4j.argMax(text(inputs[0], text, (int) ids.size(1), lengths[text]), 0).toLongVector();
            for (int place = 0; place < which.length; place++) {
                dRows.putScalar(text * ids.size(1) + which[place], place, epsilon.getDouble(text, place));
            }
        }
        return new Pair<>(null, new INDArray[]{dRows, null});
    }
}
