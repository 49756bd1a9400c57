package io.github.dl4jlora.layer;

import io.github.dl4jlora.conf.Engine;
import io.github.dl4jlora.conf.LoRAInit;
import io.github.dl4jlora.conf.LoRASettings;
import io.github.dl4jlora.internal.common.Named;

/** Refuses settings of an adapted dense layer that do not fit it, or that its runtimes would ignore. */
final class DenseSettings {

    private DenseSettings() {
    }

    /**
     * Called when the layer is built, and again when it is instantiated: setters and the network's global settings come in
     * between.
     *
     * @throws IllegalArgumentException naming the layer, the setting and what to do
     */
    static void check(LoRADenseLayer layer) {
        String name = Named.layer(layer.getLayerName());
        LoRASettings lora = layer.getLora();
        lora.checkFit(name, layer.getNIn(), layer.getNOut(), layer.getIUpdater());
        if (layer.declared() && lora.loraInit() == LoRAInit.LOFTQ) {
            throw new IllegalArgumentException(name + ": LoRAInit.LOFTQ starts from the quantisation error of a base, and a "
                    + "declared layer has no base. Choose another start, or adapt a base with LoRA.apply");
        }
        if (layer.declared() && lora.loraInit().needsData()) {
            throw new IllegalArgumentException(name + ": LoRAInit." + lora.loraInit() + " starts from data that goes through a "
                    + "base, and a declared layer has no base. Choose another start, or adapt a base with LoRA.apply(base, "
                    + "config, data)");
        }
        if (lora.trainBias() && !layer.hasBias()) {
            throw new IllegalArgumentException(name + ": trainBias has no bias to train. Set hasBias(true) or leave it out");
        }
        if (layer.getWeightNoise() != null && lora.engine() == Engine.SAMEDIFF) {
            throw new IllegalArgumentException(name + ": weightNoise is not supported by Engine.SAMEDIFF, whose graph reads A "
                    + "and B directly. Use Engine.FUSED or remove weightNoise");
        }
        if (lora.engine() == Engine.EFFECTIVE_WEIGHTS) {
            throw new IllegalArgumentException(name + ": Engine.EFFECTIVE_WEIGHTS is for layers that are not dense. Use "
                    + "Engine.FUSED or Engine.SAMEDIFF");
        }
    }
}
