package io.github.dl4jlora.transformers.layer;

import io.github.dl4jlora.internal.kernel.PassingOutput;
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
 * Runs {@link MultiHeadAttention}. With P = softmax(Q·Kᵀ/√d), text by text, so that scores stay in the cache:
 *
 * <pre>
 * dV = Pᵀ·dO      dP = dO·Vᵀ      dS = P ⊙ (dP - rowsum(P ⊙ dP))      dQ = dS·K / √d      dK = dSᵀ·Q / √d
 * </pre>
 *
 * P is computed again in the backward pass, as by Dao et al. 2022 (arXiv:2205.14135): keeping it would take tokens / d times as
 * much memory as Q. The scales of its rows are kept.
 */
@SuppressWarnings("overrides")
final class MultiHeadAttentionRuntime extends TokenVertex implements PassingOutput.Maker {

    private static final long serialVersionUID = 1L;

    private final int heads;
    private final boolean causal;
    private final boolean joint;
    private transient PassingOutput place;
    /** Scales of each text's rows, from a training forward pass with the inputs in {@code scaled}. */
    private transient float[][] scales;
    private transient INDArray[] scaled;

    MultiHeadAttentionRuntime(ComputationGraph graph, String name, int index, MultiHeadAttention conf, DataType type) {
        super(graph, name, index, conf.getPadding(), type);
        this.heads = conf.getHeads();
        this.causal = conf.isCausal();
        this.joint = conf.isJoint();
    }

    @Override
    public void setPassingOutput(PassingOutput output) {
        place = output;
    }

    @Override
    public INDArray doForward(boolean training, LayerWorkspaceMgr workspaces) {
        INDArray query = rows(0);
        INDArray key = rows(1);
        INDArray value = rows(2);
        INDArray output = PassingOutput.create(place, training, workspaces, dataType,
                new long[]{inputs[0].size(0), hidden()}, 'c');
        INDArray p = scores(ArrayType.FF_WORKING_MEM, workspaces);
        int[] lengths = lengths(checkedIds());
        HeadProducts products = products(query);
        boolean keep = training && HostFloats.reaches(p);
        float[][] byText = new float[keep ? lengths.length : 1][2 * (int) p.size(0)];
        scales = keep ? byText : null;
        scaled = inputs.clone();
        for (int text = 0; text < lengths.length; text++) {
            products.outer(text, query, key, p, scale());
            MaskedSoftmax.forward(p, lengths[text], causal, byText[keep ? text : 0]);
            products.apply(text, p, false, value, output, 1);
        }
        return output;
    }

    @Override
    public void clear() {
        super.clear();
        scales = null;
        scaled = null;
    }

    /** Scores of one text. */
    private INDArray scores(ArrayType lifetime, LayerWorkspaceMgr workspaces) {
        long tokens = checkedIds().size(1);
        return workspaces.createUninitialized(lifetime, dataType, new long[]{heads * tokens, tokens}, 'c');
    }

    private HeadProducts products(INDArray rows) {
        return HeadProducts.of(rows, (int) checkedIds().size(0), heads);
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
        INDArray query = rows(0);
        INDArray key = rows(1);
        INDArray value = rows(2);
        INDArray dOutput = rows(epsilon);
        INDArray[] dInputs = new INDArray[joint ? 1 : 3];
        for (int i = 0; i < dInputs.length; i++) {
            dInputs[i] = workspaces.createUninitialized(ArrayType.ACTIVATION_GRAD, dataType, inputs[0].shape(), 'c');
        }
        INDArray dQuery = joint ? part(dInputs[0], 0) : dInputs[0];
        INDArray dKey = joint ? part(dInputs[0], 1) : dInputs[1];
        INDArray dValue = joint ? part(dInputs[0], 2) : dInputs[2];
        INDArray p = scores(ArrayType.BP_WORKING_MEM, workspaces);
        INDArray dScores = scores(ArrayType.BP_WORKING_MEM, workspaces);
        int[] lengths = lengths(checkedIds());
        HeadProducts products = products(query);
        float[][] kept = isScaled() ? scales : null;
        for (int text = 0; text < lengths.length; text++) {
            products.outer(text, query, key, p, scale());
            if (kept == null) {
                MaskedSoftmax.forward(p, lengths[text], causal, new float[2 * (int) p.size(0)]);
            } else {
                MaskedSoftmax.again(p, lengths[text], causal, kept[text]);
            }
            products.apply(text, p, true, dOutput, dValue, 1);
            products.outer(text, dOutput, value, dScores, 1);
            MaskedSoftmax.backward(p, dScores);
            products.apply(text, dScores, false, key, dQuery, scale());
            products.apply(text, dScores, true, query, dKey, scale());
        }
        return new Pair<>(null, Arrays.copyOf(dInputs, inputs.length));
    }

    /** False if something else was fed forward in between. */
    private boolean isScaled() {
        if (scales == null) {
            return false;
        }
        for (int i = 0; i < inputs.length; i++) {
            if (inputs[i] != scaled[i]) {
                return false;
            }
        }
        return true;
    }
}
