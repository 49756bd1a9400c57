package io.github.dl4jlora.frozen;

import io.github.dl4jlora.internal.frozen.FeaturizingCaller;
import io.github.dl4jlora.internal.stock.SameDiffBackprop;
import io.github.dl4jlora.internal.stock.StockLayers;
import io.github.dl4jlora.internal.stock.TrainedReplacement;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.wrapper.BaseWrapperLayer;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.deeplearning4j.optimize.api.TrainingListener;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.shade.jackson.annotation.JsonProperty;

import java.util.Collection;

/**
 * A layer of the base network that SameDiff computes and that trains in full: DL4J 1.0.0-M2.1 doubles its gradients and
 * those of everything below it, and here they are right. {@code LoRA.merge} and {@code LoRA.unload} give the stock layer
 * back.
 */
public final class TrainedSameDiffLayer extends BaseWrapperLayer implements TrainedReplacement.OfLayer {

    private static final long serialVersionUID = 1L;

    /**
     * Trains a layer of a base in full.
     *
     * @param underlying the layer as the base configures it, with the updater that it trains with
     */
    public TrainedSameDiffLayer(@JsonProperty("underlying") Layer underlying) {
        super(underlying);
        this.layerName = underlying.getLayerName();
    }

    @Override
    public TrainedSameDiffLayer clone() {
        TrainedSameDiffLayer clone = (TrainedSameDiffLayer) super.clone();
        clone.underlying = StockLayers.copy(underlying);
        return clone;
    }

    @Override
    public org.deeplearning4j.nn.api.Layer instantiate(NeuralNetConfiguration conf, Collection<TrainingListener> listeners,
                                                       int index, INDArray view, boolean initialize, DataType type) {
        return new Runtime(underlying.instantiate(StockLayers.confOf(underlying, conf), listeners, index, view, initialize,
                type), conf);
    }

    @Override
    public void setDataType(DataType dataType) {
        underlying.setDataType(dataType);
    }

    private static final class Runtime extends org.deeplearning4j.nn.layers.wrapper.BaseWrapperLayer {

        private final SameDiffBackprop sameDiff = new SameDiffBackprop();

        private NeuralNetConfiguration declared;

        /** @param declared the network's configuration of this layer, of which the stock layer's is a part */
        Runtime(org.deeplearning4j.nn.api.Layer stock, NeuralNetConfiguration declared) {
            super(stock);
            this.declared = declared;
        }

        /** As of a frozen layer, so that what {@link FeaturizingCaller} makes of it has its gradients corrected, too. */
        @Override
        public NeuralNetConfiguration conf() {
            return declared != null && FeaturizingCaller.isAsking() ? declared : underlying.conf();
        }

        /** TransferLearning hands over the network's configuration of this layer, which does not fit the stock layer. */
        @Override
        public void setConf(NeuralNetConfiguration conf) {
            declared = conf;
        }

        @Override
        public Pair<Gradient, INDArray> backpropGradient(INDArray epsilon, LayerWorkspaceMgr workspaces) {
            return sameDiff.of(underlying, epsilon, corrected -> underlying.backpropGradient(corrected, workspaces));
        }
    }
}
