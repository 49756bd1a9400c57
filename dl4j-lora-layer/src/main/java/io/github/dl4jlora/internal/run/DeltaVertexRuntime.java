package io.github.dl4jlora.internal.run;

import io.github.dl4jlora.internal.stock.StockMatrices;
import io.github.dl4jlora.layer.LoRAWrapperVertex;
import io.github.dl4jlora.Scaling;
import io.github.dl4jlora.internal.stock.SameDiffBackprop;
import org.deeplearning4j.nn.api.MaskState;
import org.deeplearning4j.nn.api.TrainingConfig;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.graph.vertex.BaseWrapperVertex;
import org.deeplearning4j.nn.graph.vertex.GraphVertex;
import org.deeplearning4j.nn.layers.samediff.SameDiffGraphVertex;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Runs a {@link LoRAWrapperVertex}; see {@link DeltaRuntime}. */
public final class DeltaVertexRuntime extends BaseWrapperVertex implements AdaptedRuntime {

    private final LoRAWrapperVertex conf;
    private final INDArray view;
    private final Map<String, INDArray> table;
    private final EffectiveWeights weights;
    private final SameDiffBackprop sameDiff = new SameDiffBackprop();
    private final long stockLength;
    private final DataType type;
    private INDArray gradientsView;

    private DeltaVertexRuntime(LoRAWrapperVertex conf, GraphVertex stock, INDArray values, INDArray view,
                               Map<String, INDArray> table, DataType type) {
        super(stock);
        this.conf = conf;
        this.view = view;
        this.table = table;
        this.type = type;
        this.stockLength = values.length();
        this.weights = new EffectiveWeights(conf.getName(), StockMatrices.of(conf.stockVertex()).forms(), () -> conf,
                () -> conf.frozenValues(view), view, table, values);
        weights.bind(stock.paramTable(false));
    }

    public static DeltaVertexRuntime of(LoRAWrapperVertex conf, ComputationGraph graph, String name, int index, INDArray view,
                                 boolean initialize, DataType type) {
        long embedded = conf.embedded();
        Map<String, INDArray> table = new LinkedHashMap<>();
        if (embedded > 0) {
            INDArray head = LowRankTable.interval(view, 0, embedded);
            table.putAll(conf.stockVertex().instantiate(graph, name, index, head, initialize, type).paramTable(false));
        }
        Map<String, INDArray> trained = LowRankTable.of(conf, LowRankTable.interval(view, embedded, view.length()));
        table.putAll(trained);
        if (initialize) {
            LowRankTable.initialize(conf, trained, conf.getLoraInit());
        }
        INDArray values;
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            values = Nd4j.create(type, conf.frozenParams());
        }
        GraphVertex stock = conf.stockVertex().instantiate(graph, name, index, values, false, type);
        return new DeltaVertexRuntime(conf, stock, values, view, table, type);
    }

    @Override
    public INDArray doForward(boolean training, LayerWorkspaceMgr workspaces) {
        weights.refresh();
        return underlying.doForward(training, workspaces);
    }

    @Override
    public Pair<Gradient, INDArray[]> doBackward(boolean tbptt, LayerWorkspaceMgr workspaces) {
        weights.requireEnabled();
        weights.refresh();
        underlying.setBackpropGradientsViewArray(workspaces.createUninitialized(ArrayType.BP_WORKING_MEM, type, stockLength));
        Pair<Gradient, INDArray[]> result;
        if (underlying instanceof SameDiffGraphVertex) {
            result = sameDiff.run(underlying.getEpsilon(), corrected -> {
                underlying.setEpsilon(corrected);
                return underlying.doBackward(tbptt, workspaces);
            });
        } else {
            result = underlying.doBackward(tbptt, workspaces);
        }
        return new Pair<>(weights.project(result.getFirst()), result.getSecond());
    }

    @Override
    public void clear() {
        underlying.clear();
        if (underlying instanceof SameDiffGraphVertex) {
            // It keeps the masks of the last batch otherwise and applies them to one that has none.
            underlying.feedForwardMaskArrays(null, MaskState.Active, 0);
        }
    }

    @Override
    public void setInputGradient(InputGradient use) {
        // The stock vertex computes them in any case.
    }

    @Override
    public void rescale(String key, double alpha, Scaling scaling) {
        conf.rescale(key, alpha, scaling);
        weights.rescaled();
    }

    @Override
    public void disable() {
        weights.disable();
    }

    @Override
    public void enable() {
        weights.enable();
    }

    @Override
    public void route(String key, long rows, List<Route> routes) {
        if (routes != null && routes.size() > 1) {
            throw new RowsMismatchException("Vertex " + LoRAParams.quoted(conf.getName()) + " has one set of weights for all rows");
        }
        weights.route(key, routes == null ? null : routes.get(0));
    }

    @Override
    public long numParams() {
        return view.length();
    }

    @Override
    public INDArray params() {
        return view;
    }

    @Override
    public Map<String, INDArray> paramTable(boolean backpropOnly) {
        return table;
    }

    @Override
    public INDArray getGradientsViewArray() {
        return gradientsView;
    }

    @Override
    public void setBackpropGradientsViewArray(INDArray gradients) {
        gradientsView = gradients;
        weights.setGradients(LowRankTable.of(conf,
                LowRankTable.interval(gradients, conf.embedded(), gradients.length())));
    }

    @Override
    public TrainingConfig getConfig() {
        return conf;
    }

    @Override
    public boolean updaterDivideByMinibatch(String key) {
        return conf.trains(key);
    }
}
