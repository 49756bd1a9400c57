package io.github.dl4jlora.serve;

import io.github.dl4jlora.transformers.layer.TokenEmbeddings;
import io.github.dl4jlora.transformers.layer.TypedIds;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.CNN2DFormat;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.RNNFormat;
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
import org.deeplearning4j.nn.conf.layers.wrapper.BaseWrapperLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.api.buffer.DataType;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
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
        return network instanceof ComputationGraph graph ? of(graph.getConfiguration(), mostExamples)
                : of(((MultiLayerNetwork) network).getLayerWiseConfigurations(), mostExamples);
    }

    private static NetworkForm of(MultiLayerConfiguration network, int mostExamples) {
        Optional<long[]> shape = network.getInputPreProcess(0) != null ? Optional.empty() : shape(network.getConf(0).getLayer());
        return new NetworkForm(List.of(new Input("input", shape, looksUp(network.getConf(0).getLayer()))), List.of("output"),
                network.getDataType(), mostExamples);
    }

    private static NetworkForm of(ComputationGraphConfiguration network, int mostExamples) {
        List<Input> inputs = new ArrayList<>();
        for (String input : network.getNetworkInputs()) {
            List<GraphVertex> readers = network.getVertexInputs().entrySet().stream()
                    .filter(vertex -> vertex.getValue().contains(input))
                    .map(vertex -> network.getVertices().get(vertex.getKey())).toList();
            inputs.add(new Input(input, readers.stream().map(NetworkForm::shape).flatMap(Optional::stream).findFirst(),
                    readers.stream().anyMatch(NetworkForm::looksUp)));
        }
        return new NetworkForm(inputs, List.copyOf(network.getNetworkOutputs()), network.getDataType(), mostExamples);
    }

    private static Optional<long[]> shape(GraphVertex vertex) {
        return vertex instanceof LayerVertex layer && layer.getPreProcessor() == null ? shape(layer.getLayerConf().getLayer())
                : Optional.empty();
    }

    private static boolean looksUp(GraphVertex vertex) {
        return vertex instanceof TypedIds || vertex instanceof LayerVertex layer && looksUp(layer.getLayerConf().getLayer());
    }

    private static boolean looksUp(Layer layer) {
        return layer instanceof FrozenLayer frozen ? looksUp(frozen.getLayer())
                : layer instanceof BaseWrapperLayer wrapper ? looksUp(wrapper.getUnderlying())
                : layer instanceof EmbeddingLayer || layer instanceof EmbeddingSequenceLayer || layer instanceof TokenEmbeddings;
    }

    /** Input shape of the layers that take no other. */
    private static Optional<long[]> shape(Layer layer) {
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
