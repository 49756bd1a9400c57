package io.github.dl4jlora.internal.attention;

import io.github.dl4jlora.internal.run.AdaptedRuntime.InputGradient;
import org.deeplearning4j.exception.DL4JInvalidInputException;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.api.MaskState;
import org.deeplearning4j.nn.conf.graph.AttentionVertex;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.graph.vertex.BaseGraphVertex;
import org.deeplearning4j.nn.graph.vertex.GraphVertex;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.jspecify.annotations.Nullable;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.ops.transforms.Transforms;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * Runs an AttentionVertex in the place of DL4J's SameDiff runtime. As there, the lesser of the masks of keys and values takes
 * steps away from what queries attend to, outputs are multiplied by the mask of queries, and that is handed on.
 *
 * <pre>
 * inputs  queries [minibatch, nInQueries, queries], keys [minibatch, nInKeys, keys], values [minibatch, nInValues, keys]
 * output  [minibatch, nOut, queries]
 * </pre>
 */
@SuppressWarnings("overrides")
final class AttentionNode extends BaseGraphVertex implements AttentionKernels.Face {

    private static final long serialVersionUID = 1L;
    private static final List<String> INPUTS = List.of("queries", "keys", "values");

    private final AttentionVertex conf;
    private final Attention attention;
    private INDArray @Nullable [] masks;
    private @Nullable GraphVertex base;
    private boolean stock;
    private @Nullable GraphVertex shown;

    AttentionNode(AttentionVertex conf, ComputationGraph graph, String name, int index, DataType type, AttentionForm form) {
        super(graph, name, index, null, null, type);
        this.conf = conf;
        this.attention = new Attention(form, type);
    }

    @Override
    public Attention attention() {
        return attention;
    }

    /** To be called for a frozen vertex: DL4J sees the parameters of its stock vertex. */
    void show(GraphVertex stockVertex) {
        shown = stockVertex;
    }

    @Override
    public Map<String, INDArray> paramTable(boolean backpropOnly) {
        return shown == null ? Map.of() : shown.paramTable(backpropOnly);
    }

    @Override
    public @Nullable INDArray params() {
        return shown == null ? null : shown.params();
    }

    /** DL4J adds up the gradients of its inputs. */
    @Override
    public void setInputGradient(InputGradient use) {
        // All are computed.
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
    public void setInput(int number, INDArray input, LayerWorkspaceMgr workspaces) {
        attention.drop();
        super.setInput(number, input, workspaces);
    }

    @Override
    public void setInputs(INDArray... inputs) {
        attention.drop();
        super.setInputs(inputs);
    }

    /** With it goes the mask of the last batch, which another may not have. */
    @Override
    public void clear() {
        drop();
        masks = null;
        super.clear();
    }

    @Override
    public Pair<INDArray, MaskState> feedForwardMaskArrays(INDArray @Nullable [] arrays, MaskState state, int minibatch) {
        attention.drop();
        masks = arrays;
        return conf.feedForwardMaskArrays(arrays, state, minibatch);
    }

    @Override
    public INDArray doForward(boolean training, LayerWorkspaceMgr workspaces) {
        if (stock) {
            return ofBase(training, workspaces);
        }
        for (int i = 0; i < INPUTS.size(); i++) {
            Sequences.require(id(i), inputs[i], attention.nIn(i), inputs[0]);
        }
        if (inputs[1].size(2) != inputs[2].size(2)) {
            throw new DL4JInvalidInputException("Keys have " + inputs[1].size(2) + " steps, but values " + inputs[2].size(2)
                    + ": give a value for each key " + id(2));
        }
        INDArray output = attention.forward(rows(workspaces, ArrayType.FF_WORKING_MEM), inputs[0].size(0), keyMasks(),
                attention.keeps(training), workspaces);
        return Sequences.sequence(masked(output), inputs[0].size(0));
    }

    private String id(int input) {
        return "(vertex name: " + vertexName + ", vertex index: " + vertexIndex + ", input: " + INPUTS.get(input) + ")";
    }

    /** What the base's vertex computes, bit for bit, by DL4J's own runtime. */
    private INDArray ofBase(boolean training, LayerWorkspaceMgr workspaces) {
        if (base == null) {
            try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
                base = conf.instantiate(graph, vertexName, vertexIndex, attention.weights().flat(), false, dataType);
            }
        }
        base.setInputs(inputs);
        base.feedForwardMaskArrays(masks, MaskState.Active, (int) inputs[0].size(0));
        return base.doForward(training, workspaces);
    }

    private List<INDArray> rows(LayerWorkspaceMgr workspaces, ArrayType lifetime) {
        List<INDArray> rows = new ArrayList<>();
        for (int i = 0; i < INPUTS.size(); i++) {
            rows.add(sameAs(i) < i ? rows.get(sameAs(i)) : Sequences.rows(inputs[i], dataType, workspaces, lifetime));
        }
        return rows;
    }

    /** The first input that is this one. */
    @SuppressWarnings("ReferenceEquality")
    private int sameAs(int input) {
        int first = 0;
        while (inputs[first] != inputs[input]) {
            first++;
        }
        return first;
    }

    private @Nullable INDArray mask(int input) {
        INDArray mask = masks == null ? null : masks[input];
        if (mask == null) {
            return null;
        }
        Sequences.requireMask(id(input), mask, inputs[input]);
        return mask.castTo(dataType);
    }

    private double @Nullable [][] keyMasks() {
        INDArray keys = mask(1);
        INDArray values = mask(2);
        if (keys == null && values == null) {
            return null;
        }
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            INDArray given = keys != null ? keys : Objects.requireNonNull(values);
            INDArray other = keys != null && values != null ? values : Nd4j.ones(dataType, given.shape());
            return Transforms.min(given, other, true).castTo(DataType.DOUBLE).toDoubleMatrix();
        }
    }

    /** Rows of outputs, or of their gradient, times the mask of queries; in place. */
    private INDArray masked(INDArray rows) {
        INDArray mask = mask(0);
        return mask == null ? rows : rows.muliColumnVector(mask.dup('c').reshape('c', rows.size(0), 1));
    }

    @Override
    public Pair<Gradient, INDArray[]> doBackward(boolean tbptt, LayerWorkspaceMgr workspaces) {
        long examples = inputs[0].size(0);
        List<INDArray> rows = rows(workspaces, ArrayType.BP_WORKING_MEM);
        if (!attention.isReady()) {
            attention.forward(rows, examples, keyMasks(), true, workspaces);
        }
        INDArray dOutput = Sequences.rows(epsilon, dataType, workspaces, ArrayType.BP_WORKING_MEM);
        if (mask(0) != null) {
            dOutput = masked(workspaces.dup(ArrayType.BP_WORKING_MEM, dOutput, 'c'));
        }
        List<INDArray> dRows = rows.stream().map(x -> workspaces.createUninitialized(ArrayType.ACTIVATION_GRAD, dataType,
                x.shape(), 'c')).toList();
        Gradient gradient = attention.backward(rows, examples, keyMasks(), dOutput, new ArrayList<>(dRows), workspaces);
        return new Pair<>(gradient, dRows.stream().map(dx -> Sequences.sequence(dx, examples)).toArray(INDArray[]::new));
    }

    @Override
    public void setBackpropGradientsViewArray(INDArray gradients) {
        // Those of the adapter are set where it is.
    }

    @Override
    public boolean hasLayer() {
        return false;
    }

    @Override
    public @Nullable Layer getLayer() {
        return null;
    }

    @Override
    public String toString() {
        return "AttentionVertex(" + vertexName + ")";
    }
}
