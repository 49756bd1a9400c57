package io.github.dl4jlora.transformers.layer;

import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.api.ops.impl.scatter.ScatterUpdate;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

import java.util.Arrays;

/** Runs {@link BertEmbeddings}. There is no gradient of ids, so backpropagation gives null below. */
final class BertEmbeddingsRuntime extends MatrixLayer<BertEmbeddings> {

    BertEmbeddingsRuntime(NeuralNetConfiguration conf, DataType type) {
        super(conf, type);
    }

    @Override
    public INDArray activate(boolean training, LayerWorkspaceMgr workspaces) {
        assertInputSet(false);
        int[] ids = checkedIds();
        INDArray words = getParam(BertEmbeddings.WORDS);
        long texts = input.size(0);
        long tokens = input.size(1);
        long hidden = words.size(1);
        INDArray rows = workspaces.createUninitialized(ArrayType.ACTIVATIONS, words.dataType(),
                new long[]{texts * tokens, hidden}, 'c');
        Nd4j.pullRows(words, rows, 1, ids);
        rows.reshape('c', texts, tokens * hidden).addiRowVector(positions(getParam(BertEmbeddings.POSITIONS), tokens));
        return rows.addiRowVector(getParam(BertEmbeddings.TYPES).getRow(0, true));
    }

    /** The first positions one after the other, as a row vector. */
    private static INDArray positions(INDArray matrix, long tokens) {
        return matrix.get(NDArrayIndex.interval(0, tokens), NDArrayIndex.all()).reshape('c', 1, tokens * matrix.size(1));
    }

    private int[] checkedIds() {
        if (input.rank() != 2 || input.size(1) > layerConf().getPositions()) {
            throw new IllegalArgumentException("Token ids have shape " + Arrays.toString(input.shape())
                    + ", expected [minibatch, tokens] with at most " + layerConf()
                    .getPositions() + " tokens: cut longer texts " + layerId());
        }
        int[] ids = input.dup('c').data().asInt();
        for (int id : ids) {
            if (id < 0 || id >= layerConf().getNIn()) {
                throw new IllegalArgumentException("Token id " + id + " is outside the vocabulary of " + layerConf().getNIn()
                        + " tokens: was the text cut into tokens by another model's tokenizer? " + layerId());
            }
        }
        return ids;
    }

    @Override
    @SuppressWarnings("deprecation")
    public Pair<Gradient, INDArray> backpropGradient(INDArray epsilon, LayerWorkspaceMgr workspaces) {
        assertInputSet(true);
        int[] ids = checkedIds();
        long texts = input.size(0);
        long tokens = input.size(1);
        INDArray rows = epsilon.ordering() == 'c' ? epsilon : epsilon.dup('c');
        INDArray words = gradientViews.get(BertEmbeddings.WORDS).assign(0);
        Nd4j.getExecutioner().scatterUpdate(ScatterUpdate.UpdateOp.ADD, words, Nd4j.createFromArray(ids), rows, new int[]{1});
        INDArray positions = gradientViews.get(BertEmbeddings.POSITIONS).assign(0);
        positions(positions, tokens).assign(rows.reshape('c', texts, tokens * words.size(1)).sum(true, 0));
        INDArray types = gradientViews.get(BertEmbeddings.TYPES).assign(0);
        types.getRow(0, true).assign(rows.sum(true, 0));
        return new Pair<>(gradients(), null);
    }
}
