package io.github.dl4jlora.serve;

import io.github.dl4jlora.frozen.FrozenBaseLayer;
import io.github.dl4jlora.frozen.FrozenBaseVertex;
import io.github.dl4jlora.transformers.layer.TokenEmbeddings;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.CNN2DFormat;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.graph.FrozenVertex;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.graph.LayerVertex;
import org.deeplearning4j.nn.conf.layers.BaseRecurrentLayer;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.EmbeddingLayer;
import org.deeplearning4j.nn.conf.layers.EmbeddingSequenceLayer;
import org.deeplearning4j.nn.conf.layers.FeedForwardLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayer;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayerWithBackprop;
import org.deeplearning4j.nn.conf.layers.samediff.SameDiffVertex;
import org.deeplearning4j.nn.conf.layers.wrapper.BaseWrapperLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.api.buffer.DataType;

import java.util.Arrays;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * The inputs and outputs of a network, as far as its configuration says.
 *
 * @param inputs  in the network's order; a MultiLayerNetwork's is called {@code input}
 * @param outputs names in the network's order; a MultiLayerNetwork's is called {@code output}
 * @param type    of its numbers
 * @param mostExamples that one request may bring
 */
record NetworkForm(List<Input> inputs, List<String> outputs, DataType type, int mostExamples) {

    private static final int ANY = -1;

    boolean has(String name) {
        return inputs.stream().anyMatch(input -> input.name().equals(name));
    }

    /** @throws Problem if there is no input of this name */
    Input input(String name) {
        return inputs.stream().filter(input -> input.name().equals(name)).findFirst().orElseThrow(() -> Problem.badRequest(
                "There is no input \"" + name + "\"; the network's are " + inputs.stream()
                        .map(input -> '"' + input.name() + '"').collect(Collectors.joining(", "))));
    }

    /**
     * One input.
     *
     * @param isOfWords whether a layer takes its numbers for indices
     * @param shape the first number is that of examples; -1 for any number. Empty if the configuration does not say: then the
     *              network itself checks its input
     */
    record Input(String name, Optional<long[]> shape, boolean isOfWords) {

        /** How many numbers {@code examples} examples may have; unlimited if the configuration does not say. */
        long mostNumbers(int examples) {
            return shape.filter(numbers -> Arrays.stream(numbers).skip(1).noneMatch(number -> number == ANY))
                    .map(numbers -> Arrays.stream(numbers).skip(1).reduce(examples, (a, b) -> a * b)).orElse(Long.MAX_VALUE);
        }

        /** {@code [examples, 64, any]}; {@code unknown}. */
        String words() {
            return shape.map(numbers -> Arrays.stream(numbers).skip(1).mapToObj(number -> number == ANY ? "any" : "" + number)
                    .collect(Collectors.joining(", ", "[examples, ", "]"))).orElse("unknown");
        }

        /**
         * @throws Problem if an array of this shape does not fit this input
         */
        void require(long[] given) {
            if (shape.isPresent() && !fits(shape.get(), given)) {
                throw Problem.badRequest("Input \"" + name + "\" has the shape " + Arrays.toString(given)
                        + ", but the network takes " + words());
            }
        }

        private static boolean fits(long[] expected, long[] given) {
            boolean fits = given.length == expected.length;
            for (int i = 0; fits && i < given.length; i++) {
                fits = expected[i] == ANY || expected[i] == given[i];
            }
            return fits;
        }
    }

    /**
     * @param network      a ComputationGraph or MultiLayerNetwork
     * @param mostExamples that one request may bring
     */
    static NetworkForm of(Model network, int mostExamples) {
        return network instanceof ComputationGraph graph ? of(graph, mostExamples)
                : of(((MultiLayerNetwork) network).getLayerWiseConfigurations(), mostExamples);
    }

    private static NetworkForm of(MultiLayerConfiguration network, int mostExamples) {
        Optional<long[]> shape = network.getInputPreProcess(0) != null ? Optional.empty() : shape(network.getConf(0).getLayer());
        return new NetworkForm(List.of(new Input("input", shape, looksUp(network.getConf(0).getLayer()))), List.of("output"),
                network.getDataType(), mostExamples);
    }

    private static NetworkForm of(ComputationGraph graph, int mostExamples) {
        ComputationGraphConfiguration network = graph.getConfiguration();
        List<Input> inputs = network.getNetworkInputs().stream()
                .map(input -> new Input(input, shape(network, input), isOfWords(graph, input))).toList();
        return new NetworkForm(inputs, List.copyOf(network.getNetworkOutputs()), network.getDataType(), mostExamples);
    }

    private static Optional<long[]> shape(ComputationGraphConfiguration network, String input) {
        return network.getVertexInputs().entrySet().stream().filter(vertex -> vertex.getValue().contains(input))
                .map(vertex -> network.getVertices().get(vertex.getKey()))
                .map(vertex -> vertex instanceof LayerVertex layer && layer.getPreProcessor() == null
                        ? shape(layer.getLayerConf().getLayer()) : Optional.<long[]>empty())
                .flatMap(Optional::stream).findFirst();
    }

    /** Whether its numbers are looked up, at once or once they have come through vertices that hand them on. */
    private static boolean isOfWords(ComputationGraph graph, String input) {
        ComputationGraphConfiguration network = graph.getConfiguration();
        Set<String> carriers = new HashSet<>(Set.of(input));
        for (int index : graph.topologicalSortOrder()) {
            String name = graph.getVertices()[index].getVertexName();
            if (Collections.disjoint(network.getVertexInputs().getOrDefault(name, List.of()), carriers)) {
                continue;
            }
            GraphVertex vertex = stock(network.getVertices().get(name));
            if (vertex instanceof LayerVertex layer && looksUp(layer.getLayerConf().getLayer())) {
                return true;
            }
            // Layers and SameDiff compute other numbers.
            if (!(vertex instanceof LayerVertex || vertex instanceof SameDiffVertex)) {
                carriers.add(name);
            }
        }
        return false;
    }

    private static boolean looksUp(Layer reader) {
        Layer layer = stock(reader);
        return layer instanceof BaseWrapperLayer wrapper ? looksUp(wrapper.getUnderlying())
                : layer instanceof EmbeddingLayer || layer instanceof EmbeddingSequenceLayer || layer instanceof TokenEmbeddings;
    }

    /** The layer inside of what freezes it, of this library's or DL4J's. */
    private static Layer stock(Layer layer) {
        return layer instanceof FrozenBaseLayer frozen ? stock(frozen.getOrigin())
                : layer instanceof FrozenLayer frozen ? stock(frozen.getLayer())
                : layer instanceof FrozenLayerWithBackprop frozen ? stock(frozen.getUnderlying()) : layer;
    }

    private static GraphVertex stock(GraphVertex vertex) {
        return vertex instanceof FrozenBaseVertex frozen ? frozen.stockVertex()
                : vertex instanceof FrozenVertex frozen ? stock(frozen.getUnderlying()) : vertex;
    }

    /** Input shape of the layers that take no other. */
    private static Optional<long[]> shape(Layer reader) {
        Layer layer = stock(reader);
        if (layer instanceof BaseRecurrentLayer recurrent) {
            return Optional.of(recurrent.getRnnDataFormat() == RNNFormat.NWC ? new long[] {ANY, ANY, recurrent.getNIn()}
                    : new long[] {ANY, recurrent.getNIn(), ANY});
        }
        if (layer.getClass() == ConvolutionLayer.class) {
            ConvolutionLayer convolution = (ConvolutionLayer) layer;
            return Optional.of(convolution.getCnn2dDataFormat() == CNN2DFormat.NHWC
                    ? new long[] {ANY, ANY, ANY, convolution.getNIn()} : new long[] {ANY, convolution.getNIn(), ANY, ANY});
        }
        if (layer.getClass() == DenseLayer.class || layer.getClass() == OutputLayer.class) {
            return Optional.of(new long[] {ANY, ((FeedForwardLayer) layer).getNIn()});
        }
        return Optional.empty();
    }
}
