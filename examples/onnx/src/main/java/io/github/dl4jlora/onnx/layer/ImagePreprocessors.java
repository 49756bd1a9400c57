package io.github.dl4jlora.onnx.layer;

import io.github.dl4jlora.onnx.graph.Flow;
import io.github.dl4jlora.onnx.graph.OnnxGraph;
import org.deeplearning4j.nn.conf.InputPreProcessor;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.preprocessor.Cnn3DToFeedForwardPreProcessor;
import org.deeplearning4j.nn.conf.preprocessor.CnnToFeedForwardPreProcessor;
import org.deeplearning4j.nn.conf.preprocessor.CnnToRnnPreProcessor;
import org.deeplearning4j.nn.conf.preprocessor.ComposableInputPreProcessor;
import org.deeplearning4j.nn.conf.preprocessor.FeedForwardToCnn3DPreProcessor;
import org.deeplearning4j.nn.conf.preprocessor.FeedForwardToCnnPreProcessor;
import org.deeplearning4j.nn.conf.preprocessor.RnnToCnnPreProcessor;
import org.deeplearning4j.preprocessors.KerasFlattenRnnPreprocessor;
import org.deeplearning4j.preprocessors.PermutePreprocessor;
import org.deeplearning4j.preprocessors.ReshapePreprocessor;

import java.util.Arrays;
import java.util.stream.IntStream;

/**
 * Between images and vectors or sequences. Images of a sequence are examples: those of the first time step, then those of the
 * second. What has the wanted dimensions already passes, as in DL4J. Also those of Keras models, which reshape anything.
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
        exports.preprocessor(KerasFlattenRnnPreprocessor.class, (preprocessor, input, here) -> reshaped(input, here,
                preprocessor.getDepth() * preprocessor.getTsLength()));
        exports.preprocessor(ReshapePreprocessor.class, (preprocessor, input, here) -> reshaped(input, here,
                Arrays.stream(preprocessor.getTargetShape()).skip(preprocessor.isHasMiniBatchDimension() ? 1 : 0).toArray()));
        exports.preprocessor(PermutePreprocessor.class, ImagePreprocessors::permuted);
    }

    /** @param sizes of an example, which has as many values as before */
    private static Flow reshaped(Flow input, Place here, long... sizes) {
        noMask(input, here);
        return ofSizes(input, here, sizes);
    }

    /** DL4J's dimensions count from that behind the examples on, or from that of the examples on. */
    private static Flow permuted(PermutePreprocessor preprocessor, Flow input, Place here) {
        noMask(input, here);
        int[] given = preprocessor.getPermutationIndices();
        long[] sizes = input.type().getShape(true);
        int[] all = given.length == sizes.length ? given : IntStream.concat(IntStream.of(0), IntStream.of(given)).toArray();
        long[] permuted = Arrays.stream(all).mapToLong(axis -> sizes[axis]).toArray();
        if (all[0] != 0 || !Arrays.equals(Arrays.copyOfRange(permuted, 1, permuted.length),
                Arrays.copyOfRange(here.output().getShape(true), 1, permuted.length))) {
            throw here.refusal("DL4J does not know the shape that its PermutePreprocessor " + Arrays.toString(given)
                    + " makes", "Permute outside of the network");
        }
        return input.to(here.graph().transpose(input.name(), all), here.output());
    }

    private static void noMask(Flow input, Place here) {
        if (input.mask() != null) {
            throw here.refusal("DL4J does not change masks where it reshapes sequences", "Leave out OnnxExport.masks(true)");
        }
    }

    /** Masks of shape [batch, 1, 1, 1] become [batch, 1]. */
    private static Flow flat(InputPreProcessor preprocessor, Flow input, Place here) {
        if (Sizes.rank(input.type()) == 2) {
            return input;
        }
        Flow output = input.to(here.graph().reshape(input.name(), 0, -1), here.output());
        return input.mask() == null || Sizes.rank(input.type()) != 4 ? output
                : output.masked(here.graph().reshape(input.mask(), 0, 1));
    }

    private static Flow shaped(Flow input, Place here, int rank, long... sizes) {
        return Sizes.rank(input.type()) == rank ? input : ofSizes(input, here, sizes);
    }

    private static Flow ofSizes(Flow input, Place here, long... sizes) {
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
        String steps = Sequences.timeFirst(input.name(), preprocessor.getRnnDataFormat(), graph);
        String images = graph.reshape(steps, -1, preprocessor.getNumChannels(), preprocessor.getInputHeight(),
                preprocessor.getInputWidth());
        String mask = input.mask() == null ? null : graph.reshape(graph.transpose(input.mask(), 1, 0), -1, 1, 1, 1);
        return new Flow(images, here.output(), mask);
    }

    private static Flow sequence(CnnToRnnPreProcessor preprocessor, Flow input, Place here) {
        long size = preprocessor.getNumChannels() * preprocessor.getInputHeight() * preprocessor.getInputWidth();
        return Sequences.ofRows(input, size, preprocessor.getRnnDataFormat(), here);
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
