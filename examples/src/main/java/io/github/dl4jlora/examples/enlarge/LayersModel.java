package io.github.dl4jlora.examples.enlarge;

import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.ConvolutionMode;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.ElementWiseVertex;
import org.deeplearning4j.nn.conf.graph.MergeVertex;
import org.deeplearning4j.nn.conf.layers.ActivationLayer;
import org.deeplearning4j.nn.conf.layers.CnnLossLayer;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.Upsampling2D;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;
import org.nd4j.shade.jackson.databind.JsonNode;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A convolutional network in TensorFlow.js's files as a {@link ComputationGraph} of stock layers, named as in the file, for
 * pictures of any size: {@code [minibatch, channels, height, width]} in, the same with other sizes out. DL4J's own importer reads
 * weights from HDF5 only. On top is a {@link CnnLossLayer} of the mean squared error, which has no parameters.
 */
final class LayersModel {

    /** The name of the output. */
    static final String LOSS = "loss";

    private static final List<String> KNOWN = List.of("InputLayer", "Conv2D", "Activation", "Concatenate", "Add", "UpSampling2D");
    private static final List<String> SEVERAL = List.of("Concatenate", "Add");
    private static final int MOST_LAYERS = 1000;
    private static final int LARGEST = 1 << 16;

    private final LayersFiles files;
    private final ComputationGraphConfiguration.GraphBuilder graph;
    /** Channels of each layer added so far. */
    private final Map<String, Long> channels = new LinkedHashMap<>();
    private final List<String> convolutions = new ArrayList<>();
    private String input;
    private String last;

    private LayersModel(LayersFiles files, long seed) {
        this.files = files;
        this.graph = new NeuralNetConfiguration.Builder().seed(seed).convolutionMode(ConvolutionMode.Same).graphBuilder();
    }

    /**
     * @param folder as of {@link LayersFiles#read}
     * @throws IOException as there, or if the network has a layer or a setting that is not supported
     */
    static ComputationGraph open(Path folder, long seed) throws IOException {
        LayersModel model = new LayersModel(LayersFiles.read(folder), seed);
        return model.build();
    }

    private ComputationGraph build() throws IOException {
        if (files.layers().size() > MOST_LAYERS) {
            throw files.refused(LOSS, "there are more than " + MOST_LAYERS + " layers");
        }
        for (JsonNode layer : files.layers()) {
            add(layer.path("name").asText(), layer.path("class_name").asText(), layer.path("config"), inputs(layer));
        }
        if (input == null || convolutions.isEmpty()) {
            throw files.refused(LOSS, "there is no input, or no convolution");
        }
        graph.addInputs(input).setOutputs(LOSS).addLayer(LOSS, new CnnLossLayer.Builder(LossFunction.MSE)
                .activation(Activation.IDENTITY).build(), last);
        ComputationGraph network = new ComputationGraph(graph.build());
        network.init();
        for (String convolution : convolutions) {
            network.setParam(convolution + "_W", kernel(files.weights().get(convolution + "/kernel")));
            network.setParam(convolution + "_b", bias(files.weights().get(convolution + "/bias")));
        }
        return network;
    }

    private static List<String> inputs(JsonNode layer) {
        List<String> names = new ArrayList<>();
        layer.path("inbound_nodes").path(0).forEach(node -> names.add(node.path(0).asText()));
        return names;
    }

    private void add(String name, String type, JsonNode settings, List<String> from) throws IOException {
        if (!name.matches("\\w+") || name.equals(LOSS) || channels.containsKey(name)) {
            throw files.refused(name, "a layer needs a name of its own, of letters, digits and _, other than " + LOSS);
        }
        if (!channels.keySet().containsAll(from)) {
            throw files.refused(name, "its inputs are " + from + ", but one of them does not come before the layer");
        }
        if (!KNOWN.contains(type)) {
            throw files.refused(name, "its type is " + type + ", but only these are read: " + String.join(", ", KNOWN));
        }
        if (from.isEmpty() != type.equals("InputLayer") || from.size() > 1 && !SEVERAL.contains(type)) {
            throw files.refused(name, "a " + type + " cannot have " + from.size() + " inputs");
        }
        requireOnly(name, settings, "data_format", "channels_last");
        channels.put(name, switch (type) {
            case "InputLayer" -> input(name, settings);
            case "Conv2D" -> convolution(name, settings, from.get(0));
            case "Activation" -> activation(name, settings, from.get(0));
            case "Concatenate" -> concatenation(name, settings, from);
            case "Add" -> sum(name, from);
            case "UpSampling2D" -> enlargement(name, settings, from.get(0));
            default -> throw new IllegalStateException(type);
        });
        last = name;
    }

    private void requireOnly(String name, JsonNode settings, String key, String only) throws IOException {
        JsonNode value = settings.path(key);
        if (!value.isMissingNode() && !value.isNull() && !value.asText().equals(only)) {
            throw files.refused(name, key + " is " + value + ", but only " + only + " is read");
        }
    }

    private long input(String name, JsonNode settings) throws IOException {
        JsonNode shape = settings.path("batch_input_shape");
        int channels = shape.path(3).asInt();
        if (input != null || shape.size() != 4 || channels < 1 || channels > LARGEST) {
            throw files.refused(name, "only one input is read, of shape [minibatch, height, width, channels], but this is "
                    + "another one or has shape "
                    + shape);
        }
        input = name;
        return channels;
    }

    private long convolution(String name, JsonNode settings, String from) throws IOException {
        int filters = settings.path("filters").asInt();
        int[] size = pair(name, settings.path("kernel_size"));
        if (!Arrays.equals(pair(name, settings.path("strides")), new int[] {1, 1})
                || !Arrays.equals(pair(name, settings.path("dilation_rate")), new int[] {1, 1})) {
            throw files.refused(name, "strides and dilation other than 1 are not read");
        }
        requireOnly(name, settings, "groups", "1");
        requireOnly(name, settings, "use_bias", "true");
        requireOnly(name, settings, "activation", "linear");
        boolean same = settings.path("padding").asText().equals("same");
        if (!same && size[0] * size[1] != 1) {
            throw files.refused(name, "padding is " + settings.path("padding") + ", but only \"same\" is read");
        }
        requireShape(name, "kernel", size[0], size[1], channels.get(from), filters);
        requireShape(name, "bias", filters);
        graph.addLayer(name, new ConvolutionLayer.Builder(size).nIn(channels.get(from)).nOut(filters)
                .activation(Activation.IDENTITY).build(), from);
        convolutions.add(name);
        return filters;
    }

    private int[] pair(String name, JsonNode sizes) throws IOException {
        int[] pair = {sizes.path(0).asInt(), sizes.path(1).asInt()};
        if (sizes.size() != 2 || pair[0] < 1 || pair[1] < 1 || pair[0] > LARGEST || pair[1] > LARGEST) {
            throw files.refused(name, "two sizes were expected, not " + sizes);
        }
        return pair;
    }

    /** Makes sure that no array is allocated that the files do not contain. */
    private void requireShape(String name, String weight, long... expected) throws IOException {
        LayersFiles.Weight there = files.weights().get(name + "/" + weight);
        if (there == null || !Arrays.equals(there.shape(), expected)) {
            throw files.refused(name, "its " + weight + " should be of shape " + Arrays.toString(expected) + ", but "
                    + (there == null ? "there is none" : "is of " + Arrays.toString(there.shape())));
        }
    }

    private long activation(String name, JsonNode settings, String from) throws IOException {
        requireOnly(name, settings, "activation", "relu");
        graph.addLayer(name, new ActivationLayer.Builder().activation(Activation.RELU).build(), from);
        return channels.get(from);
    }

    private long concatenation(String name, JsonNode settings, List<String> from) throws IOException {
        if (settings.path("axis").asInt() != 3 && settings.path("axis").asInt() != -1) {
            throw files.refused(name, "axis is " + settings.path("axis") + ", but only the channel axis, 3, is read");
        }
        graph.addVertex(name, new MergeVertex(), from.toArray(String[]::new));
        long sum = from.stream().mapToLong(channels::get).sum();
        if (sum > LARGEST) {
            throw files.refused(name, "it has " + sum + " channels, but at most " + LARGEST + " are read");
        }
        return sum;
    }

    private long sum(String name, List<String> from) throws IOException {
        if (from.stream().map(channels::get).distinct().count() != 1) {
            throw files.refused(name, "its inputs have different numbers of channels: " + from);
        }
        graph.addVertex(name, new ElementWiseVertex(ElementWiseVertex.Op.Add), from.toArray(String[]::new));
        return channels.get(from.get(0));
    }

    private long enlargement(String name, JsonNode settings, String from) throws IOException {
        requireOnly(name, settings, "interpolation", "nearest");
        int[] size = pair(name, settings.path("size"));
        if (size[0] != size[1] || size[0] > 16) {
            throw files.refused(name, "it enlarges by " + settings.path("size") + ", but only one factor up to 16 is read");
        }
        graph.addLayer(name, new Upsampling2D.Builder(size[0]).build(), from);
        return channels.get(from);
    }

    /** From Keras's [height, width, in, out] to DL4J's [out, in, height, width]. */
    private static INDArray kernel(LayersFiles.Weight weight) {
        return Nd4j.createFromArray(weight.values()).reshape(weight.shape()).permute(3, 2, 0, 1).dup('c');
    }

    private static INDArray bias(LayersFiles.Weight weight) {
        return Nd4j.createFromArray(weight.values()).reshape(1, weight.values().length);
    }
}
