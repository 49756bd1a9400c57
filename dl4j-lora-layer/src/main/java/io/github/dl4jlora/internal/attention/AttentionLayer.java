package io.github.dl4jlora.internal.attention;

import io.github.dl4jlora.internal.run.AdaptedRuntime.InputGradient;
import io.github.dl4jlora.internal.stock.StockLayers;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.api.MaskState;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.samediff.SameDiffLayer;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.layers.AbstractLayer;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.jspecify.annotations.Nullable;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * Runs a SelfAttentionLayer in the place of DL4J's SameDiff runtime. As there, a mask takes steps away from what others attend
 * to, and is handed on; dropout is not applied.
 *
 * <pre>
 * input   [minibatch, nIn, steps]
 * output  [minibatch, nOut, steps]
 * </pre>
 */
@SuppressWarnings("overrides")
final class AttentionLayer extends AbstractLayer<SameDiffLayer> implements AttentionKernels.Face {

    private final Attention attention;
    private InputGradient inputGradient = InputGradient.NEEDED;
    private @Nullable Layer base;
    private boolean stock;
    private @Nullable Layer shown;

    /** @param conf with the stock layer */
    AttentionLayer(NeuralNetConfiguration conf, DataType type, AttentionForm form) {
        super(conf, type);
        attention = new Attention(form, type);
    }

    @Override
    public Attention attention() {
        return attention;
    }

    /** To be called for a frozen layer: DL4J sees the parameters of its stock layer. */
    void show(Layer stockLayer) {
        shown = stockLayer;
    }

    @Override
    public Map<String, INDArray> paramTable(boolean backpropOnly) {
        return shown == null ? Map.of() : shown.paramTable(backpropOnly);
    }

    @Override
    public @Nullable INDArray getParam(String key) {
        return paramTable(false).get(key);
    }

    @Override
    public @Nullable INDArray params() {
        return shown == null ? null : shown.params();
    }

    @Override
    public long numParams() {
        return shown == null ? 0 : shown.numParams();
    }

    @Override
    public void setParam(String key, INDArray value) {
        Objects.requireNonNull(shown).setParam(key, value);
    }

    @Override
    public void setParams(INDArray values) {
        Objects.requireNonNull(shown).setParams(values);
    }

    @Override
    public void setInputGradient(InputGradient use) {
        inputGradient = use;
    }

    @Override
    public void setStock(boolean asStock) {
        stock = asStock;
        drop();
    }

    private void drop() {
        attention.drop();
        base = null;
    }

    @Override
    public void setInput(INDArray newInput, LayerWorkspaceMgr workspaces) {
        attention.drop();
        super.setInput(newInput, workspaces);
    }

    @Override
    public void setMaskArray(@Nullable INDArray mask) {
        attention.drop();
        super.setMaskArray(mask);
    }

    @Override
    public Pair<INDArray, MaskState> feedForwardMaskArray(@Nullable INDArray mask, MaskState state, int minibatch) {
        attention.drop();
        return super.feedForwardMaskArray(mask, state, minibatch);
    }

    @Override
    public void clear() {
        drop();
        super.clear();
    }

    @Override
    public INDArray activate(boolean training, LayerWorkspaceMgr workspaces) {
        assertInputSet(false);
        if (stock) {
            return ofBase(training, workspaces);
        }
        Sequences.require(layerId(), input, attention.nIn(0), null);
        INDArray output = attention.forward(rows(workspaces, ArrayType.FF_WORKING_MEM), input.size(0), masks(),
                attention.keeps(training), workspaces);
        return Sequences.sequence(output, input.size(0));
    }

    /** What the base's layer computes, bit for bit, by DL4J's own runtime. */
    private INDArray ofBase(boolean training, LayerWorkspaceMgr workspaces) {
        if (base == null) {
            try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
                base = StockLayers.running(StockLayers.confOf(conf.getLayer(), conf), trainingListeners, index,
                        attention.weights().flat(), false, dataType);
            }
        }
        base.setInput(input, workspaces);
        base.setMaskArray(maskArray);
        return base.activate(training, workspaces);
    }

    /** The input three times: queries, keys and values. */
    private List<INDArray> rows(LayerWorkspaceMgr workspaces, ArrayType lifetime) {
        return Collections.nCopies(3, Sequences.rows(input, dataType, workspaces, lifetime));
    }

    private double @Nullable [][] masks() {
        if (maskArray == null) {
            return null;
        }
        Sequences.requireMask(layerId(), maskArray, input);
        return maskArray.castTo(DataType.DOUBLE).toDoubleMatrix();
    }

    @Override
    public Pair<Gradient, INDArray> backpropGradient(INDArray epsilon, LayerWorkspaceMgr workspaces) {
        assertInputSet(true);
        long examples = input.size(0);
        List<INDArray> x = rows(workspaces, ArrayType.BP_WORKING_MEM);
        if (!attention.isReady()) {
            attention.forward(x, examples, masks(), true, workspaces);
        }
        INDArray dx = inputGradient.isNeeded()
                ? workspaces.createUninitialized(ArrayType.ACTIVATION_GRAD, dataType, x.get(0).shape(), 'c') : null;
        Gradient gradient = attention.backward(x, examples, masks(),
                Sequences.rows(epsilon, dataType, workspaces, ArrayType.BP_WORKING_MEM), Arrays.asList(dx, dx, dx), workspaces);
        return new Pair<>(gradient, dx == null ? null : Sequences.sequence(dx, examples));
    }

    @Override
    public boolean isPretrainLayer() {
        return false;
    }

    @Override
    public void clearNoiseWeightParams() {
        // There is no weight noise.
    }

    @Override
    public Layer clone() {
        throw new UnsupportedOperationException("Clone the network instead " + layerId());
    }
}
