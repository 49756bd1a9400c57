package io.github.dl4jlora.transformers.layer;

import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.stream.IntStream;

/** Runs {@link MaxPooling} text by text. Backward it finds the largest values again, so that nothing is kept between passes. */
@SuppressWarnings("overrides")
final class MaxPoolingRuntime extends TokenVertex {

    private static final long serialVersionUID = 1L;

    MaxPoolingRuntime(ComputationGraph graph, String name, int index, int padding, DataType type) {
        super(graph, name, index, padding, type);
    }

    /** The rows of the tokens of a text that are no padding. */
    private static int[] rows(KeptTokens texts, int text) {
        return IntStream.of(texts.of(text)).map(token -> text * texts.tokens() + token).toArray();
    }

    private INDArray pulled(int[] rows) {
        return Nd4j.pullRows(inputs[0].ordering() == 'c' ? inputs[0] : inputs[0].dup('c'), 1, rows);
    }

    @Override
    public INDArray doForward(boolean training, LayerWorkspaceMgr workspaces) {
        KeptTokens texts = kept();
        INDArray largest = workspaces.createUninitialized(ArrayType.ACTIVATIONS, dataType,
                new long[]{texts.texts(), inputs[0].size(1)}, 'c');
        for (int text = 0; text < texts.texts(); text++) {
            largest.getRow(text).assign(pulled(rows(texts, text)).max(0));
        }
        return largest;
    }

    @Override
    public Pair<Gradient, INDArray[]> doBackward(boolean tbptt, LayerWorkspaceMgr workspaces) {
        KeptTokens texts = kept();
        INDArray dRows = workspaces.create(ArrayType.ACTIVATION_GRAD, dataType, inputs[0].shape(), 'c');
        for (int text = 0; text < texts.texts(); text++) {
            int[] rows = rows(texts, text);
            long[] which = Nd4j.argMax(pulled(rows), 0).toLongVector();
            for (int place = 0; place < which.length; place++) {
                dRows.putScalar(rows[(int) which[place]], place, epsilon.getDouble(text, place));
            }
        }
        return new Pair<>(null, new INDArray[]{dRows, null});
    }
}
