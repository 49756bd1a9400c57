package io.github.dl4jlora.layer;

import io.github.dl4jlora.internal.stock.StockLayers;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.FeedForwardLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.weights.WeightInit;
import org.nd4j.linalg.activations.Activation;

/** Makes stock dense layers from adapted ones, and copies settings from either to the other. */
public final class DenseTwin {

    private DenseTwin() {
    }

    /**
     * Copies the settings that an adapted layer and its stock counterpart have in common.
     *
     * @param from the layer to copy from
     * @param to   the layer to copy to, changed
     */
    public static void copy(FeedForwardLayer from, FeedForwardLayer to) {
        to.setLayerName(from.getLayerName());
        to.setNIn(from.getNIn());
        to.setNOut(from.getNOut());
        to.setTimeDistributedFormat(from.getTimeDistributedFormat());
        to.setIDropout(from.getIDropout() == null ? null : from.getIDropout().clone());
        to.setActivationFn(from.getActivationFn());
        to.setWeightInitFn(from.getWeightInitFn());
        to.setBiasInit(from.getBiasInit());
        to.setGainInit(from.getGainInit());
        to.setGradientNormalization(from.getGradientNormalization());
        to.setGradientNormalizationThreshold(from.getGradientNormalizationThreshold());
    }

    /** Does what the builder constructors of DL4J's layer classes do; DenseLayer's own is private. */
    static void copy(FeedForwardLayer.Builder<?> from, FeedForwardLayer to) {
        to.setLayerName(from.getLayerName());
        to.setNIn(from.getNIn());
        to.setNOut(from.getNOut());
        to.setIDropout(from.getIDropout());
        to.setActivationFn(from.getActivationFn());
        to.setWeightInitFn(from.getWeightInitFn());
        to.setBiasInit(from.getBiasInit());
        to.setGainInit(from.getGainInit());
        to.setRegularization(from.getRegularization());
        to.setRegularizationBias(from.getRegularizationBias());
        to.setIUpdater(from.getIupdater());
        to.setBiasUpdater(from.getBiasUpdater());
        to.setGradientNormalization(from.getGradientNormalization());
        to.setGradientNormalizationThreshold(from.getGradientNormalizationThreshold());
        to.setWeightNoise(from.getWeightNoise());
    }

    /** The base's own layer, or, where the adapted one was declared, a DenseLayer with the same settings. */
    static Layer stockOf(LoRADenseLayer lora) {
        if (lora.getOrigin() != null) {
            Layer origin = StockLayers.copy(lora.getOrigin());
            // FineTuneConfiguration may have changed these on the adapted layer since.
            FeedForwardLayer stock = (FeedForwardLayer) StockLayers.unwrap(origin);
            stock.setActivationFn(lora.getActivationFn());
            stock.setIDropout(lora.getIDropout() == null ? null : lora.getIDropout().clone());
            return origin;
        }
        DenseLayer dense = new DenseLayer();
        copy(lora, dense);
        dense.setHasBias(lora.hasBias());
        dense.setHasLayerNorm(lora.hasLayerNorm());
        dense.setIUpdater(lora.getIUpdater());
        dense.setBiasUpdater(lora.getBiasUpdater());
        dense.setRegularization(lora.getRegularization());
        dense.setRegularizationBias(lora.getRegularizationBias());
        return dense;
    }

    /**
     * {@return the dense layer that computes what a lone low-rank path computes}
     *
     * @param path not changed
     */
    public static Layer stockOf(LowRankLayer path) {
        DenseLayer dense = new DenseLayer.Builder().name(path.getLayerName()).nIn(path.getNIn()).nOut(path.getNOut())
                .hasBias(false).activation(Activation.IDENTITY).weightInit(WeightInit.XAVIER).biasInit(0).gainInit(1)
                .updater(path.getUpdater()).build();
        dense.setIDropout(path.getIDropout());
        dense.setRegularization(path.getRegularization());
        dense.setGradientNormalization(path.getGradientNormalization());
        dense.setGradientNormalizationThreshold(path.getGradientNormalizationThreshold());
        return dense;
    }
}
