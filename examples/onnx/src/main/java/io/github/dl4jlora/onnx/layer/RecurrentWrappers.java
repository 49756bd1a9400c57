package io.github.dl4jlora.onnx.layer;

import io.github.dl4jlora.onnx.graph.Attribute;
import io.github.dl4jlora.onnx.graph.Flow;
import io.github.dl4jlora.onnx.graph.OnnxGraph;
import onnx.Onnx.TensorProto.DataType;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.BaseRecurrentLayer;
import org.deeplearning4j.nn.conf.layers.Convolution1DLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.Subsampling1DLayer;
import org.deeplearning4j.nn.conf.layers.recurrent.Bidirectional;
import org.deeplearning4j.nn.conf.layers.recurrent.LastTimeStep;
import org.deeplearning4j.nn.conf.layers.recurrent.TimeDistributed;
import org.deeplearning4j.nn.conf.layers.util.MaskZeroLayer;
import org.deeplearning4j.util.TimeSeriesUtils;
import org.jspecify.annotations.Nullable;

import java.util.List;

/**
 * Layers around recurrent ones.
 *
 * <p>In DL4J a mask reaches an inner layer in one of two ways. The network hands it on from layer to layer, and LSTMs ignore it
 * (Bidirectional hands it on to its two layers); or a wrapper sets it, and all inner layers see it: LastTimeStep sets what was
 * handed on to it, MaskZeroLayer what it finds in its input.
 */
final class RecurrentWrappers {

    private RecurrentWrappers() {
    }

    static void addTo(Exports exports) {
        exports.layer(Bidirectional.class, (layer, input, here) -> add(layer, input, false, here));
        exports.layer(LastTimeStep.class, (layer, input, here) -> add(layer, input, false, here));
        exports.layer(MaskZeroLayer.class, (layer, input, here) -> add(layer, input, false, here));
        exports.layer(TimeDistributed.class, RecurrentWrappers::timeDistributed);
    }

    /** @param set whether a wrapper has set the mask of the input, so that all layers see it */
    private static Flow add(Layer layer, Flow input, boolean set, Place here) {
        if (layer.getClass() == Bidirectional.class) {
            return bidirectional((Bidirectional) layer, input, set, here);
        }
        if (layer.getClass() == LastTimeStep.class) {
            return lastTimeStep(((LastTimeStep) layer).getUnderlying(), input, here);
        }
        if (layer.getClass() == MaskZeroLayer.class) {
            Layer inner = ((MaskZeroLayer) layer).getUnderlying();
            return add(inner, input.masked(present((MaskZeroLayer) layer, input, here)), true, inside(inner, input, "", here))
                    .masked(null);
        }
        if (set && layer instanceof BaseRecurrentLayer recurrent) {
            return RecurrentLayers.masked(recurrent, input, here);
        }
        Flow output = here.exports().layer(layer, input, here);
        // As LSTMs, these apply only a mask that was set, here at the steps that are left.
        return set && (layer instanceof Convolution1DLayer || layer instanceof Subsampling1DLayer) && output.mask() != null
                ? output.to(Sequences.masked(output.name(), output.mask(), RNNFormat.NCW, here.graph()), output.type()) : output;
    }

    private static Place inside(Layer inner, Flow input, String prefix, Place here) {
        return here.within(prefix, inner.getOutputType(0, input.type()));
    }

    private static Flow bidirectional(Bidirectional layer, Flow input, boolean set, Place here) {
        OnnxGraph graph = here.graph();
        RNNFormat format = format(layer, here);
        Flow there = add(layer.getFwd(), input, set, inside(layer.getFwd(), input, "f", here));
        String mask = input.mask() == null ? null : Sequences.reversed(input.mask(), 1, graph);
        Flow turned = new Flow(Sequences.reversed(input.name(), Sequences.time(format), graph), input.type(), mask);
        Flow back = add(layer.getBwd(), turned, set, inside(layer.getBwd(), input, "b", here));
        boolean sequence = there.type() instanceof InputType.InputTypeRecurrent;
        String straight = sequence ? Sequences.reversed(back.name(), Sequences.time(format), graph) : back.name();
        return there.to(switch (layer.getMode()) {
            case ADD -> graph.add("Add", there.name(), straight);
            case MUL -> graph.add("Mul", there.name(), straight);
            case AVERAGE -> graph.add("Mul", graph.add("Add", there.name(), straight), graph.number(0.5));
            case CONCAT -> graph.concat(sequence ? Sequences.units(format) : 1, List.of(there.name(), straight));
        }, here.output());
    }

    private static Flow lastTimeStep(Layer inner, Flow input, Place here) {
        RNNFormat format = format(inner, here);
        String mask = seen(inner, input, here);
        Flow sequence = add(inner, input, true, inside(inner, input, "", here));
        return new Flow(Sequences.last(sequence.name(), mask, format, here.graph()), here.output(), null);
    }

    /** The mask that the innermost layer has. */
    private static @Nullable String seen(Layer layer, Flow input, Place here) {
        if (layer instanceof MaskZeroLayer zeros) {
            return seen(zeros.getUnderlying(), input.masked(present(zeros, input, here)), here);
        }
        return layer instanceof Bidirectional both ? seen(both.getFwd(), input, here) : input.mask();
    }

    /** A mask [batch, time]: zero where all values are the one that stands for nothing. */
    private static String present(MaskZeroLayer layer, Flow input, Place here) {
        OnnxGraph graph = here.graph();
        RNNFormat format = layer.getUnderlying() instanceof BaseRecurrentLayer recurrent ? recurrent.getRnnDataFormat()
                : ((InputType.InputTypeRecurrent) input.type()).getFormat();
        if (format == RNNFormat.NWC && !(layer.getUnderlying() instanceof BaseRecurrentLayer)) {
            throw here.refusal("DL4J looks for masked steps in the wrong dimension where a MaskZeroLayer of format NWC is around "
                    + "a " + layer.getUnderlying().getClass().getSimpleName(), "Use format NCW, or put the MaskZeroLayer inside");
        }
        String same = graph.cast(graph.add("Equal", input.name(), graph.number(layer.getMaskingValue())), DataType.FLOAT);
        return graph.add("Sub", graph.number(1), graph.reduce("ReduceMin", same, false, Sequences.units(format)));
    }

    private static Flow timeDistributed(TimeDistributed layer, Flow input, Place here) {
        OnnxGraph graph = here.graph();
        RNNFormat format = layer.getRnnDataFormat() == RNNFormat.NCW ? RNNFormat.NCW : RNNFormat.NWC;
        String steps = Sequences.unitsLast(input.name(), format, graph);
        InputType rowType = InputType.feedForward(((InputType.InputTypeRecurrent) input.type()).getSize());
        // DL4J has the rows example after example, but their mask step after step.
        String mask = input.mask() == null ? null : Sequences.maskOfRows(input.mask(), graph);
        String rows = graph.add("Flatten", graph.add("Flatten", steps, Attribute.of("axis", 2)), Attribute.of("axis", 1));
        Flow inner = here.inner(layer.getUnderlying(), new Flow(rows, rowType, mask, input.integer()), "",
                layer.getUnderlying().getOutputType(0, rowType));
        if (!(inner.type() instanceof InputType.InputTypeFeedForward)) {
            throw here.refusal("the layer in its TimeDistributed does not return rows but " + inner.type(),
                    "Use a layer such as DenseLayer in it");
        }
        String result = graph.reshape(inner.name(), graph.shape(steps, 0, 2), graph.ints(-1));
        return new Flow(Sequences.unitsLast(result, format, graph), here.output(), inner.mask() == null ? null : input.mask());
    }

    private static @Nullable RNNFormat format(Layer layer, Place here) {
        try {
            return TimeSeriesUtils.getFormatFromRnnLayer(layer);
        } catch (IllegalStateException e) {
            throw here.refusal("a " + layer.getClass().getSimpleName() + " cannot be wrapped", "Wrap a recurrent layer");
        }
    }
}
