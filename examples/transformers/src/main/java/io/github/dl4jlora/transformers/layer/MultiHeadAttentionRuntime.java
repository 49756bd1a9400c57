package io.github.dl4jlora.transformers.layer;

import io.github.dl4jlora.internal.kernel.KeptArrays;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.indexing.NDArrayIndex;

import java.util.Arrays;

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
    private final boolean causal;
    private final boolean joint;
    private transient INDArray probabilities;

    MultiHeadAttentionRuntime(ComputationGraph graph, String name, int index, MultiHeadAttention conf, DataType type) {
        super(graph, name, index, conf.getPadding(), type);
        this.heads = conf.getHeads();
        this.causal = conf.isCausal();
        this.joint = conf.isJoint();
    }

    @Override
    public INDArray doForward(boolean training, LayerWorkspaceMgr workspaces) {
        INDArray p = probabilities(workspaces, training ? ArrayType.ACTIVATIONS : ArrayType.FF_WORKING_MEM);
        probabilities = training ? p : null;
        INDArray output = workspaces.createUninitialized(ArrayType.ACTIVATIONS, dataType,
                new long[]{inputs[0].size(0), hidden()}, 'c');
        products().apply(p, false, rows(2), output, 1);
        return output;
    }

    private INDArray probabilities(LayerWorkspaceMgr workspaces, ArrayType lifetime) {
        INDArray ids = checkedIds();
        INDArray p = workspaces.createUninitialized(lifetime, dataType,
                new long[]{ids.size(0) * heads * ids.size(1), ids.size(1)}, 'c');
        products().outer(rows(0), rows(1), p, scale());
        MaskedSoftmax.forward(p, lengths(ids), heads, causal);
        return p;
    }

    private HeadProducts products() {
        return HeadProducts.of(rows(0), (int) checkedIds().size(0), heads);
    }

    private double scale() {
        return 1 / Math.sqrt((double) hidden() / heads);
    }

    private long hidden() {
        return joint ? inputs[0].size(1) / 3 : inputs[0].size(1);
    }

    /** Queries, keys or values. */
    private INDArray rows(int part) {
        return joint ? part(rows(inputs[0]), part) : rows(inputs[part]);
    }

    /** A view of one of three parts that are side by side. */
    private INDArray part(INDArray all, int part) {
        return all.get(NDArrayIndex.all(), NDArrayIndex.interval(part * hidden(), (part + 1) * hidden()));
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
        INDArray[] dInputs = new INDArray[joint ? 1 : 3];
        for (int i = 0; i < dInputs.length; i++) {
            dInputs[i] = workspaces.createUninitialized(ArrayType.ACTIVATION_GRAD, dataType, inputs[0].shape(), 'c');
        }
        INDArray dQuery = joint ? part(dInputs[0], 0) : dInputs[0];
        INDArray dKey = joint ? part(dInputs[0], 1) : dInputs[1];
        INDArray dValue = joint ? part(dInputs[0], 2) : dInputs[2];
        INDArray dScores = workspaces.createUninitialized(ArrayType.BP_WORKING_MEM, dataType, p.shape(), 'c');
        products.apply(p, true, dOutput, dValue, 1);
        products.outer(dOutput, rows(2), dScores, 1);
        MaskedSoftmax.backward(p, dScores);
        products.apply(dScores, false, rows(1), dQuery, scale());
        products.apply(dScores, true, rows(0), dKey, scale());
        probabilities = null;
        return new Pair<>(null, Arrays.copyOf(dInputs, inputs.length));
    }

    @Override
    public void clear() {
        super.clear();
        probabilities = null;
    }
}
