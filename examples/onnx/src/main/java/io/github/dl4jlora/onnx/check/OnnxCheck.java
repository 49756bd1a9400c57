package io.github.dl4jlora.onnx.check;

import io.github.dl4jlora.internal.network.Network;
import io.github.dl4jlora.internal.network.Networks;
import io.github.dl4jlora.internal.network.Node;
import io.github.dl4jlora.internal.stock.StockLayers;
import io.github.dl4jlora.onnx.OnnxExport;
import io.github.dl4jlora.onnx.WeightType;
import io.github.dl4jlora.onnx.layer.LayerTypes;
import io.github.dl4jlora.onnx.transformer.TextForm;
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
    private static final int PADDINGS = 2;

    private OnnxCheck() {
    }

    /** Whether ONNX Runtime is on the class path. */
    public static boolean isPossible() {
        return OnnxSession.isPossible();
    }

    /**
     * {@return the largest difference that a type of weights explains in most networks} Sums of thousands of roundings come to
     * 1e-5 at most in FLOAT; the others are what random networks of a few layers lose.
     */
    public static double explained(WeightType type) {
        return switch (type) {
            case FLOAT -> 1e-5;
            case FLOAT16 -> 2e-3;
            case BF16 -> 2e-2;
            case INT8 -> 5e-2;
        };
    }

    /**
     * The largest difference of two outputs, as a part of the largest output; see {@link #explained}.
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
            TextForm form = LayerTypes.hasTransformers() ? TextForm.of(known) : null;
            int text = form == null ? -1 : known.inputs().indexOf(form.input());
            List<OnnxSession.Input> asked = session.inputs();
            InputType[] sizes = types.length == 0 && asked.stream().anyMatch(OnnxCheck::isOpenImage)
                    ? OnnxExport.of(network).typesOfInputs().toArray(InputType[]::new) : types;
            long length = text < 0 ? 0 : shape(asked.get(text), sizes, text)[1];
            Random random = new Random(SEED);
            Map<OnnxSession.Input, INDArray> inputs = new LinkedHashMap<>();
            int count = known.inputs().size();
            INDArray[] features = new INDArray[count];
            INDArray[] masks = new INDArray[count];
            for (int i = 0; i < asked.size(); i++) {
                OnnxSession.Input input = asked.get(i);
                if (i < count) {
                    long[] shape = shape(input, sizes, i);
                    long vocabulary = form == null ? vocabulary(known, i)
                            : Math.max(form.ids(known.inputs().get(i)), vocabulary(known, i));
                    boolean isPlace = input.whole() && vocabulary == 0 && text >= 0;
                    features[i] = features(isPlace ? length : vocabulary, i == text ? form.padding() : -1, shape,
                            random);
                    inputs.put(input, features[i]);
                } else {
                    int of = masked(input, asked);
                    masks[of] = mask(features[of], steps(input, features[of], asked.get(of).shape()), random);
                    inputs.put(input, masks[of]);
                    if (of == text) {
                        // Transformers refuse a mask that says something else than the ids.
                        features[of].muli(masks[of]).addi(masks[of].rsub(1).mul(form.padding()));
                    }
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

    /** Not every network takes images of any size. */
    private static boolean isOpenImage(OnnxSession.Input input) {
        long[] shape = input.shape();
        return shape.length > 3 && Arrays.stream(shape).skip(1).anyMatch(size -> size < 0);
    }

    /** @param types of the network's inputs; none where nobody has said */
    private static long[] shape(OnnxSession.Input input, InputType[] types, int index) {
        long[] shape = input.shape().clone();
        long[] said = index < types.length ? types[index].getShape(true) : new long[0];
        for (int i = 0; i < shape.length; i++) {
            if (shape[i] < 0) {
                shape[i] = i == 0 ? EXAMPLES : said.length == shape.length && said[i] > 0 ? said[i] : STEPS;
            }
        }
        return shape;
    }

    /** How many ids an input may have; 0 for one that no embedding reads. */
    private static long vocabulary(Network<?> network, int index) {
        String name = network.inputs().get(index);
        return network.nodes().stream().filter(node -> node.inputs().contains(name)).map(Node::stockLayer)
                .filter(LayerTypes::isEmbedding)
                .mapToLong(layer -> ((FeedForwardLayer) StockLayers.innermost(layer)).getNIn()).min().orElse(0);
    }

    /**
     * Random ids, or numbers.
     *
     * @param vocabulary different ids; 0 for numbers
     * @param padding    an id that is none of a token
     */
    private static INDArray features(long vocabulary, int padding, long[] shape, Random random) {
        float[] values = new float[(int) Arrays.stream(shape).reduce(1, Math::multiplyExact)];
        // The first ids are padding in most vocabularies, and a text that is all padding is refused.
        int first = vocabulary > PADDINGS ? PADDINGS : 0;
        for (int i = 0; i < values.length; i++) {
            values[i] = vocabulary == 0 ? (float) random.nextGaussian() : first + random.nextInt((int) vocabulary - first);
            values[i] = vocabulary > 0 && values[i] == padding ? padding == 0 ? 1 : 0 : values[i];
        }
        return array(values, shape);
    }

    /** The length that a mask asks for: its own, or that of the sequences, in whose shape it is open, too. */
    private static int steps(OnnxSession.Input mask, INDArray features, long[] shape) {
        long own = mask.shape()[1];
        return (int) (own > 0 ? own : features.size(shape[1] < 0 || shape.length == 2 ? 1 : 2));
    }

    /** Sequences of several lengths, the first of the full one. */
    private static INDArray mask(INDArray features, int steps, Random random) {
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
