package io.github.dl4jlora.internal.serve;

import io.github.dl4jlora.internal.network.Network;
import io.github.dl4jlora.internal.network.Networks;
import io.github.dl4jlora.internal.network.Node;
import io.github.dl4jlora.internal.stock.StockLayers;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.InputPreProcessor;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.layers.BaseRecurrentLayer;
import org.deeplearning4j.nn.conf.layers.Convolution1DLayer;
import org.deeplearning4j.nn.conf.layers.EmbeddingSequenceLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.RnnLossLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.conf.layers.recurrent.TimeDistributed;
import org.deeplearning4j.nn.conf.preprocessor.RnnToFeedForwardPreProcessor;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.Arrays;
import java.util.List;
import java.util.Objects;

/**
 * Checks the number of a network's inputs, and the shapes of their masks. DL4J's layers do not: some compute with a mask that is
 * too long or too short as if nothing were wrong. Also knows whether a network lets a mask act on other examples than its own.
 *
 * <pre>
 *   input                       mask
 *   [n, k]                      [n, k], or [n, 1]: one number for an example
 *   [n, size, steps]            [n, steps]
 *   [n, steps, size]  (NWC)     [n, steps]
 *   [n, ...]          rank 4 up [n, 1], or of the input's rank, each dimension as the input's or 1
 * </pre>
 */
public final class Masks {

    /** Their names in a graph; one without a meaning in other networks. */
    private final List<String> inputs;
    private final boolean isGraph;
    /** Where the layer above each input expects the steps; null where it does not say. */
    private final List<@Nullable RNNFormat> formats;
    private final boolean timeDistributed;

    /** @param network a ComputationGraph or MultiLayerNetwork */
    public Masks(Model network) {
        Network<?> asked = Networks.of(network);
        this.inputs = List.copyOf(asked.inputs());
        this.isGraph = asked.isGraph();
        this.formats = inputs.stream().map(input -> format(asked, input)).toList();
        this.timeDistributed = asked.nodes().stream().map(Node::stockLayer)
                .anyMatch(layer -> layer != null && StockLayers.contains(layer, TimeDistributed.class));
    }

    /**
     * Whether an example's output depends on the masks of the examples beside it. In DL4J's TimeDistributed rows lie example by
     * example, but those of the mask step by step.
     */
    boolean tieExamples(Features features) {
        return timeDistributed && features.masks() != null;
    }

    private static @Nullable RNNFormat format(Network<?> network, String input) {
        return network.nodes().stream().filter(node -> node.inputs().contains(input))
                .map(node -> format(network.preprocessor(node), node.stockLayer()))
                .filter(Objects::nonNull).findFirst().orElse(null);
    }

    private static @Nullable RNNFormat format(@Nullable InputPreProcessor before, @Nullable Layer layer) {
        if (before != null || layer == null) {
            return before instanceof RnnToFeedForwardPreProcessor steps ? steps.getRnnDataFormat() : null;
        }
        Layer inner = StockLayers.innermost(layer);
        RNNFormat said = inner instanceof BaseRecurrentLayer recurrent ? recurrent.getRnnDataFormat()
                : inner instanceof Convolution1DLayer convolution ? convolution.getRnnDataFormat()
                : inner instanceof RnnOutputLayer output ? output.getRnnDataFormat()
                : inner instanceof RnnLossLayer loss ? loss.getRnnDataFormat() : null;
        // Token ids are [n, 1, steps].
        boolean isSequence = inner instanceof BaseRecurrentLayer || inner instanceof Convolution1DLayer
                || inner instanceof RnnOutputLayer || inner instanceof RnnLossLayer || inner instanceof EmbeddingSequenceLayer;
        return said == null && isSequence ? RNNFormat.NCW : said;
    }

    /** @throws IllegalArgumentException if inputs are missing or too many, or a mask has another shape than its input asks for */
    void require(Features features) {
        int given = features.inputs().length;
        if (given != inputs.size()) {
            throw new IllegalArgumentException("The network has " + (isGraph ? "the inputs " + inputs
                    : "one input") + ", but " + given + (given == 1 ? " was" : " were") + " given. Give one array for each"
                    + (isGraph ? ", in this order" : ""));
        }
        INDArray[] masks = features.masks();
        if (masks == null) {
            return;
        }
        for (int i = 0; i < masks.length; i++) {
            INDArray mask = masks[i];
            INDArray input = features.inputs()[i];
            RNNFormat format = i < formats.size() ? formats.get(i) : null;
            if (mask != null && !fits(mask.shape(), input.shape(), format)) {
                throw new IllegalArgumentException("The mask of input " + i + " has the shape " + Arrays.toString(mask.shape())
                        + ", but the input " + Arrays.toString(input.shape()) + " needs " + needed(input.shape(), format));
            }
        }
    }

    private static boolean fits(long[] mask, long[] input, @Nullable RNNFormat format) {
        if (mask.length == 2 && input.length != 3) {
            return mask[1] == 1 || input.length == 2 && mask[1] == input[1];
        }
        if (input.length == 3) {
            return mask.length == 2 && (format != RNNFormat.NWC && mask[1] == input[2]
                    || format != RNNFormat.NCW && mask[1] == input[1]);
        }
        boolean fits = mask.length == input.length && input.length > 3;
        for (int d = 1; fits && d < mask.length; d++) {
            fits = mask[d] == 1 || mask[d] == input[d];
        }
        return fits;
    }

    private static String needed(long[] input, @Nullable RNNFormat format) {
        long examples = input[0];
        String each = ": a number for each example and step";
        return switch (input.length) {
            case 2 -> shape(examples, input[1]) + each + ", or " + shape(examples, 1) + ", one for each example";
            case 3 -> (format == null ? shape(examples, input[2]) + " or " + shape(examples, input[1])
                    : shape(examples, format == RNNFormat.NWC ? input[1] : input[2])) + each;
            default -> shape(examples, 1) + ": a number for each example, or a mask of the input's rank, whose other dimensions "
                    + "are the input's or 1";
        };
    }

    private static String shape(long examples, long numbers) {
        return "[" + examples + ", " + numbers + "]";
    }
}
