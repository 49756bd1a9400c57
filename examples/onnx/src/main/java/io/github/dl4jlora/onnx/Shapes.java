package io.github.dl4jlora.onnx;

import io.github.dl4jlora.internal.network.Network;
import io.github.dl4jlora.internal.network.Node;
import io.github.dl4jlora.internal.stock.StockLayers;
import io.github.dl4jlora.internal.undo.MergedValues;
import io.github.dl4jlora.onnx.layer.LayerTypes;
import io.github.dl4jlora.onnx.layer.Sizes;
import org.deeplearning4j.nn.conf.CNN2DFormat;
import org.deeplearning4j.nn.conf.InputPreProcessor;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.graph.AttentionVertex;
import org.deeplearning4j.nn.conf.graph.ElementWiseVertex;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.graph.L2NormalizeVertex;
import org.deeplearning4j.nn.conf.graph.MergeVertex;
import org.deeplearning4j.nn.conf.graph.PoolHelperVertex;
import org.deeplearning4j.nn.conf.graph.PreprocessorVertex;
import org.deeplearning4j.nn.conf.graph.ScaleVertex;
import org.deeplearning4j.nn.conf.graph.ShiftVertex;
import org.deeplearning4j.nn.conf.graph.StackVertex;
import org.deeplearning4j.nn.conf.graph.UnstackVertex;
import org.deeplearning4j.nn.conf.graph.rnn.ReverseTimeSeriesVertex;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.ActivationLayer;
import org.deeplearning4j.nn.conf.layers.BaseRecurrentLayer;
import org.deeplearning4j.nn.conf.layers.BatchNormalization;
import org.deeplearning4j.nn.conf.layers.Convolution1DLayer;
import org.deeplearning4j.nn.conf.layers.Convolution3D;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.Deconvolution3D;
import org.deeplearning4j.nn.conf.layers.DropoutLayer;
import org.deeplearning4j.nn.conf.layers.EmbeddingLayer;
import org.deeplearning4j.nn.conf.layers.EmbeddingSequenceLayer;
import org.deeplearning4j.nn.conf.layers.FeedForwardLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.LearnedSelfAttentionLayer;
import org.deeplearning4j.nn.conf.layers.LocalResponseNormalization;
import org.deeplearning4j.nn.conf.layers.LocallyConnected1D;
import org.deeplearning4j.nn.conf.layers.LocallyConnected2D;
import org.deeplearning4j.nn.conf.layers.LossLayer;
import org.deeplearning4j.nn.conf.layers.PReLULayer;
import org.deeplearning4j.nn.conf.layers.RecurrentAttentionLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.conf.layers.SelfAttentionLayer;
import org.deeplearning4j.nn.conf.layers.Subsampling1DLayer;
import org.deeplearning4j.nn.conf.layers.Subsampling3DLayer;
import org.deeplearning4j.nn.conf.layers.SubsamplingLayer;
import org.deeplearning4j.nn.conf.layers.Upsampling1D;
import org.deeplearning4j.nn.conf.layers.Upsampling2D;
import org.deeplearning4j.nn.conf.layers.Upsampling3D;
import org.deeplearning4j.nn.conf.layers.ZeroPadding1DLayer;
import org.deeplearning4j.nn.conf.layers.ZeroPadding3DLayer;
import org.deeplearning4j.nn.conf.layers.ZeroPaddingLayer;
import org.deeplearning4j.nn.conf.layers.convolutional.Cropping1D;
import org.deeplearning4j.nn.conf.layers.convolutional.Cropping2D;
import org.deeplearning4j.nn.conf.layers.convolutional.Cropping3D;
import org.deeplearning4j.nn.conf.layers.recurrent.TimeDistributed;
import org.deeplearning4j.nn.conf.layers.util.MaskLayer;
import org.deeplearning4j.nn.conf.preprocessor.Cnn3DToFeedForwardPreProcessor;
import org.deeplearning4j.nn.conf.preprocessor.CnnToFeedForwardPreProcessor;
import org.deeplearning4j.nn.conf.preprocessor.CnnToRnnPreProcessor;
import org.deeplearning4j.nn.conf.preprocessor.ComposableInputPreProcessor;
import org.deeplearning4j.nn.conf.preprocessor.FeedForwardToCnn3DPreProcessor;
import org.deeplearning4j.nn.conf.preprocessor.FeedForwardToCnnPreProcessor;
import org.deeplearning4j.nn.conf.preprocessor.RnnToCnnPreProcessor;
import org.deeplearning4j.nn.conf.preprocessor.RnnToFeedForwardPreProcessor;
import org.deeplearning4j.preprocessors.KerasFlattenRnnPreprocessor;
import org.jspecify.annotations.Nullable;

import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Function;
import java.util.function.IntFunction;

/**
 * What a network's layers say of its inputs. DL4J forgets the types that a network was built with; the first layers' sizes and
 * preprocessors remember most of them.
 */
final class Shapes {

    /** Layers and vertices that hand on the shape, but for sizes in space or time. */
    private static final Set<Class<?>> PASSING = Set.of(ActivationLayer.class, DropoutLayer.class, LossLayer.class,
            PReLULayer.class, MaskLayer.class, ElementWiseVertex.class, ScaleVertex.class, ShiftVertex.class,
            L2NormalizeVertex.class, StackVertex.class, UnstackVertex.class, ReverseTimeSeriesVertex.class);
    private static final Set<Class<?>> PASSING_IMAGES = Set.of(SubsamplingLayer.class, Upsampling2D.class,
            ZeroPaddingLayer.class, Cropping2D.class, LocalResponseNormalization.class, PoolHelperVertex.class);
    private static final Set<Class<?>> PASSING_SEQUENCES = Set.of(Subsampling1DLayer.class, Upsampling1D.class,
            ZeroPadding1DLayer.class, Cropping1D.class);
    private static final Set<Class<?>> PASSING_VOLUMES = Set.of(Subsampling3DLayer.class, Upsampling3D.class,
            ZeroPadding3DLayer.class, Cropping3D.class);

    private final Network<?> network;
    private final MergedValues values;
    private final List<Step> steps;
    /** What flows into the network and out of its nodes, in an example, where its number of features is known. */
    private Map<String, InputType> types = Map.of();
    /** What {@link #read} found by these types, by name: a name may be reached on very many paths. */
    private final Map<String, Optional<Shape>> reads = new HashMap<>();

    Shapes(Network<?> network, MergedValues values) {
        this.network = network;
        this.values = values;
        this.steps = network.nodes().stream().map(node -> Step.of(network, values, node)).toList();
    }

    /**
     * The shapes of the network's inputs, in their order.
     *
     * @param names in the file, for the message
     * @throws OnnxExportException if the layers do not tell
     */
    Map<String, Shape> of(List<String> names) {
        for (int i = 0; i < names.size(); i++) {
            // What is known of one input may tell what is left of a MergeVertex for another.
            know(this::read);
        }
        return each(i -> of(network.inputs().get(i), names.get(i)));
    }

    private Shape of(String input, String name) {
        Shape shape = read(input);
        if (shape == null) {
            throw new OnnxExportException("The shape of input \"" + name + "\" is not known: the layers that read it take more "
                    + "than one. Give the shapes of all inputs with OnnxExport.inputTypes(...)");
        }
        // What reads ids beside others, or through others, casts them.
        return narrowed(input, new Shape(shape.example(), shape.ids() && areIds(input)));
    }

    /**
     * The shapes that a user gives of the network's inputs, in their order.
     *
     * @param names in the file, for the message
     * @throws OnnxExportException if a layer reads another
     */
    Map<String, Shape> given(List<String> names, List<InputType> given) {
        // First by what layers say themselves: types that are refused do not tell what is left of a MergeVertex.
        know(each(i -> given(network.inputs().get(i), names.get(i), given.get(i)))::get);
        return each(i -> given(network.inputs().get(i), names.get(i), given.get(i)));
    }

    private Map<String, Shape> each(IntFunction<Shape> shape) {
        Map<String, Shape> shapes = new LinkedHashMap<>();
        for (int i = 0; i < network.inputs().size(); i++) {
            shapes.put(network.inputs().get(i), shape.apply(i));
        }
        return shapes;
    }

    /** Goes through the network once, with the shapes of its inputs. */
    private void know(Function<String, @Nullable Shape> shapes) {
        Map<String, InputType> first = new HashMap<>();
        Map<String, InputType> second = new HashMap<>();
        for (String input : network.inputs()) {
            Shape shape = shapes.apply(input);
            if (shape != null) {
                first.put(input, shape.example().apply(0));
                second.put(input, shape.example().apply(1));
            }
        }
        Map<String, InputType> larger = Step.types(steps, second);
        types = Step.types(steps, first);
        // A flattened image has as many features as its open size leaves.
        types.entrySet().removeIf(type -> larger.get(type.getKey()) == null
                || features(type.getValue()) != features(larger.get(type.getKey())));
        reads.clear();
    }

    private static long features(InputType type) {
        return Sizes.of(type)[Sizes.features(type)];
    }

    private Shape given(String input, String name, InputType type) {
        boolean ids = areIds(input);
        InputType own = type;
        for (Node node : network.nodes()) {
            for (int i = 0; i < node.inputs().size(); i++) {
                Shape needed = node.inputs().get(i).equals(input) ? needed(node, i) : null;
                own = ids && needed != null ? oneId(node, own) : own;
                if (needed != null && !changesSizes(node) && !needed.takes(own)) {
                    throw new OnnxExportException("inputTypes(...): input \"" + name + "\" is given as " + Shape.written(type)
                            + ", but layer \"" + node.name() + "\" takes " + needed + ". Give what the layer takes");
                }
            }
        }
        return Shape.given(own, ids);
    }

    /** Whether what flows in may differ in size from what flows out: vertices that repeat or cut off values. */
    private boolean changesSizes(Node node) {
        return values.layer(node) == null && (values.vertex(node) instanceof ElementWiseVertex
                || values.vertex(node) instanceof PoolHelperVertex);
    }

    /** DL4J's types of ids have as many values as there are different ids; a tensor of ids has one. */
    private InputType oneId(Node node, InputType type) {
        Layer layer = values.layer(node);
        if (layer == null || !(StockLayers.innermost(layer) instanceof FeedForwardLayer embedding)) {
            return type;
        }
        if (type instanceof InputType.InputTypeRecurrent sequence && sequence.getSize() == embedding.getNIn()) {
            return InputType.recurrent(1, sequence.getTimeSeriesLength(), sequence.getFormat());
        }
        return embedding instanceof EmbeddingLayer && type instanceof InputType.InputTypeFeedForward vector
                && vector.getSize() == embedding.getNIn() ? InputType.feedForward(1) : type;
    }

    /**
     * The shape of an input, or of what flows out of a node, as its readers need it: one that does not read ids, if there is
     * such a one, since what reads ids reads numbers, too; null if none of them tells.
     */
    private @Nullable Shape read(String name) {
        Optional<Shape> known = reads.get(name);
        if (known == null) {
            known = Optional.ofNullable(readers(name));
            reads.put(name, known);
        }
        return known.orElse(null);
    }

    private @Nullable Shape readers(String name) {
        Shape ids = null;
        for (Node node : network.nodes()) {
            for (int i = 0; i < node.inputs().size(); i++) {
                Shape shape = node.inputs().get(i).equals(name) ? needed(node, i) : null;
                if (shape != null && !shape.ids()) {
                    return shape;
                }
                ids = ids == null ? shape : ids;
            }
        }
        return ids;
    }

    /** Whether all that reads an input takes ids. */
    private boolean areIds(String input) {
        boolean found = false;
        for (Node node : network.nodes()) {
            for (int i = 0; i < node.inputs().size(); i++) {
                if (node.inputs().get(i).equals(input)) {
                    found = true;
                    if (!takesIds(node, i)) {
                        return false;
                    }
                }
            }
        }
        return found;
    }

    private boolean takesIds(Node node, int input) {
        Layer layer = values.layer(node);
        if (network.preprocessor(node) instanceof RnnToFeedForwardPreProcessor) {
            return layer != null && layer.getClass() == EmbeddingLayer.class;
        }
        return network.preprocessor(node) == null && (LayerTypes.isEmbedding(layer)
                || LayerTypes.areIdsOfTransformers(layer != null ? layer : values.vertex(node), input));
    }

    private @Nullable Shape needed(Node node, int input) {
        Layer layer = values.layer(node);
        if (layer == null) {
            return needed(node, values.vertex(node), input);
        }
        InputPreProcessor preprocessor = network.preprocessor(node);
        return preprocessor != null ? needed(preprocessor, layer) : needed(node, layer);
    }

    private @Nullable Shape needed(Node node, GraphVertex vertex, int input) {
        if (PASSING.contains(vertex.getClass()) || PASSING_IMAGES.contains(vertex.getClass())) {
            return read(node.name());
        }
        if (vertex instanceof PreprocessorVertex preprocessing) {
            return needed(preprocessing.getPreProcessor(), null);
        }
        if (vertex.getClass() == MergeVertex.class) {
            return part(node, ((MergeVertex) vertex).getMergeAxis(), input);
        }
        if (vertex instanceof AttentionVertex attention) {
            return Shape.sequence(input == 0 ? attention.getNInQueries() : input == 1 ? attention.getNInKeys()
                    : attention.getNInValues(), RNNFormat.NCW);
        }
        return LayerTypes.areIdsOfTransformers(vertex, input) ? Shape.sequenceOfIds() : null;
    }

    /** What is left of all that a MergeVertex joins, if the rest of it is known. */
    private @Nullable Shape part(Node merging, int axis, int input) {
        Shape read = read(merging.name());
        // DL4J takes its default axis for the last one where features or channels are last.
        boolean isOfFeatures = read != null
                && (axis == MergeVertex.DEFAULT_MERGE_DIM || axis == Sizes.features(read.example().apply(0)));
        Shape all = isOfFeatures ? read : null;
        for (int i = 0; i < merging.inputs().size() && all != null; i++) {
            InputType other = i == input ? null : types.get(merging.inputs().get(i));
            all = i == input ? all : other == null ? null : all.without(other);
        }
        return all;
    }

    /** @param layer the preprocessor's; null for a vertex */
    private static @Nullable Shape needed(InputPreProcessor preprocessor, @Nullable Layer layer) {
        long nIn = layer != null && StockLayers.innermost(layer) instanceof FeedForwardLayer wide ? wide.getNIn() : 0;
        if (preprocessor instanceof ComposableInputPreProcessor several) {
            return needed(several.getInputPreProcessors()[0], null);
        }
        if (preprocessor instanceof FeedForwardToCnnPreProcessor flat) {
            return Shape.fixed(InputType.feedForward(flat.getInputHeight() * flat.getInputWidth() * flat.getNumChannels()));
        }
        if (preprocessor instanceof FeedForwardToCnn3DPreProcessor flat) {
            return Shape.fixed(InputType.feedForward((long) flat.getInputDepth() * flat.getInputHeight() * flat.getInputWidth()
                    * flat.getNumChannels()));
        }
        if (preprocessor instanceof KerasFlattenRnnPreprocessor flattened) {
            return Shape.fixed(InputType.recurrent(flattened.getDepth(), flattened.getTsLength()));
        }
        if (preprocessor instanceof RnnToCnnPreProcessor steps) {
            return Shape.sequence((long) steps.getInputHeight() * steps.getInputWidth() * steps.getNumChannels(),
                    steps.getRnnDataFormat());
        }
        if (preprocessor instanceof RnnToFeedForwardPreProcessor steps && layer instanceof EmbeddingLayer) {
            return Shape.given(InputType.recurrent(1, steps.getRnnDataFormat()), true);
        }
        if (preprocessor instanceof RnnToFeedForwardPreProcessor steps && nIn > 0) {
            return Shape.sequence(nIn, steps.getRnnDataFormat());
        }
        if (preprocessor instanceof CnnToFeedForwardPreProcessor image && image.getNumChannels() > 0) {
            return Shape.fixed(InputType.convolutional(image.getInputHeight(), image.getInputWidth(), image.getNumChannels(),
                    image.getFormat()));
        }
        if (preprocessor instanceof CnnToRnnPreProcessor image && image.getNumChannels() > 0) {
            return Shape.fixed(InputType.convolutional(image.getInputHeight(), image.getInputWidth(), image.getNumChannels(),
                    CNN2DFormat.NCHW));
        }
        if (preprocessor instanceof Cnn3DToFeedForwardPreProcessor volume && volume.getNumChannels() > 0) {
            return Shape.fixed(InputType.convolutional3D(volume.isNCDHW() ? Convolution3D.DataFormat.NCDHW
                    : Convolution3D.DataFormat.NDHWC, volume.getInputDepth(), volume.getInputHeight(), volume.getInputWidth(),
                    volume.getNumChannels()));
        }
        return null;
    }

    private @Nullable Shape needed(Node node, Layer wrapped) {
        Layer layer = StockLayers.innermost(wrapped);
        if (wrapped instanceof TimeDistributed steps && layer instanceof FeedForwardLayer wide) {
            return layer instanceof EmbeddingLayer ? Shape.given(InputType.recurrent(1, steps.getRnnDataFormat()), true)
                    : Shape.sequence(wide.getNIn(), steps.getRnnDataFormat());
        }
        if (PASSING.contains(layer.getClass())) {
            return read(node.name());
        }
        if (PASSING_IMAGES.contains(layer.getClass()) || PASSING_SEQUENCES.contains(layer.getClass())
                || PASSING_VOLUMES.contains(layer.getClass())) {
            Shape behind = read(node.name());
            // A size behind the layer is not the one before it.
            return behind == null ? null : opened(behind.example().apply(0));
        }
        if (layer instanceof BatchNormalization) {
            // Of vectors, sequences or images: its own sizes do not tell.
            return read(node.name());
        }
        if (LayerTypes.isTokenEmbeddings(layer)) {
            return Shape.sequenceOfIds();
        }
        if (layer instanceof LocallyConnected1D local) {
            return Shape.fixed(InputType.recurrent(local.getNIn(), local.getInputSize(), RNNFormat.NCW));
        }
        if (layer instanceof LocallyConnected2D local) {
            return Shape.fixed(InputType.convolutional(local.getInputSize()[0], local.getInputSize()[1], local.getNIn(),
                    local.getFormat()));
        }
        if (layer instanceof SelfAttentionLayer attention) {
            return Shape.sequence(attention.getNIn(), RNNFormat.NCW);
        }
        if (layer instanceof LearnedSelfAttentionLayer attention) {
            return Shape.sequence(attention.getNIn(), RNNFormat.NCW);
        }
        if (layer instanceof RecurrentAttentionLayer attention) {
            return Shape.sequence(attention.getNIn(), RNNFormat.NCW);
        }
        return layer instanceof FeedForwardLayer wide && wide.getNIn() > 0 ? needed(wide) : null;
    }

    /** Of a layer that knows its number of inputs. */
    private static Shape needed(FeedForwardLayer layer) {
        long nIn = layer.getNIn();
        if (layer instanceof BaseRecurrentLayer recurrent) {
            return Shape.sequence(nIn, recurrent.getRnnDataFormat());
        }
        if (layer instanceof RnnOutputLayer output) {
            return Shape.sequence(nIn, output.getRnnDataFormat());
        }
        if (layer instanceof EmbeddingLayer) {
            return Shape.given(InputType.feedForward(1), true);
        }
        if (layer instanceof EmbeddingSequenceLayer) {
            return Shape.sequenceOfIds();
        }
        if (layer instanceof Convolution1DLayer convolution) {
            return Shape.sequence(nIn, convolution.getRnnDataFormat());
        }
        if (layer instanceof Convolution3D convolution) {
            return Shape.volume(nIn, convolution.getDataFormat());
        }
        if (layer instanceof Deconvolution3D convolution) {
            return Shape.volume(nIn, convolution.getDataFormat());
        }
        return layer instanceof ConvolutionLayer convolution ? Shape.image(nIn, convolution.getCnn2dDataFormat())
                : Shape.fixed(InputType.feedForward(nIn));
    }

    /** Any size, of a type of that kind. */
    private static Shape opened(InputType type) {
        return type instanceof InputType.InputTypeConvolutional image ? Shape.image(image.getChannels(), image.getFormat())
                : type instanceof InputType.InputTypeConvolutional3D volume
                ? Shape.volume(volume.getChannels(), volume.getDataFormat())
                : type instanceof InputType.InputTypeRecurrent sequence ? Shape.sequence(sequence.getSize(), sequence.getFormat())
                : Shape.fixed(type);
    }

    /**
     * The sizes that a layer which flattens images has room for. There may be several, where sizes are rounded on the way: then
     * they are open.
     */
    private Shape narrowed(String input, Shape shape) {
        InputType type = shape.example().apply(0);
        boolean isKnown = type.equals(shape.example().apply(1)) || type instanceof InputType.InputTypeRecurrent || shape.ids();
        FlattenedSizes sizes = isKnown ? null : FlattenedSizes.of(network, steps, input, type);
        return sizes == null ? shape : new Shape(number -> Shape.resized(type,
                number % 2 == 0 ? sizes.fitting(number / 2 % Shape.PAIRS, Shape.PAIRS) : sizes.most()), false);
    }
}
