package io.github.dl4jlora.onnx.layer;

import io.github.dl4jlora.onnx.graph.Flow;
import org.deeplearning4j.nn.conf.layers.ActivationLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayer;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayerWithBackprop;

/** Layers without weights of their own: activations, and wrappers that only freeze. */
final class PassiveLayers {

    private PassiveLayers() {
    }

    static void addTo(Exports exports) {
        exports.layer(ActivationLayer.class, (layer, input, here) ->
                input.to(Activations.add(layer.getActivationFn(), input.name(), -1, here), input.type()));
        exports.layer(FrozenLayer.class, (frozen, input, here) -> inner(frozen.getLayer(), input, here));
        exports.layer(FrozenLayerWithBackprop.class, (frozen, input, here) -> inner(frozen.getUnderlying(), input, here));
    }

    private static Flow inner(Layer layer, Flow input, Place here) {
        return here.inner(layer, input, "", here.output());
    }
}
