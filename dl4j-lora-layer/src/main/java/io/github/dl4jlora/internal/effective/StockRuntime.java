package io.github.dl4jlora.internal.effective;

import io.github.dl4jlora.conf.Engine;
import io.github.dl4jlora.internal.adapted.AdaptedConfiguration;
import io.github.dl4jlora.internal.common.Named;
import io.github.dl4jlora.internal.run.AdaptedRuntime;
import io.github.dl4jlora.internal.run.Adapter;
import io.github.dl4jlora.internal.stock.HiddenState;
import io.github.dl4jlora.internal.stock.StockLayers;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.api.TrainingConfig;
import org.deeplearning4j.nn.api.layers.IOutputLayer;
import org.deeplearning4j.nn.api.layers.LayerConstraint;
import org.deeplearning4j.nn.api.layers.RecurrentLayer;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.FeedForwardLayer;
import org.deeplearning4j.nn.conf.layers.SeparableConvolution2D;
import org.deeplearning4j.nn.gradient.DefaultGradient;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.layers.wrapper.BaseWrapperLayer;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.deeplearning4j.optimize.api.TrainingListener;
import org.jspecify.annotations.Nullable;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.learning.regularization.Regularization;

import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.Function;

/**
 * Runs a LoRAWrapperLayer as a stock layer on its {@link StockWeights}.
 */
public class StockRuntime extends BaseWrapperLayer implements AdaptedRuntime {

    private NeuralNetConfiguration conf;
    private final StockPart<Layer> part;

    StockRuntime(NeuralNetConfiguration conf, Layer stock, INDArray view, boolean initialize, DataType type,
                 Function<Adapter, StockWeights> weights) {
        super(stock);
        this.conf = conf;
        this.part = new StockPart<>(this::lora, stock, view, conf.getLayer().initializer().init(conf, view, initialize),
                initialize, type, weights);
    }

    /** The running layer on effective weights. */
    public static StockRuntime of(NeuralNetConfiguration conf, Collection<TrainingListener> listeners, int index,
                                  INDArray view, boolean initialize, DataType type) {
        AdaptedConfiguration lora = (AdaptedConfiguration) conf.getLayer();
        INDArray values = EffectiveWeights.room(lora, type);
        if (runsSeparable(lora, type)) {
            SeparableLayer separable = new SeparableLayer(stockConf(conf), index, values, type);
            return on(conf, separable, view, initialize, type, adapter -> {
                separable.setStock(() -> adapter.switches().isDisabled());
                return new EffectiveWeights(adapter, view, values, separable.paramTable(false));
            });
        }
        Layer stock = StockLayers.running(stockConf(conf), listeners, index, values, false, type);
        return on(conf, stock, view, initialize, type,
                adapter -> new EffectiveWeights(adapter, view, values, stock.paramTable(false)));
    }

    /** In 16 bits the stock layer computes. */
    private static boolean runsSeparable(AdaptedConfiguration lora, DataType type) {
        return lora.settings().engine() == Engine.FUSED && type.width() >= Float.BYTES
                && Objects.requireNonNull(lora.stockLayer()).getClass() == SeparableConvolution2D.class;
    }

    /**
     * The running layer on other weights.
     *
     * @param stock   runs on them
     * @param weights made for the layer's adapter
     */
    public static StockRuntime on(NeuralNetConfiguration conf, Layer stock, INDArray view, boolean initialize, DataType type,
                                  Function<Adapter, StockWeights> weights) {
        Layer shown = HiddenState.asInBase(stock, ((AdaptedConfiguration) conf.getLayer()).showsState());
        return shown instanceof IOutputLayer ? new StockOutputRuntime(conf, shown, view, initialize, type, weights)
                : shown instanceof RecurrentLayer ? new StockRecurrentRuntime(conf, shown, view, initialize, type, weights)
                : new StockRuntime(conf, shown, view, initialize, type, weights);
    }

    /** The configuration of the stock layer inside an adapted one's. */
    public static NeuralNetConfiguration stockConf(NeuralNetConfiguration conf) {
        AdaptedConfiguration lora = (AdaptedConfiguration) conf.getLayer();
        return StockLayers.confOf(StockLayers.withoutWeightRules(Objects.requireNonNull(lora.stockLayer())), conf);
    }

    private AdaptedConfiguration lora() {
        return (AdaptedConfiguration) conf.getLayer();
    }

    private FeedForwardLayer layerConf() {
        return (FeedForwardLayer) conf.getLayer();
    }

    @Override
    public Adapter adapter() {
        return part.adapter();
    }

    /** The stock layer, its weights up to date. */
    final Layer stock() {
        return stock(false);
    }

    /** @param training whether it is for a forward pass of training, in which weights are checked */
    final Layer stock(boolean training) {
        return part.stock(training);
    }

    /** DL4J looks for a recurrent layer inside one wrapper, and uses it directly, unless the base's was in more wrappers. */
    @Override
    public Layer getUnderlying() {
        Layer stock = stock();
        return isPassedBy() ? ((BaseWrapperLayer) stock).getUnderlying() : stock;
    }

    /** Whether DL4J uses a layer inside the stock layer, past this one. */
    private boolean isPassedBy() {
        return underlying instanceof BaseWrapperLayer && lora().showsState();
    }

    @Override
    public INDArray activate(boolean training, LayerWorkspaceMgr workspaces) {
        return stock(training).activate(training, workspaces);
    }

    @Override
    public INDArray activate(INDArray input, boolean training, LayerWorkspaceMgr workspaces) {
        return stock(training).activate(input, training, workspaces);
    }

    @Override
    public Pair<Gradient, INDArray> backpropGradient(@Nullable INDArray epsilon, LayerWorkspaceMgr workspaces) {
        return projected(epsilon, workspaces, e -> stock().backpropGradient(e, workspaces));
    }

    final Pair<Gradient, INDArray> projected(@Nullable INDArray epsilon, LayerWorkspaceMgr workspaces,
                                             Function<INDArray, Pair<Gradient, INDArray>> backprop) {
        if (isPassedBy()) {
            // DL4J's truncated BPTT gives its segments to the layer inside.
            adapter().beginPass(true);
        }
        return part.backward(epsilon, workspaces, underlying::setBackpropGradientsViewArray, backprop);
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
    public NeuralNetConfiguration conf() {
        return conf;
    }

    @Override
    public void setConf(NeuralNetConfiguration conf) {
        this.conf = AdaptedRuntime.onOneLayer(conf, this.conf);
    }

    @Override
    public TrainingConfig getConfig() {
        return layerConf();
    }

    @Override
    public INDArray params() {
        return part.view();
    }

    @Override
    public long numParams() {
        return part.view().length();
    }

    @Override
    public long numParams(boolean backwards) {
        return numParams();
    }

    @Override
    public Map<String, INDArray> paramTable() {
        return part.table();
    }

    @Override
    public Map<String, INDArray> paramTable(boolean backpropOnly) {
        return part.table();
    }

    @Override
    public @Nullable INDArray getParam(String key) {
        return part.table().get(key);
    }

    @Override
    public void setParam(String key, INDArray value) {
        adapter().set(key, value);
    }

    @Override
    public void setParams(INDArray values) {
        adapter().setAll(values);
    }

    @Override
    public void setParamTable(Map<String, INDArray> values) {
        values.forEach(this::setParam);
    }

    @Override
    public void setParamsViewArray(INDArray values) {
        throw new UnsupportedOperationException(Named.layer(lora().getLayerName())
                + ": the parameter vector of an adapted layer cannot be replaced; make the network again with init(params, "
                + "false)");
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
    public Gradient gradient() {
        Gradient gradient = new DefaultGradient(part.gradientsView());
        part.gradientViews().forEach(gradient::setGradientFor);
        return gradient;
    }

    @Override
    public double calcRegularizationScore(boolean backpropParamsOnly) {
        if (adapter().switches().isDisabled()) {
            return 0;
        }
        double sum = 0;
        for (Map.Entry<String, INDArray> parameter : part.table().entrySet()) {
            List<Regularization> regularizations = layerConf().getRegularizationByParam(parameter.getKey());
            for (Regularization regularization : regularizations == null ? List.<Regularization>of() : regularizations) {
                sum += regularization.score(parameter.getValue(), getIterationCount(), getEpochCount());
            }
        }
        return sum;
    }

    @Override
    public void update(@Nullable Gradient gradient) {
        throw new UnsupportedOperationException(Named.layer(lora().getLayerName())
                + ": only the network updates its layers");
    }

    @Override
    public void update(INDArray gradient, String key) {
        update(null);
    }

    @Override
    public void applyConstraints(int iteration, int epoch) {
        List<LayerConstraint> constraints = layerConf().getConstraints();
        if (constraints != null) {
            constraints.forEach(constraint -> constraint.applyConstraint(this, iteration, epoch));
        }
        adapter().stepped();
    }

    @Override
    public boolean updaterDivideByMinibatch(String key) {
        return part.trains(key);
    }

    /** As the stock layer, so that pretraining calls {@link #fit}, which refuses, instead of skipping the layer silently. */
    @Override
    public boolean isPretrainLayer() {
        return underlying.isPretrainLayer();
    }

    @Override
    public void fit(INDArray input, LayerWorkspaceMgr workspaces) {
        throw new UnsupportedOperationException(Named.layer(lora().getLayerName())
                + ": pretrain trains a layer's own weights, which are frozen "
                + "here, and its decoder. Pretrain the base before it is adapted, or merge first");
    }
}
