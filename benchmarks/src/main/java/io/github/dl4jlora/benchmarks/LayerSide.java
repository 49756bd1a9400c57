package io.github.dl4jlora.benchmarks;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.conf.Engine;
import io.github.dl4jlora.conf.LayerType;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.layer.LoRAWrapperLayer;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;

/** A way to train a {@link LayerTask}. */
enum LayerSide {

    FULL("full fine-tuning"), EFFECTIVE_WEIGHTS("effective weights"), KERNEL("kernel"),
    /** The output layer alone is adapted. */
    FROZEN("frozen");

    private static final int RANK = 8;

    private final String title;

    LayerSide(String title) {
        this.title = title;
    }

    String title() {
        return title;
    }

    MultiLayerNetwork network(LayerTask task) {
        MultiLayerNetwork base = task.base();
        if (this == FULL) {
            return base;
        }
        LayerType target = this == FROZEN ? LayerType.OUTPUT : task.adapted();
        MultiLayerNetwork adapted = LoRA.apply(base, LoRAConfig.builder().rank(RANK).targets(target).build());
        return this == EFFECTIVE_WEIGHTS ? onEffectiveWeights(adapted) : adapted;
    }

    private static MultiLayerNetwork onEffectiveWeights(MultiLayerNetwork adapted) {
        MultiLayerConfiguration conf = adapted.getLayerWiseConfigurations().clone();
        for (NeuralNetConfiguration layer : conf.getConfs()) {
            if (layer.getLayer() instanceof LoRAWrapperLayer wrapper) {
                wrapper.setEngine(Engine.EFFECTIVE_WEIGHTS);
            }
        }
        MultiLayerNetwork network = new MultiLayerNetwork(conf);
        network.init(adapted.params().dup(), false);
        return network;
    }
}
