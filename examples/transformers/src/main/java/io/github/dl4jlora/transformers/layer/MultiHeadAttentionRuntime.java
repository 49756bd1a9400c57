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

/** Runs {@link MultiHeadAttention}. */
@SuppressWarnings("overrides")
final class MultiHeadAttentionRuntime extends TokenVertex implements PassingOutput.Maker, KeyValueCache.User {

    private static final long serialVersionUID = 1L;

    private final int heads;
    private final boolean causal;
    private final boolean joint;
    private final String biasLayer;
    private transient PassingOutput place;
    private transient KeyValueCache cache;

    MultiHeadAttentionRuntime(ComputationGraph graph, String name, int index, MultiHeadAttention conf, DataType type) {
        super(graph, name, index, conf.getPadding(), type);
        this.heads = conf.getHeads();
        this.causal = conf.isCausal();
        this.joint = conf.isJoint();
        this.biasLayer = conf.getBias();
    }

    @Override
    public void setPassingOutput(PassingOutput output) {
        place = output;
    }

    @Override
    public void use(KeyValueCache lent) {
        cache = lent;
    }

    boolean isCausal() {
        return causal;
    }

    @Override
    public INDArray doForward(boolean training, LayerWorkspaceMgr workspaces) {
        INDArray[] projected = projected();
        INDArray query = projected[0];
        INDArray key = projected[1];
        INDArray value = projected[2];
        if (cache != null) {
            INDArray output = workspaces.createUninitialized(ArrayType.ACTIVATIONS, dataType,
                    new long[]{inputs[0].size(0), hidden()}, 'c');
            cache.attention(vertexName, heads).forward(query, key, value, cache.size(), output, workspaces);
            return output;
        }
        INDArray output = PassingOutput.create(place, training, workspaces, dataType,
                new long[]{inputs[0].size(0), hidden()}, 'c');
        KeptTokens texts = kept();
        INDArray scores = scores(texts, ArrayType.FF_WORKING_MEM, workspaces);
        attention(query, texts, bias(texts, scores)).forward(query, key, value, output, scores);
        return output;
    }

    private INDArray scores(KeptTokens texts, ArrayType lifetime, LayerWorkspaceMgr workspaces) {
        return workspaces.createUninitialized(lifetime, dataType,
                new long[]{BlockwiseAttention.scores(heads, texts.tokens(), causal)}, 'c');
    }

    /** What is added to scores like these; null for nothing. */
    private DistanceBias bias(KeptTokens texts, INDArray scores) {
        return biasLayer == null ? null : new DistanceBias(MatrixLayer.in(graph, biasLayer, vertexName)
                .getParam(RelativeAttentionBias.BIAS), texts.tokens(), scores);
    }

    private BlockwiseAttention attention(INDArray rows, KeptTokens texts, DistanceBias bias) {
        return new BlockwiseAttention(HeadProducts.of(rows, texts.texts(), heads), texts, heads,
                1 / Math.sqrt((double) hidden() / heads), causal, bias);
    }

    private long hidden() {
        return joint ? inputs[0].size(1) / 3 : inputs[0].size(1);
    }

    /** Queries, keys and values. */
    private INDArray[] projected() {
        if (joint) {
            INDArray all = rows(inputs[0]);
            return new INDArray[]{part(all, 0), part(all, 1), part(all, 2)};
        }
        return new INDArray[]{rows(inputs[0]), rows(inputs[1]), rows(inputs[2])};
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
        INDArray[] projected = projected();
        INDArray query = projected[0];
        INDArray key = projected[1];
        INDArray value = projected[2];
        INDArray dOutput = rows(epsilon);
        INDArray[] dInputs = new INDArray[joint ? 1 : 3];
        for (int i = 0; i < dInputs.length; i++) {
            dInputs[i] = workspaces.create(ArrayType.ACTIVATION_GRAD, dataType, inputs[0].shape(), 'c');
        }
        INDArray dQuery = joint ? part(dInputs[0], 0) : dInputs[0];
        INDArray dKey = joint ? part(dInputs[0], 1) : dInputs[1];
        INDArray dValue = joint ? part(dInputs[0], 2) : dInputs[2];
        KeptTokens texts = kept();
        INDArray scores = scores(texts, ArrayType.BP_WORKING_MEM, workspaces);
        DistanceBias bias = bias(texts, scores);
        attention(query, texts, bias).backward(query, key, value, dOutput, dQuery, dKey, dValue, scores,
                scores(texts, ArrayType.BP_WORKING_MEM, workspaces));
        if (bias != null && MatrixLayer.trains(graph, biasLayer)) {
            bias.addGradientTo(MatrixLayer.in(graph, biasLayer, vertexName).shareOf(RelativeAttentionBias.BIAS));
        }
        return new Pair<>(null, Arrays.copyOf(dInputs, inputs.length));
    }
}
