package io.github.dl4jlora.internal.effective;

import io.github.dl4jlora.conf.FrozenStorage;
import io.github.dl4jlora.internal.adapted.AdaptedConfiguration;
import io.github.dl4jlora.internal.adapted.AdapterLayout;
import io.github.dl4jlora.internal.run.AdaptedRuntime;
import io.github.dl4jlora.internal.run.Adapter;
import io.github.dl4jlora.internal.stock.SameDiffBackprop;
import org.deeplearning4j.nn.api.TrainingConfig;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.graph.vertex.BaseWrapperVertex;
import org.deeplearning4j.nn.graph.vertex.GraphVertex;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.jspecify.annotations.Nullable;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.Map;
import java.util.Objects;
import java.util.function.Function;

/** Runs a LoRAWrapperVertex; see {@link StockRuntime}. */
public final class EffectiveVertex extends BaseWrapperVertex implements AdaptedRuntime {

    private final StockPart<GraphVertex> part;

    private EffectiveVertex(StockPart<GraphVertex> part, GraphVertex stock) {
        super(stock);
        this.part = part;
    }

    /**
     * The running vertex of an adapted configuration, on effective weights.
     *
     * @param view       its part of the network's vector
     * @param initialize whether to give the adapter a fresh start
     */
    public static EffectiveVertex of(AdaptedConfiguration conf, ComputationGraph graph, String name, int index, INDArray view,
                                     boolean initialize, DataType type) {
        INDArray values = EffectiveWeights.room(conf, type);
        GraphVertex stock = Objects.requireNonNull(conf.stockVertex()).instantiate(graph, name, index, values, false, type);
        return on(conf, stock, view, initialize, type,
                adapter -> new EffectiveWeights(adapter, view, values, stock.paramTable(false)));
    }

    /**
     * The running vertex on other weights.
     *
     * @param stock   runs on them
     * @param weights made for the vertex's adapter
     */
    public static EffectiveVertex on(AdaptedConfiguration conf, GraphVertex stock, INDArray view, boolean initialize,
                                     DataType type, Function<Adapter, StockWeights> weights) {
        Map<String, INDArray> embedded = conf.getStorage() == FrozenStorage.EMBEDDED
                ? conf.stockTable(AdapterLayout.interval(view, 0, conf.frozenParams()), initialize) : Map.of();
        return new EffectiveVertex(new StockPart<>(() -> conf, stock, view, conf.layout().table(conf, embedded, view),
                initialize, type, weights), stock);
    }

    @Override
    public Adapter adapter() {
        return part.adapter();
    }

    @Override
    public INDArray doForward(boolean training, LayerWorkspaceMgr workspaces) {
        return part.stock(training).doForward(training, workspaces);
    }

    @Override
    public Pair<Gradient, INDArray[]> doBackward(boolean tbptt, LayerWorkspaceMgr workspaces) {
        return part.backward(underlying.getEpsilon(), workspaces, underlying::setBackpropGradientsViewArray, corrected -> {
            underlying.setEpsilon(corrected);
            return part.stock(true).doBackward(tbptt, workspaces);
        });
    }

    @Override
    public void clear() {
        SameDiffBackprop.clear(underlying);
    }

    @Override
    public void clearVertex() {
        SameDiffBackprop.clearVertex(underlying);
    }

    @Override
    public void setInputGradient(InputGradient use) {
        part.setInputGradient(use);
    }

    @Override
    public boolean tellsExamplesApart() {
        return part.tellsExamplesApart();
    }

    @Override
    public long numParams() {
        return part.view().length();
    }

    @Override
    public INDArray params() {
        return part.view();
    }

    @Override
    public Map<String, INDArray> paramTable(boolean backpropOnly) {
        return part.table();
    }

    @Override
    public @Nullable INDArray getGradientsViewArray() {
        return part.gradientsView();
    }

    @Override
    public void setBackpropGradientsViewArray(INDArray gradients) {
        part.setGradientsView(gradients);
    }

    @Override
    public TrainingConfig getConfig() {
        return (TrainingConfig) part.configuration();
    }

    @Override
    public boolean updaterDivideByMinibatch(String key) {
        return part.trains(key);
    }
}
