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
import java.util.ArrayList;
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
     * @throws IOException if ONNX Runtime refuses the file or the inputs
     */
    public static double largestDifference(Model network, Path file, @Nullable Path adapter, InputType... types)
            throws IOException {
        try (OnnxSession session = OnnxSession.open(file)) {
            Map<OnnxSession.Input, INDArray> inputs = new LinkedHashMap<>();
            Network<?> known = Networks.of(network);
            Random random = new Random(SEED);
            List<OnnxSession.Input> asked = session.inputs();
            int count = known.inputs().size();
            for (int i = 0; i < asked.size(); i++) {
                OnnxSession.Input input = asked.get(i);
                inputs.put(input, i < count ? features(known, i, shape(input, i < types.length ? types[i] : null), random)
                        : mask(shape(input, null), random));
            }
            List<INDArray> actual = session.run(inputs, adapter);
            return difference(outputs(network, new ArrayList<>(inputs.values()), count), actual);
        }
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

    /** Sequences of several lengths, the first of the full one. */
    private static INDArray mask(long[] shape, Random random) {
        int steps = (int) shape[1];
        float[] values = new float[(int) shape[0] * steps];
        for (int example = 0; example < shape[0]; example++) {
            Arrays.fill(values, example * steps, example * steps + (example == 0 ? steps : 1 + random.nextInt(steps)), 1);
        }
        return array(values, shape);
    }

    private static INDArray array(float[] values, long[] shape) {
        return Nd4j.createFromArray(values).reshape('c', shape);
    }

    /** @param inputs the features, then the masks */
    private static List<INDArray> outputs(Model network, List<INDArray> inputs, int features) {
        INDArray[] of = inputs.subList(0, features).toArray(INDArray[]::new);
        INDArray[] masks = inputs.size() == features ? null : inputs.subList(features, inputs.size()).toArray(INDArray[]::new);
        return network instanceof ComputationGraph graph ? List.of(graph.output(false, of, masks, null))
                : List.of(((MultiLayerNetwork) network).output(of[0], false, masks == null ? null : masks[0], null));
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
