package io.github.dl4jlora.internal.cost;

import io.github.dl4jlora.conf.LayerType;
import io.github.dl4jlora.footprint.Passage;
import io.github.dl4jlora.footprint.Rows;
import io.github.dl4jlora.internal.network.Network;
import io.github.dl4jlora.internal.network.Node;
import org.deeplearning4j.exception.DL4JException;
import org.deeplearning4j.nn.conf.InputPreProcessor;
import org.deeplearning4j.nn.conf.inputs.InputType.InputTypeConvolutional;
import org.deeplearning4j.nn.conf.inputs.InputType.InputTypeFeedForward;
import org.deeplearning4j.nn.conf.inputs.InputType.InputTypeRecurrent;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.AutoEncoder;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.EmbeddingLayer;
import org.deeplearning4j.nn.conf.layers.EmbeddingSequenceLayer;
import org.deeplearning4j.nn.conf.layers.FeedForwardLayer;
import org.deeplearning4j.nn.conf.layers.GlobalPoolingLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.LossLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.misc.ElementWiseMultiplicationLayer;
import org.deeplearning4j.nn.conf.layers.variational.VariationalAutoencoder;
import org.deeplearning4j.nn.conf.preprocessor.CnnToRnnPreProcessor;
import org.deeplearning4j.nn.conf.preprocessor.FeedForwardToCnnPreProcessor;
import org.deeplearning4j.nn.conf.preprocessor.FeedForwardToRnnPreProcessor;
import org.deeplearning4j.nn.conf.preprocessor.RnnToCnnPreProcessor;
import org.deeplearning4j.nn.conf.preprocessor.RnnToFeedForwardPreProcessor;
import org.jspecify.annotations.Nullable;

import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;

/**
 * The sizes of a batch on its way through a stock network, as DL4J infers them ({@code getOutputType}) where it keeps count.
 * DL4J does not where sequences become rows and rows become sequences again, and it takes every sequence of words for one word.
 */
final class BatchSizes {

    /** Layers whose input has {@code nIn} values and nothing else. */
    private static final Set<Class<?>> FLAT = Set.of(DenseLayer.class, OutputLayer.class, EmbeddingLayer.class,
            ElementWiseMultiplicationLayer.class, AutoEncoder.class, VariationalAutoencoder.class);

    private final Network<?> network;
    private final long batch;
    private final Map<String, Rows> sizes = new HashMap<>();
    private final Map<String, Passage> passages = new LinkedHashMap<>();
    private final Map<String, Passage> preprocessed = new HashMap<>();
    private long steps;

    private BatchSizes(Network<?> network, long batch) {
        this.network = network;
        this.batch = batch;
    }

    /**
     * @param inputs of the network; none where the configuration tells them
     * @throws IllegalArgumentException if the batch is empty, or if inputs are missing or do not fit; the message says which
     *                                  layer asks for one, and what to give
     */
    static BatchSizes of(Network<?> network, long batch, InputType @Nullable ... inputs) {
        if (batch < 1) {
            throw new IllegalArgumentException("The batch has " + batch + " examples, but must have at least 1");
        }
        BatchSizes sizes = new BatchSizes(network, batch);
        sizes.begin(inputs == null ? new InputType[0] : inputs);
        network.nodes().forEach(sizes::pass);
        return sizes;
    }

    /** The sizes of a node's batch: its inputs after the preprocessor, and its output. */
    Passage passage(Node node) {
        return Objects.requireNonNull(passages.get(node.name()));
    }

    /** The same for its preprocessor; null without one. */
    @Nullable Passage preprocessor(Node node) {
        return preprocessed.get(node.name());
    }

    private void begin(InputType[] inputs) {
        List<String> names = network.inputs();
        if (inputs.length > 0 && (inputs.length != names.size() || Arrays.asList(inputs).contains(null))) {
            throw new IllegalArgumentException("The network has " + names.size() + (names.size() == 1 ? " input, " : " inputs, ")
                    + names + ", but the InputTypes given are " + Arrays.toString(inputs) + ". Give one InputType for each "
                    + "input");
        }
        for (int i = 0; i < names.size(); i++) {
            InputType type = inputs.length > 0 ? inputs[i] : configured(names.get(i));
            sizes.put(names.get(i), new Rows(batch, type));
            steps = Math.max(steps, steps(type));
        }
    }

    private static long steps(InputType type) {
        return type instanceof InputTypeRecurrent sequence ? sequence.getTimeSeriesLength() : 0;
    }

    /** The type of an input, as far as the configuration of the first layer tells. */
    private InputType configured(String input) {
        Node first = network.nodes().stream().filter(node -> node.inputs().contains(input)).findFirst().orElseThrow(() ->
                new IllegalArgumentException("Nothing uses the network's input \"" + input + "\": give an InputType for each "
                        + "input"));
        InputPreProcessor preprocessor = network.preprocessor(first);
        Layer layer = first.layer() == null ? null : first.unwrappedLayer();
        if (preprocessor instanceof FeedForwardToCnnPreProcessor images) {
            return InputType.convolutionalFlat(images.getInputHeight(), images.getInputWidth(), images.getNumChannels());
        }
        if (preprocessor == null && layer instanceof EmbeddingSequenceLayer words && !words.isInferInputLength()) {
            return InputType.feedForward(words.getInputLength());
        }
        if (preprocessor == null && layer != null && FLAT.contains(layer.getClass())) {
            return InputType.feedForward(((FeedForwardLayer) layer).getNIn());
        }
        throw new IllegalArgumentException("The configuration does not record the size of the input"
                + (network.inputs().size() == 1 ? "" : " \"" + input + "\"") + " that feeds \"" + first.name() + "\" ("
                + first.type() + "). Give an InputType" + (network.inputs().size() == 1 ? "" : " for each of " + network.inputs())
                + ": InputType.convolutional(height, width, channels) for images, InputType.recurrent(size, steps) for "
                + "sequences, InputType.feedForward(length) for that many word ids");
    }

    private void pass(Node node) {
        List<Rows> inputs = node.inputs().stream().map(sizes::get).toList();
        InputPreProcessor preprocessor = network.preprocessor(node);
        try {
            if (preprocessor != null) {
                Rows before = inputs.get(0);
                Rows after = after(preprocessor, before);
                preprocessed.put(node.name(), counted(node, List.of(before), after));
                inputs = List.of(after);
            }
            if (node.layer() != null && network.inputs().contains(node.inputs().get(0))) {
                requireWidth(node, inputs.get(0).type());
            }
            long rows = Told.rows(node, inputs);
            InputType output = node.layer() != null ? output(node.unwrappedLayer(), inputs.get(0).type())
                    : node.unwrappedVertex().clone().getOutputType(0, inputs.stream().map(Rows::type).toArray(InputType[]::new));
            Rows size = new Rows(rows, withSteps(output, inputs));
            passages.put(node.name(), counted(node, inputs, size));
            sizes.put(node.name(), size);
        } catch (IllegalStateException | UnsupportedOperationException | ClassCastException | DL4JException e) {
            throw new IllegalArgumentException("\"" + node.name() + "\" (" + node.type() + ") does not take "
                    + inputs.stream().map(Rows::type).toList() + ": " + e.getMessage() + ". Give the network's InputType"
                    + (network.inputs().size() == 1 ? "" : "s"), e);
        }
    }

    /** Checks what DL4J does not. The nIn of an embedding, also of one's own, is the size of its vocabulary, not a width. */
    private void requireWidth(Node node, InputType type) {
        if (!(node.unwrappedLayer() instanceof FeedForwardLayer layer) || node.numParams() == 0
                || node.matrices().type() == LayerType.EMBEDDING || node.tellsFootprint() != null) {
            return;
        }
        long width = type instanceof InputTypeFeedForward rows && FLAT.contains(layer.getClass()) ? rows.getSize()
                : type instanceof InputTypeRecurrent sequence ? sequence.getSize()
                : type instanceof InputTypeConvolutional images ? images.getChannels() : layer.getNIn();
        if (width != layer.getNIn()) {
            throw new IllegalArgumentException("\"" + node.name() + "\" (" + node.type() + ") takes " + layer.getNIn()
                    + " values or channels, but gets " + type + ". Give the network's InputType"
                    + (network.inputs().size() == 1 ? "" : "s"));
        }
    }

    private Passage counted(Node node, List<Rows> inputs, Rows output) {
        inputs.forEach(input -> requireSteps(node, input.type()));
        requireSteps(node, output.type());
        return new Passage(inputs, output, network.dataType());
    }

    private void requireSteps(Node node, InputType type) {
        if (type instanceof InputTypeRecurrent sequence && sequence.getTimeSeriesLength() < 1) {
            throw new IllegalArgumentException("The length of the sequences of \"" + node.name() + "\" (" + node.type()
                    + ") is not known: give the network's InputType with its steps, InputType.recurrent(size, steps)");
        }
    }

    private static InputType output(Layer layer, InputType input) {
        if (layer instanceof EmbeddingSequenceLayer words && words.isInferInputLength()) {
            long length = input instanceof InputTypeRecurrent sequence ? sequence.getTimeSeriesLength()
                    : ((InputTypeFeedForward) input).getSize();
            return InputType.recurrent(words.getNOut(), length, words.getOutputFormat());
        }
        if (layer instanceof GlobalPoolingLayer pooling && input instanceof InputTypeRecurrent sequence
                && pooling.isCollapseDimensions()) {
            return InputType.feedForward(sequence.getSize());
        }
        if (layer.getClass() == LossLayer.class) {
            return input;
        }
        // Some layers remember the type they were asked about: hence the clone.
        InputType output = layer.clone().getOutputType(0, input);
        // What is made of a LossLayer gives nOut, which is 0 where nobody sets it.
        return layer instanceof LossLayer && output.arrayElementsPerExample() == 0 ? input : output;
    }

    /** The output, with the length of its sequences where DL4J forgets it: that of the inputs, or of the network's inputs. */
    private InputType withSteps(InputType output, List<Rows> inputs) {
        if (!(output instanceof InputTypeRecurrent sequence) || sequence.getTimeSeriesLength() > 0) {
            return output;
        }
        long known = inputs.stream().mapToLong(size -> steps(size.type())).max().orElse(0);
        return InputType.recurrent(sequence.getSize(), known > 0 ? known : steps, sequence.getFormat());
    }

    private Rows after(InputPreProcessor preprocessor, Rows before) {
        if (preprocessor instanceof RnnToFeedForwardPreProcessor && !(before.type() instanceof InputTypeRecurrent)) {
            // Above a pooling layer, where DL4J still expects sequences; this preprocessor lets rows pass.
            return before;
        }
        InputType type = preprocessor.getOutputType(before.type());
        if (preprocessor instanceof RnnToFeedForwardPreProcessor || preprocessor instanceof RnnToCnnPreProcessor) {
            return new Rows(before.number() * Math.max(1, steps(before.type())), type);
        }
        if (preprocessor instanceof FeedForwardToRnnPreProcessor || preprocessor instanceof CnnToRnnPreProcessor) {
            InputTypeRecurrent sequence = (InputTypeRecurrent) type;
            return new Rows(batch, InputType.recurrent(sequence.getSize(), before.number() / batch, sequence.getFormat()));
        }
        return new Rows(before.number(), type);
    }
}
