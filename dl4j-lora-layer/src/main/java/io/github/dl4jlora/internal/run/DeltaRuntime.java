package io.github.dl4jlora.internal.run;

import io.github.dl4jlora.internal.stock.StockMatrices;
import io.github.dl4jlora.layer.LoRAWrapperLayer;
import io.github.dl4jlora.Scaling;
import io.github.dl4jlora.internal.stock.StockLayers;
import io.github.dl4jlora.internal.stock.SameDiffBackprop;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.api.TrainingConfig;
import org.deeplearning4j.nn.api.layers.IOutputLayer;
import org.deeplearning4j.nn.api.layers.LayerConstraint;
import org.deeplearning4j.nn.api.layers.RecurrentLayer;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.gradient.DefaultGradient;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.layers.wrapper.BaseWrapperLayer;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.deeplearning4j.optimize.api.TrainingListener;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.regularization.Regularization;

import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;

/**
 * Runs a {@link LoRAWrapperLayer} as the stock layer on {@link EffectiveWeights}. Its backward pass is the stock layer's,
 * into working memory, and what that says about M becomes the gradients of A and B; a trained bias takes over its own.
 */
public class DeltaRuntime extends BaseWrapperLayer implements AdaptedRuntime {

    private NeuralNetConfiguration conf;
    private final INDArray view;
    private final Map<String, INDArray> table;
    private final EffectiveWeights weights;
    private final SameDiffBackprop sameDiff = new SameDiffBackprop();
    private final long stockLength;
    private final DataType type;
    private INDArray gradientsView;
    private Map<String, INDArray> gradientViews = Map.of();

    DeltaRuntime(NeuralNetConfiguration conf, Layer stock, INDArray values, INDArray view, boolean initialize, DataType type) {
        super(stock);
        this.conf = conf;
        this.view = view;
        this.type = type;
        this.table = lora().initializer().init(conf, view, initialize);
        this.stockLength = values.length();
        this.weights = new EffectiveWeights(lora().getLayerName(), StockMatrices.of(lora().stockLayer()).forms(),
                this::lora, () -> lora().frozenValues(view), view, table, values);
        weights.bind(stock.paramTable(false));
    }

    static DeltaRuntime of(NeuralNetConfiguration conf, Collection<TrainingListener> listeners, int index, INDArray view,
                           boolean initialize, DataType type) {
        LoRAWrapperLayer lora = (LoRAWrapperLayer) conf.getLayer();
        NeuralNetConfiguration stockConf = conf.clone();
        stockConf.setLayer(StockLayers.withoutWeightRules(lora.stockLayer()));
        stockConf.clearVariables();
        INDArray values;
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            values = Nd4j.create(type, StockLayers.numParams(lora.stockLayer()));
        }
        Layer stock = stockConf.getLayer().instantiate(stockConf, listeners, index, values, false, type);
        return stock instanceof IOutputLayer ? new DeltaOutputRuntime(conf, stock, values, view, initialize, type)
                : stock instanceof RecurrentLayer ? new DeltaRecurrentRuntime(conf, stock, values, view, initialize, type)
                : new DeltaRuntime(conf, stock, values, view, initialize, type);
    }

    private LoRAWrapperLayer lora() {
        return (LoRAWrapperLayer) conf.getLayer();
    }

    /** The stock layer, its weights up to date. */
    final Layer stock() {
        weights.refresh();
        return underlying;
    }

    /** DL4J looks for a recurrent layer inside one wrapper, and uses it directly. */
    @Override
    public Layer getUnderlying() {
        Layer stock = stock();
        return stock instanceof BaseWrapperLayer wrapper ? wrapper.getUnderlying() : stock;
    }

    @Override
    public INDArray activate(boolean training, LayerWorkspaceMgr workspaces) {
        return stock().activate(training, workspaces);
    }

    @Override
    public INDArray activate(INDArray input, boolean training, LayerWorkspaceMgr workspaces) {
        return stock().activate(input, training, workspaces);
    }

    @Override
    public Pair<Gradient, INDArray> backpropGradient(INDArray epsilon, LayerWorkspaceMgr workspaces) {
        return projected(epsilon, workspaces, e -> stock().backpropGradient(e, workspaces));
    }

    final Pair<Gradient, INDArray> projected(INDArray epsilon, LayerWorkspaceMgr workspaces,
                                             Function<INDArray, Pair<Gradient, INDArray>> backprop) {
        weights.requireEnabled();
        underlying.setBackpropGradientsViewArray(workspaces.createUninitialized(ArrayType.BP_WORKING_MEM, type, stockLength));
        Pair<Gradient, INDArray> result = SameDiffBackprop.isSameDiff(underlying) ? sameDiff.run(epsilon, backprop)
                : backprop.apply(epsilon);
        return new Pair<>(weights.project(result.getFirst()), result.getSecond());
    }

    @Override
    public void setInputGradient(InputGradient use) {
        // The stock layer computes it in any case.
    }

    @Override
    public void rescale(String key, double alpha, Scaling scaling) {
        lora().rescale(key, alpha, scaling);
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
            throw new RowsMismatchException("Layer " + LoRAParams.quoted(lora().getLayerName()) + ", an adapted "
                    + lora().stockLayer().getClass().getSimpleName() + ", has one set of weights for all rows");
        }
        weights.route(key, routes == null ? null : routes.get(0));
    }

    @Override
    public NeuralNetConfiguration conf() {
        return conf;
    }

    @Override
    public void setConf(NeuralNetConfiguration conf) {
        this.conf = conf;
    }

    @Override
    public TrainingConfig getConfig() {
        return lora();
    }

    @Override
    public INDArray params() {
        return view;
    }

    @Override
    public long numParams() {
        return view.length();
    }

    @Override
    public long numParams(boolean backwards) {
        return numParams();
    }

    @Override
    public Map<String, INDArray> paramTable() {
        return table;
    }

    @Override
    public Map<String, INDArray> paramTable(boolean backpropOnly) {
        return table;
    }

    @Override
    public INDArray getParam(String key) {
        return table.get(key);
    }

    /** Keeps frozen values out of reach; {@code setParams} restores whole vectors, frozen values included. */
    @Override
    public void setParam(String key, INDArray value) {
        LowRankTable.set(lora().getLayerName(), lora(), table, key, value);
    }

    @Override
    public void setParams(INDArray values) {
        view.assign(values.reshape(view.shape()));
    }

    @Override
    public void setParamTable(Map<String, INDArray> values) {
        values.forEach(this::setParam);
    }

    @Override
    public void setParamsViewArray(INDArray values) {
        throw new UnsupportedOperationException("Layer " + LoRAParams.quoted(lora().getLayerName())
                + ": an adapted layer stays on the vector it was made on; make the network anew with init(params, false)");
    }

    @Override
    public INDArray getGradientsViewArray() {
        return gradientsView;
    }

    @Override
    public void setBackpropGradientsViewArray(INDArray gradients) {
        gradientsView = gradients;
        gradientViews = lora().initializer().getGradientsFromFlattened(conf, gradients);
        weights.setGradients(gradientViews);
    }

    @Override
    public Gradient gradient() {
        Gradient gradient = new DefaultGradient(gradientsView);
        gradientViews.forEach(gradient::setGradientFor);
        return gradient;
    }

    @Override
    public double calcRegularizationScore(boolean backpropParamsOnly) {
        double sum = 0;
        for (Map.Entry<String, INDArray> parameter : new LinkedHashMap<>(table).entrySet()) {
            List<Regularization> regularizations = lora().getRegularizationByParam(parameter.getKey());
            for (Regularization regularization : regularizations == null ? List.<Regularization>of() : regularizations) {
                sum += regularization.score(parameter.getValue(), getIterationCount(), getEpochCount());
            }
        }
        return sum;
    }

    @Override
    public void update(Gradient gradient) {
        throw new UnsupportedOperationException("Layer " + LoRAParams.quoted(lora().getLayerName())
                + ": the network updates its layers, not they themselves");
    }

    @Override
    public void update(INDArray gradient, String key) {
        update(null);
    }

    @Override
    public void applyConstraints(int iteration, int epoch) {
        List<LayerConstraint> constraints = lora().getConstraints();
        if (constraints != null) {
            constraints.forEach(constraint -> constraint.applyConstraint(this, iteration, epoch));
        }
    }

    @Override
    public boolean updaterDivideByMinibatch(String key) {
        return lora().trains(key);
    }

    @Override
    public boolean isPretrainLayer() {
        return false;
    }

    @Override
    public void fit(INDArray input, LayerWorkspaceMgr workspaces) {
        throw new UnsupportedOperationException("Layer " + LoRAParams.quoted(lora().getLayerName())
                + ": layer-wise pretraining is not supported on an adapted layer");
    }
}
