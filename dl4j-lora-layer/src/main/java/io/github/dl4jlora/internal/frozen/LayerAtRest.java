package io.github.dl4jlora.internal.frozen;

import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.api.TrainingConfig;
import org.deeplearning4j.nn.conf.misc.DummyConfig;
import org.deeplearning4j.nn.gradient.DefaultGradient;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.layers.wrapper.BaseWrapperLayer;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.Map;

/**
 * What DL4J gets from a layer of which nothing trains: no gradient, no score, and no parameters (or, if they are embedded,
 * parameters that are never updated). Nothing is changed.
 */
abstract class LayerAtRest extends BaseWrapperLayer {

    private final FrozenPart<Layer> part;
    private @Nullable TrainingConfig config;

    LayerAtRest(FrozenPart<Layer> part) {
        super(part.stock());
        this.part = part;
    }

    final FrozenPart<Layer> part() {
        return part;
    }

    @Override
    public long numParams() {
        return part.numParams();
    }

    @Override
    public long numParams(boolean backwards) {
        return numParams();
    }

    @Override
    public @Nullable INDArray params() {
        return part.params();
    }

    @Override
    public Map<String, INDArray> paramTable() {
        return paramTable(false);
    }

    @Override
    public Map<String, INDArray> paramTable(boolean backpropOnly) {
        return part.paramTable(backpropOnly);
    }

    @Override
    public @Nullable INDArray getParam(String key) {
        return paramTable().get(key);
    }

    @Override
    public void setParam(String key, INDArray value) {
        refuseWhenShared();
        underlying.setParam(key, value);
    }

    @Override
    public void setParams(@Nullable INDArray values) {
        if (values != null && values.length() > 0) {
            refuseWhenShared();
            underlying.setParams(values);
        }
    }

    private void refuseWhenShared() {
        if (!part.isEmbedded()) {
            throw refusal(" and shared with its base network: its parameters cannot be set");
        }
    }

    @Override
    public void setParamTable(Map<String, INDArray> table) {
        throw refusal(": its parameter table cannot be replaced");
    }

    @Override
    public void setParamsViewArray(INDArray view) {
        // The stock layer was built on its values; there is nothing in the vector to point at.
    }

    @Override
    public void fit() {
        throw refusal(": a layer's own fit would train its parameters. Train the network, or name the layer in trainable(...)");
    }

    @Override
    public void fit(INDArray input, LayerWorkspaceMgr workspaces) {
        fit();
    }

    private UnsupportedOperationException refusal(String why) {
        return new UnsupportedOperationException("Layer \"" + part.name() + "\" is frozen" + why);
    }

    @Override
    public boolean isPretrainLayer() {
        return false;
    }

    @Override
    public @Nullable INDArray getGradientsViewArray() {
        return null;
    }

    @Override
    public void setBackpropGradientsViewArray(INDArray gradients) {
        // The slot of embedded parameters stays zero: the stock layer never gets to write it.
    }

    @Override
    public Gradient gradient() {
        return new DefaultGradient();
    }

    @Override
    public double calcRegularizationScore(boolean backpropParamsOnly) {
        return 0;
    }

    @Override
    public boolean updaterDivideByMinibatch(String key) {
        return false;
    }

    @Override
    public void update(Gradient gradient) {
        // Frozen.
    }

    @Override
    public void update(INDArray gradient, String key) {
        // Frozen.
    }

    @Override
    public void applyConstraints(int iteration, int epoch) {
        // Frozen.
    }

    @Override
    public void setEpochCount(int epoch) {
        // The stock layer stays in its first epoch: DL4J's OCNNOutputLayer sets a parameter of its own when one ends.
    }

    @Override
    public TrainingConfig getConfig() {
        if (config == null) {
            config = new DummyConfig(part.name());
        }
        return config;
    }
}
