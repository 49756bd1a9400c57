package io.github.dl4jlora.onnx;

import io.github.dl4jlora.internal.network.Network;
import io.github.dl4jlora.internal.network.Node;
import org.deeplearning4j.nn.conf.InputPreProcessor;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.preprocessor.Cnn3DToFeedForwardPreProcessor;
import org.deeplearning4j.nn.conf.preprocessor.CnnToFeedForwardPreProcessor;
import org.deeplearning4j.nn.conf.preprocessor.CnnToRnnPreProcessor;
import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/**
 * Sizes of images that fit the layer of a network which flattens them: found by trying, since a convolution's size cannot be
 * inverted where it is rounded.
 *
 * @param least height and width, or depth, height and width
 * @param most  likewise
 */
record FlattenedSizes(List<Long> least, List<Long> most) {

    private static final long LARGEST = 2048;

    /**
     * The sizes of the one input.
     *
     * @param steps of all nodes
     * @param type  of the input, with any sizes
     * @return null if no layer flattens, it does so behind a pooling to which any size does, or there is more than one input
     * @throws OnnxExportException if no size fits
     */
    static @Nullable FlattenedSizes of(Network<?> network, List<Step> steps, String input, InputType type) {
        for (int i = 0; i < steps.size(); i++) {
            InputPreProcessor preprocessor = steps.get(i).preprocessor();
            List<Long> wanted = preprocessor == null ? List.of() : wanted(preprocessor);
            if (!wanted.isEmpty() && network.inputs().size() == 1) {
                return fitting(steps.subList(0, i), steps.get(i).node(), wanted, input, type);
            }
        }
        return null;
    }

    private static List<Long> wanted(InputPreProcessor preprocessor) {
        List<Long> wanted = preprocessor instanceof CnnToFeedForwardPreProcessor image
                ? List.of(image.getInputHeight(), image.getInputWidth())
                : preprocessor instanceof CnnToRnnPreProcessor image ? List.of(image.getInputHeight(), image.getInputWidth())
                : preprocessor instanceof Cnn3DToFeedForwardPreProcessor volume
                ? List.of(volume.getInputDepth(), volume.getInputHeight(), volume.getInputWidth()) : List.of();
        return wanted.contains(0L) ? List.of() : wanted;
    }

    private static @Nullable FlattenedSizes fitting(List<Step> steps, Node flattening, List<Long> wanted, String input,
            InputType type) {
        List<Long> least = new ArrayList<>(Collections.nCopies(wanted.size(), 0L));
        List<Long> most = new ArrayList<>(least);
        boolean isTooLarge = false;
        for (long size = 1; size <= LARGEST && !isTooLarge; size++) {
            List<Long> found = sizes(steps, flattening, input, Shape.resized(type, Collections.nCopies(wanted.size(), size)));
            isTooLarge = found.size() == wanted.size();
            for (int i = 0; i < found.size() && found.size() == wanted.size(); i++) {
                isTooLarge &= found.get(i) > wanted.get(i);
                if (found.get(i).equals(wanted.get(i))) {
                    least.set(i, least.get(i) == 0 ? size : least.get(i));
                    most.set(i, size);
                }
            }
        }
        if (least.contains(0L)) {
            throw OnnxExportException.of(flattening.name(), "it flattens images of the sizes " + wanted + ", and no size of the "
                    + "network's input leads to them", "Give the sizes with OnnxExport.inputTypes(...)");
        }
        return isTooLarge ? new FlattenedSizes(least, most) : null;
    }

    /** Some that fit: larger ones for other numbers from 0 to {@code count - 1}, since some layer may not take the smallest. */
    List<Long> fitting(int number, int count) {
        return IntStream.range(0, least.size())
                .mapToObj(i -> least.get(i) + (most.get(i) - least.get(i)) * number / count).toList();
    }

    /** What arrives at the layer that flattens; none if the image is too small on the way. */
    private static List<Long> sizes(List<Step> steps, Node flattening, String input, InputType type) {
        Map<String, InputType> types = Step.types(steps, Map.of(input, type));
        return types.size() <= steps.size() ? List.of() : Shape.sizes(types.get(flattening.inputs().get(0)));
    }
}
