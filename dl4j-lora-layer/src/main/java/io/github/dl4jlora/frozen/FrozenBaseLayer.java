package io.github.dl4jlora.frozen;

import io.github.dl4jlora.internal.base.Replacement;
import io.github.dl4jlora.internal.base.FrozenReference;
import io.github.dl4jlora.internal.frozen.FrozenLayers;
import io.github.dl4jlora.internal.frozen.FrozenParameters;
import io.github.dl4jlora.internal.stock.StockLayers;
import org.deeplearning4j.nn.api.ParamInitializer;
import org.deeplearning4j.nn.conf.GradientNormalization;
import org.deeplearning4j.nn.conf.InputPreProcessor;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.memory.LayerMemoryReport;
import org.deeplearning4j.optimize.api.TrainingListener;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.learning.config.IUpdater;
import org.nd4j.linalg.learning.config.NoOp;
import org.nd4j.linalg.learning.regularization.Regularization;
import org.nd4j.shade.jackson.annotation.JsonProperty;

import java.util.Collection;
import java.util.List;
import java.util.Objects;

/**
 * Any layer of the base network, frozen: test mode, no updates, gradients passed through or stopped. Its parameters
 * are outside the network's vector, or inside it (EMBEDDED) without ever being written.
 *
 * <p>Extends {@link Layer}, not DL4J's {@code BaseWrapperLayer}: DL4J pushes the network's global configuration into
 * layers that a BaseWrapperLayer wraps.
 */
public final class FrozenBaseLayer extends Layer implements Replacement {

    private static final long serialVersionUID = 1L;

    private final boolean stopsGradient;
    private final @Nullable FrozenReference frozen;
    private Layer origin;

    /**
     * Freezes a layer of a base.
     *
     * @param origin        the layer as the base configures it, possibly in DL4J's own FrozenLayer
     * @param stopsGradient true where nothing upstream trains: backpropagation ends here
     * @param frozen        its parameters; null if it has none, or if they stay inside the vector
     */
    public FrozenBaseLayer(@JsonProperty("origin") Layer origin, @JsonProperty("stopsGradient") boolean stopsGradient,
                           @JsonProperty("frozen") @Nullable FrozenReference frozen) {
        this.origin = origin;
        this.stopsGradient = stopsGradient;
        this.frozen = frozen;
        this.layerName = origin.getLayerName();
    }

    /** {@return the layer as the base configures it} */
    public Layer getOrigin() {
        return origin;
    }

    @Override
    public Layer toStockLayer() {
        return StockLayers.copy(origin);
    }

    /** {@return whether backpropagation ends here; for Jackson} */
    public boolean isStopsGradient() {
        return stopsGradient;
    }

    @Override
    public boolean endsBackpropagation() {
        return stopsGradient;
    }

    @Override
    public @Nullable FrozenReference getFrozen() {
        return frozen;
    }

    private Layer inner() {
        return StockLayers.unwrap(origin);
    }

    @Override
    public FrozenBaseLayer clone() {
        FrozenBaseLayer clone = (FrozenBaseLayer) super.clone();
        clone.origin = StockLayers.copy(origin);
        return clone;
    }

    @Override
    public org.deeplearning4j.nn.api.Layer instantiate(NeuralNetConfiguration conf, Collection<TrainingListener> listeners,
                                                       int index, INDArray view, boolean initialize, DataType type) {
        NeuralNetConfiguration innerConf = StockLayers.confOf(StockLayers.inTestMode(inner()), conf);
        FrozenParameters parameters =
                FrozenParameters.of(frozen, getLayerName(), type, StockLayers.numParams(inner()), view,
                        !StockLayers.isKnown(inner()), FrozenLayers.takesQuantized(inner(), type));
        return FrozenLayers.running(parameters, (values, fresh) -> {
            org.deeplearning4j.nn.api.Layer layer =
                    StockLayers.running(innerConf, listeners, index, values, fresh, type);
            if (frozen != null) {
                layer.conf().clearVariables();
            }
            return layer;
        }, initialize, stopsGradient, StockLayers.showsState(origin), conf);
    }

    @Override
    public ParamInitializer initializer() {
        return new FrozenParamInitializer(frozen == null ? inner() : null);
    }

    @Override
    public void setLayerName(String name) {
        super.setLayerName(name);
        origin.setLayerName(name);
    }

    @Override
    public InputType getOutputType(int layerIndex, InputType inputType) {
        return inner().getOutputType(layerIndex, inputType);
    }

    @Override
    public void setNIn(InputType inputType, boolean override) {
        inner().setNIn(inputType, false);
    }

    @Override
    public @Nullable InputPreProcessor getPreProcessorForInputType(InputType inputType) {
        return inner().getPreProcessorForInputType(inputType);
    }

    @Override
    public void setDataType(DataType dataType) {
        inner().setDataType(dataType);
    }

    @Override
    public @Nullable List<Regularization> getRegularizationByParam(String paramName) {
        return null;
    }

    @Override
    public IUpdater getUpdaterByParam(String paramName) {
        return new NoOp();
    }

    @Override
    public boolean isPretrainParam(String paramName) {
        return false;
    }

    @Override
    public GradientNormalization getGradientNormalization() {
        return GradientNormalization.None;
    }

    @Override
    public double getGradientNormalizationThreshold() {
        return 1;
    }

    @Override
    public LayerMemoryReport getMemoryReport(InputType inputType) {
        return inner().getMemoryReport(inputType);
    }

    @Override
    public boolean equals(@Nullable Object other) {
        return other instanceof FrozenBaseLayer that && stopsGradient == that.stopsGradient
                && origin.equals(that.origin) && Objects.equals(frozen, that.frozen);
    }

    @Override
    public int hashCode() {
        return Objects.hash(stopsGradient, origin, frozen);
    }

    @Override
    public String toString() {
        return "FrozenBaseLayer(" + origin + ")";
    }
}
