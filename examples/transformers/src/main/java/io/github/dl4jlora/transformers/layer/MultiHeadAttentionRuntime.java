package io.github.dl4jlora.transformers.layer;

import io.github.dl4jlora.internal.kernel.KeptArrays;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * Runs {@link MultiHeadAttention}. With P = softmax(Q·Kᵀ/√d), which a training forward pass keeps in the activations
 * workspace:
 *
 * <pre>
 * dV = Pᵀ·dO      dP = dO·Vᵀ      dS = P ⊙ (dP - rowsum(P ⊙ dP))      dQ = dS·K / √d      dK = dSᵀ·Q / √d
 * </pre>
 */
@SuppressWarnings("overrides")
final class MultiHeadAttentionRuntime extends TokenVertex {

    private static final long serialVersionUID = 1L;

    private final int heads;
    private transient INDArray probabilities;

    MultiHeadAttentionRuntime(ComputationGraph graph, String name, int index, int heads, DataType type) {
        super(graph, name, index, type);
        this.heads = heads;
    }

    @Override
    public INDArray doForward(boolean training, LayerWorkspaceMgr workspaces) {
        INDArray p = probabilities(workspaces, training ? ArrayType.ACTIVATIONS : ArrayType.FF_WORKING_MEM);
        probabilities = training ? p : null;
        INDArray output = workspaces.createUninitialized(ArrayType.ACTIVATIONS, dataType, inputs[0].shape(), 'c');
        products().apply(p, false, rows(2), output, 1);
        return output;
    }

    private INDArray probabilities(LayerWorkspaceMgr workspaces, ArrayType lifetime) {
        INDArray ids = checkedIds();
        INDArray p = workspaces.createUninitialized(lifetime, dataType,
                new long[]{ids.size(0) * heads * ids.size(1), ids.size(1)}, 'c');
        products().outer(rows(0), rows(1), p, scale());
        MaskedSoftmax.forward(p, lengths(ids), heads);
        return p;
    }

    private HeadProducts products() {
        return HeadProducts.of(rows(0), (int) checkedIds().size(0), heads);
    }

    private double scale() {
        return 1 / Math.sqrt((double) inputs[0].size(1) / heads);
    }

    private INDArray rows(int input) {
        return rows(inputs[input]);
    }

    private INDArray rows(INDArray array) {
        INDArray cast = array.castTo(dataType);
        return cast.ordering() == 'c' && cast.elementWiseStride() == 1 ? cast : cast.dup('c');
    }

    @Override
    public Pair<Gradient, INDArray[]> doBackward(boolean tbptt, LayerWorkspaceMgr workspaces) {
        // Kept by the forward pass of the same step; computed again where somebody fed forward for inference in between.
        INDArray p = KeptArrays.isUsable(probabilities) ? probabilities : probabilities(workspaces, ArrayType.BP_WORKING_MEM);
        HeadProducts products = products();
        INDArray dOutput = rows(epsilon);
        INDArray dQuery = workspaces.createUninitialized(ArrayType.ACTIVATION_GRAD, dataType, inputs[0].shape(), 'c');
        INDArray dKey = workspaces.createUninitialized(ArrayType.ACTIVATION_GRAD, dataType, inputs[0].shape(), 'c');
        INDArray dValue = workspaces.createUninitialized(ArrayType.ACTIVATION_GRAD, dataType, inputs[0].shape(), 'c');
        INDArray dScores = workspaces.createUninitialized(ArrayType.BP_WORKING_MEM, dataType, p.shape(), 'c');
        products.apply(p, true, dOutput, dValue, 1);
        products.outer(dOutput, rows(2), dScores, 1);
        MaskedSoftmax.backward(p, dScores);
        products.apply(dScores, false, rows(1), dQuery, scale());
        products.apply(dScores, true, rows(0), dKey, scale());
        probabilities = null;
        return new Pair<>(null, new INDArray[]{dQuery, dKey, dValue, null});
    }

    @Override
    public void clear() {
        super.clear();
        probabilities = null;
    }
}
