package io.github.dl4jlora.internal.effective;

import io.github.dl4jlora.conf.FrozenStorage;
import io.github.dl4jlora.internal.adapted.AdaptedConfiguration;
import io.github.dl4jlora.internal.adapted.AdapterLayout;
import io.github.dl4jlora.internal.run.AdaptedRuntime;
import io.github.dl4jlora.internal.run.Adapter;
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
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.Map;

/** Runs a LoRAWrapperVertex; see {@link EffectiveRuntime}. */
public final class EffectiveVertex extends BaseWrapperVertex implements AdaptedRuntime {

    private final AdaptedConfiguration conf;
    private final INDArray view;
    private final Map<String, INDArray> table;
    private final Adapter adapter;
    private final EffectiveWeights weights;
    private final SameDiffBackprop sameDiff = new SameDiffBackprop();
    private final long stockLength;
    private final DataType type;
    private INDArray gradientsView;

    private EffectiveVertex(AdaptedConfiguration conf, GraphVertex stock, INDArray values, INDArray view,
                            Map<String, INDArray> table, DataType type) {
        super(stock);
        this.conf = conf;
        this.view = view;
        this.table = table;
        this.type = type;
        this.stockLength = values.length();
        this.adapter = new Adapter(() -> conf, () -> table, () -> view, type, this::changed);
        this.weights = new EffectiveWeights(adapter, view, values, stock.paramTable(false));
    }

    private void changed() {
        weights.changed();
    }

    /**
     * The running vertex of an adapted configuration.
     *
     * @param view       its part of the network's vector
     * @param initialize whether to give the adapter a fresh start
     */
    public static EffectiveVertex of(AdaptedConfiguration conf, ComputationGraph graph, String name, int index, INDArray view,
                                     boolean initialize, DataType type) {
        Map<String, INDArray> embedded = conf.getStorage() == FrozenStorage.EMBEDDED
                ? conf.stockTable(AdapterLayout.interval(view, 0, conf.frozenParams()), initialize) : Map.of();
        INDArray values = EffectiveWeights.room(conf, type);
        GraphVertex stock = conf.stockVertex().instantiate(graph, name, index, values, false, type);
        EffectiveVertex vertex = new EffectiveVertex(conf, stock, values, view, conf.layout().table(conf, embedded, view), type);
        if (initialize) {
            vertex.adapter.initialize();
        }
        return vertex;
    }

    @Override
    public Adapter adapter() {
        return adapter;
    }

    @Override
    public INDArray doForward(boolean training, LayerWorkspaceMgr workspaces) {
        weights.refresh(training);
        return underlying.doForward(training, workspaces);
    }

    @Override
    public Pair<Gradient, INDArray[]> doBackward(boolean tbptt, LayerWorkspaceMgr workspaces) {
        adapter.switches().requireTrainable();
        weights.refresh(true);
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
    public boolean tellsExamplesApart() {
        return false;
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
        weights.setGradients(conf.layout().trainedViews(conf, gradients));
    }

    @Override
    public TrainingConfig getConfig() {
        return (TrainingConfig) conf;
    }

    @Override
    public boolean updaterDivideByMinibatch(String key) {
        return conf.layout().trains(key);
    }
}
