package io.github.dl4jlora.cli;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;

/** LoRA's operations for a network whose type, graph or list of layers, is known only at run time. */
public final class AnyNetwork {

    private AnyNetwork() {
    }

    /** As {@link LoRA#apply(ComputationGraph, LoRAAdapter, LoRAAdapter.ApplyOption...)}. */
    public static Model apply(Model base, LoRAAdapter adapter, LoRAAdapter.ApplyOption... options) {
        return base instanceof ComputationGraph graph ? LoRA.apply(graph, adapter, options)
                : LoRA.apply((MultiLayerNetwork) base, adapter, options);
    }

    /** As {@link LoRA#apply(ComputationGraph, LoRAConfig)}. */
    public static Model apply(Model base, LoRAConfig config) {
        return base instanceof ComputationGraph graph ? LoRA.apply(graph, config) : LoRA.apply((MultiLayerNetwork) base, config);
    }

    /** As {@link LoRA#merge(ComputationGraph)}. */
    public static Model merge(Model adapted) {
        return adapted instanceof ComputationGraph graph ? LoRA.merge(graph) : LoRA.merge((MultiLayerNetwork) adapted);
    }

    /** As {@link LoRA#unload(ComputationGraph)}. */
    public static Model unload(Model adapted) {
        return adapted instanceof ComputationGraph graph ? LoRA.unload(graph) : LoRA.unload((MultiLayerNetwork) adapted);
    }

    /**
     * As {@link LoRA#attach(ComputationGraph, ComputationGraph)}.
     *
     * @throws IllegalArgumentException if one of the two is a ComputationGraph and the other is not
     */
    public static void attach(Model adapted, Model base) {
        if (adapted instanceof ComputationGraph graph && base instanceof ComputationGraph baseGraph) {
            LoRA.attach(graph, baseGraph);
        } else if (adapted instanceof MultiLayerNetwork layers && base instanceof MultiLayerNetwork baseLayers) {
            LoRA.attach(layers, baseLayers);
        } else {
            throw new IllegalArgumentException("The adapted network is a " + adapted.getClass()
                    .getSimpleName() + ", but the base is a "
                    + base.getClass().getSimpleName() + ". Give the network that it was adapted from");
        }
    }
}
