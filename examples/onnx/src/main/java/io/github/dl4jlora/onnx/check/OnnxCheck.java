package io.github.dl4jlora.onnx.check;

import io.github.dl4jlora.internal.network.Network;
import io.github.dl4jlora.internal.network.Networks;
import io.github.dl4jlora.internal.network.Node;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.FeedForwardLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.IntStream;

/**
 * Runs a network in DL4J and what was written of it in ONNX Runtime, on the same random inputs, and compares the outputs. ONNX
 * Runtime has to be on the class path: {@code com.microsoft.onnxruntime:onnxruntime}.
 */
public final class OnnxCheck {

    private static final long SEED = 1;
    private static final int EXAMPLES = 3;
    /** Of sequences whose length is open. */
    private static final int STEPS = 7;
    /** Of images whose size is open. */
    private static final int PIXELS = 32;
    private static final int PADDINGS = 2;

    private OnnxCheck() {
    }

    /** Whether ONNX Runtime is on the class path. */
    public static boolean isPossible() {
        return OnnxSession.isPossible();
    }

    /**
     * The largest difference of two outputs, as a part of the largest output. With weights in FLOAT it is below 1e-5 where all is
     * well.
     *
     * @param network what was written; with an adapter, the adapted network
     * @param file    what was written of it
     * @param adapter in ONNX Runtime's form, which is active; null for none
     * @param types   of the network's inputs, for sizes that are open in the file; none: some sizes are taken
     * @throws IOException              if ONNX Runtime refuses the file or the inputs
     * @throws IllegalArgumentException if the network refuses the inputs
     */
    public static double largestDifference(Model network, Path file, @Nullable Path adapter, InputType... types)
            throws IOException {
        try (OnnxSession session = OnnxSession.open(file)) {
            Network<?> known = Networks.of(network);
            Random random = new Random(SEED);
            Map<OnnxSession.Input, INDArray> inputs = new LinkedHashMap<>();
            List<OnnxSession.Input> asked = session.inputs();
            int count = known.inputs().size();
            INDArray[] features = new INDArray[count];
            INDArray[] masks = new INDArray[count];
            for (int i = 0; i < asked.size(); i++) {
                OnnxSession.Input input = asked.get(i);
                if (i < count) {
                    features[i] = features(known, i, shape(input, i < types.length ? types[i] : null), random);
                    inputs.put(input, features[i]);
                } else {
                    int of = masked(input, asked);
                    masks[of] = mask(features[of], asked.get(of).shape(), random);
                    inputs.put(input, masks[of]);
                }
            }
            return difference(outputs(network, features, asked.size() == count ? null : masks), session.run(inputs, adapter));
        }
    }

    /** Which input's mask it is, by its name. */
    private static int masked(OnnxSession.Input mask, List<OnnxSession.Input> asked) {
        return IntStream.range(0, asked.size()).filter(i -> mask.name().equals(asked.get(i).name() + "_mask")).findFirst()
                .orElseThrow(() -> new IllegalArgumentException("\"" + mask.name() + "\" is no mask of another input"));
    }

    /** @param type of the input; null where nobody has said */
    private static long[] shape(OnnxSession.Input input, @Nullable InputType type) {
        long[] shape = input.shape().clone();
        long[] said = type == null ? new long[0] : type.getShape(true);
        for (int i = 0; i < shape.length; i++) {
            if (shape[i] < 0) {
                shape[i] = i == 0 ? EXAMPLES : said.length == shape.length && said[i] > 0 ? said[i]
                        : shape.length > 3 ? PIXELS : STEPS;
            }
        }
        return shape;
    }

    private static INDArray features(Network<?> network, int index, long[] shape, Random random) {
        String name = network.inputs().get(index);
        long vocabulary = network.nodes().stream().filter(node -> node.inputs().contains(name)).map(Node::stockLayer)
                .filter(layer -> layer instanceof FeedForwardLayer && layer.getClass().getSimpleName().contains("Embedding"))
                .mapToLong(layer -> ((FeedForwardLayer) layer).getNIn()).min().orElse(0);
        float[] values = new float[(int) Arrays.stream(shape).reduce(1, Math::multiplyExact)];
        // The first ids are padding in most vocabularies, and may not stand in the middle of a text.
        int first = vocabulary > PADDINGS ? PADDINGS : 0;
        for (int i = 0; i < values.length; i++) {
            values[i] = vocabulary == 0 ? (float) random.nextGaussian() : first + random.nextInt((int) vocabulary - first);
        }
        return array(values, shape);
    }

    /**
     * Sequences of several lengths, the first of the full one.
     *
     * @param shape of the sequences in the file, in which steps are open
     */
    private static INDArray mask(INDArray features, long[] shape, Random random) {
        int steps = (int) features.size(shape[1] < 0 || shape.length == 2 ? 1 : 2);
        float[] values = new float[(int) features.size(0) * steps];
        for (int start = 0; start < values.length; start += steps) {
            Arrays.fill(values, start, start + (start == 0 ? steps : 1 + random.nextInt(steps)), 1);
        }
        return array(values, features.size(0), steps);
    }

    private static INDArray array(float[] values, long... shape) {
        return Nd4j.createFromArray(values).reshape('c', shape);
    }

    private static List<INDArray> outputs(Model network, INDArray[] features, INDArray @Nullable [] masks) {
        return network instanceof ComputationGraph graph ? List.of(graph.output(false, features, masks, null))
                : List.of(((MultiLayerNetwork) network).output(features[0], false, masks == null ? null : masks[0], null));
    }

    private static double difference(List<INDArray> expected, List<INDArray> actual) throws IOException {
        double largest = 0;
        for (int i = 0; i < expected.size(); i++) {
            if (!Arrays.equals(expected.get(i).shape(), actual.get(i).shape())) {
                throw new IOException("Output " + i + " has the shape " + Arrays.toString(actual.get(i).shape())
                        + " in ONNX Runtime, and " + Arrays.toString(expected.get(i).shape()) + " in DL4J");
            }
            double[] wanted = expected.get(i).dup('c').castTo(DataType.DOUBLE).data().asDouble();
            double[] given = actual.get(i).dup('c').castTo(DataType.DOUBLE).data().asDouble();
            double scale = Arrays.stream(wanted).map(Math::abs).max().orElse(0);
            double difference = IntStream.range(0, wanted.length).mapToDouble(k -> Math.abs(wanted[k] - given[k])).max()
                    .orElse(0);
            // Math.max keeps NaN.
            largest = Math.max(largest, scale == 0 ? difference : difference / scale);
        }
        return largest;
    }
}
