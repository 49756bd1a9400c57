package io.github.dl4jlora.onnx.layer;

import io.github.dl4jlora.onnx.graph.Flow;
import io.github.dl4jlora.onnx.graph.OnnxGraph;
import org.deeplearning4j.nn.conf.CNN2DFormat;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.layers.ActivationLayer;
import org.deeplearning4j.nn.conf.layers.Cnn3DLossLayer;
import org.deeplearning4j.nn.conf.layers.CnnLossLayer;
import org.deeplearning4j.nn.conf.layers.Convolution3D;
import org.deeplearning4j.nn.conf.layers.DropoutLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.LossLayer;
import org.deeplearning4j.nn.conf.layers.PReLULayer;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayer;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayerWithBackprop;
import org.deeplearning4j.nn.conf.layers.misc.RepeatVector;
import org.deeplearning4j.nn.conf.layers.wrapper.BaseWrapperLayer;
import org.nd4j.linalg.activations.IActivation;

/** Layers that are an activation or nothing in inference, losses among them, and wrappers that only freeze. */
final class PassiveLayers {

    private PassiveLayers() {
    }

    static void addTo(Exports exports) {
        exports.layer(ActivationLayer.class, (layer, input, here) ->
                input.to(Activations.add(layer.getActivationFn(), input.name(), -1, here), input.type()));
        exports.layer(DropoutLayer.class, (layer, input, here) -> input.to(masked(input.name(), input, here), input.type()));
        exports.layer(LossLayer.class, (layer, input, here) -> input.to(
                masked(Activations.add(layer.getActivationFn(), input.name(), -1, here), input, here), input.type()));
        exports.layer(CnnLossLayer.class, (layer, input, here) ->
                loss(layer.getActivationFn(), layer.getFormat() == CNN2DFormat.NHWC, input, here));
        exports.layer(Cnn3DLossLayer.class, (layer, input, here) ->
                loss(layer.getActivationFn(), layer.getDataFormat() == Convolution3D.DataFormat.NDHWC, input, here));
        exports.layer(PReLULayer.class, (layer, input, here) -> input.to(here.graph().add("PRelu", input.name(),
                here.graph().weight(here.weight("W"))), here.output()));
        exports.layer(RepeatVector.class, PassiveLayers::repeat);
        exports.layer(FrozenLayer.class, (frozen, input, here) -> inner(frozen.getLayer(), input, here));
        exports.layer(FrozenLayerWithBackprop.class, PassiveLayers::unwrapped);
    }

    private static Flow loss(IActivation activation, boolean isLast, Flow input, Place here) {
        return new Flow(Activations.add(activation, input.name(), isLast ? -1 : 1, here), here.output(), null);
    }

    private static Flow unwrapped(BaseWrapperLayer wrapper, Flow input, Place here) {
        return inner(wrapper.getUnderlying(), input, here);
    }

    private static Flow inner(Layer layer, Flow input, Place here) {
        return here.inner(layer, input, "", here.output());
    }

    private static String masked(String values, Flow input, Place here) {
        if (input.mask() != null && Sizes.rank(input.type()) != 2) {
            throw here.refusal("DL4J itself cannot apply a mask to values of " + Sizes.rank(input.type()) + " dimensions here",
                    "Export without masks, or take the layer out: in inference it does nothing else");
        }
        return Masks.apply(values, input.mask(), here);
    }

    private static Flow repeat(RepeatVector layer, Flow input, Place here) {
        OnnxGraph graph = here.graph();
        int time = layer.getDataFormat() == RNNFormat.NWC ? 1 : 2;
        long[] times = {1, 1, 1};
        times[time] = layer.getN();
        return input.to(graph.add("Expand", graph.unsqueeze(input.name(), time), graph.ints(times)), here.output());
    }
}
