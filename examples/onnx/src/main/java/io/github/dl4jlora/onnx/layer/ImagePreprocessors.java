package io.github.dl4jlora.onnx.layer;

import io.github.dl4jlora.onnx.graph.Flow;
import io.github.dl4jlora.onnx.graph.OnnxGraph;
import org.deeplearning4j.nn.conf.InputPreProcessor;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.preprocessor.Cnn3DToFeedForwardPreProcessor;
import org.deeplearning4j.nn.conf.preprocessor.CnnToFeedForwardPreProcessor;
import org.deeplearning4j.nn.conf.preprocessor.CnnToRnnPreProcessor;
import org.deeplearning4j.nn.conf.preprocessor.ComposableInputPreProcessor;
import org.deeplearning4j.nn.conf.preprocessor.FeedForwardToCnn3DPreProcessor;
import org.deeplearning4j.nn.conf.preprocessor.FeedForwardToCnnPreProcessor;
import org.deeplearning4j.nn.conf.preprocessor.RnnToCnnPreProcessor;

import java.util.List;

/**
 * Between images and vectors or sequences. Images of a sequence are examples: those of the first time step, then those of the
 * second. What has the wanted dimensions already passes, as in DL4J.
 */
final class ImagePreprocessors {

    private ImagePreprocessors() {
    }

    static void addTo(Exports exports) {
        exports.preprocessor(CnnToFeedForwardPreProcessor.class, ImagePreprocessors::flat);
        exports.preprocessor(Cnn3DToFeedForwardPreProcessor.class, ImagePreprocessors::flat);
        exports.preprocessor(FeedForwardToCnnPreProcessor.class, (preprocessor, input, here) -> shaped(input, here, 4,
                preprocessor.getNumChannels(), preprocessor.getInputHeight(), preprocessor.getInputWidth()));
        exports.preprocessor(FeedForwardToCnn3DPreProcessor.class, ImagePreprocessors::volume);
        exports.preprocessor(RnnToCnnPreProcessor.class, ImagePreprocessors::images);
        exports.preprocessor(CnnToRnnPreProcessor.class, ImagePreprocessors::sequence);
        exports.preprocessor(ComposableInputPreProcessor.class, ImagePreprocessors::composed);
    }

    private static int rank(InputType type) {
        return type instanceof InputType.InputTypeConvolutionalFlat ? 2 : type.getShape(true).length;
    }

    /** Masks of shape [batch, 1, 1, 1] become [batch, 1]. */
    private static Flow flat(InputPreProcessor preprocessor, Flow input, Place here) {
        if (rank(input.type()) == 2) {
            return input;
        }
        Flow output = input.to(here.graph().reshape(input.name(), 0, -1), here.output());
        return input.mask() == null || rank(input.type()) != 4 ? output
                : output.masked(here.graph().reshape(input.mask(), 0, 1));
    }

    private static Flow shaped(Flow input, Place here, int rank, long... sizes) {
        if (rank(input.type()) == rank) {
            return input;
        }
        long[] shape = new long[sizes.length + 1];
        System.arraycopy(sizes, 0, shape, 1, sizes.length);
        return input.to(here.graph().reshape(input.name(), shape), here.output());
    }

    private static Flow volume(FeedForwardToCnn3DPreProcessor preprocessor, Flow input, Place here) {
        long channels = preprocessor.getNumChannels();
        long depth = preprocessor.getInputDepth();
        long height = preprocessor.getInputHeight();
        long width = preprocessor.getInputWidth();
        return preprocessor.isNCDHW() ? shaped(input, here, 5, channels, depth, height, width)
                : shaped(input, here, 5, depth, height, width, channels);
    }

    private static Flow images(RnnToCnnPreProcessor preprocessor, Flow input, Place here) {
        OnnxGraph graph = here.graph();
        boolean last = preprocessor.getRnnDataFormat() == RNNFormat.NWC;
        String steps = graph.transpose(input.name(), last ? new int[]{1, 0, 2} : new int[]{2, 0, 1});
        String images = graph.reshape(steps, -1, preprocessor.getNumChannels(), preprocessor.getInputHeight(),
                preprocessor.getInputWidth());
        String mask = input.mask() == null ? null : graph.reshape(graph.transpose(input.mask(), 1, 0), -1, 1, 1, 1);
        return new Flow(images, here.output(), mask);
    }

    private static Flow sequence(CnnToRnnPreProcessor preprocessor, Flow input, Place here) {
        OnnxGraph graph = here.graph();
        boolean last = preprocessor.getRnnDataFormat() == RNNFormat.NWC;
        long size = preprocessor.getNumChannels() * preprocessor.getInputHeight() * preprocessor.getInputWidth();
        String steps = graph.add("Reshape", input.name(),
                graph.concat(0, List.of(graph.ints(-1), here.batch(), graph.ints(size))));
        String mask = input.mask() == null ? null : graph.transpose(graph.add("Reshape", input.mask(),
                graph.concat(0, List.of(graph.ints(-1), here.batch()))), 1, 0);
        return new Flow(graph.transpose(steps, last ? new int[]{1, 0, 2} : new int[]{1, 2, 0}), here.output(), mask);
    }

    private static Flow composed(ComposableInputPreProcessor preprocessor, Flow input, Place here) {
        Flow flow = input;
        for (InputPreProcessor each : preprocessor.getInputPreProcessors()) {
            InputType type = each.getOutputType(flow.type());
            flow = here.exports().preprocessor(each, flow, here.within("", type));
        }
        return flow;
    }
}
