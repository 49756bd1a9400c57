package io.github.dl4jlora.onnx;

import io.github.dl4jlora.internal.network.Network;
import io.github.dl4jlora.internal.network.Node;
import io.github.dl4jlora.internal.undo.MergedValues;
import io.github.dl4jlora.onnx.layer.LayerTypes;
import org.deeplearning4j.nn.conf.InputPreProcessor;
import org.deeplearning4j.nn.conf.graph.PreprocessorVertex;
import org.deeplearning4j.nn.conf.graph.ReshapeVertex;
import org.deeplearning4j.nn.conf.graph.StackVertex;
import org.deeplearning4j.nn.conf.graph.UnstackVertex;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.SpaceToBatchLayer;
import org.deeplearning4j.nn.conf.preprocessor.Cnn3DToFeedForwardPreProcessor;
import org.deeplearning4j.nn.conf.preprocessor.CnnToFeedForwardPreProcessor;
import org.deeplearning4j.nn.conf.preprocessor.CnnToRnnPreProcessor;
import org.deeplearning4j.nn.conf.preprocessor.FeedForwardToCnn3DPreProcessor;
import org.deeplearning4j.nn.conf.preprocessor.FeedForwardToCnnPreProcessor;
import org.deeplearning4j.nn.conf.preprocessor.FeedForwardToRnnPreProcessor;
import org.deeplearning4j.nn.conf.preprocessor.RnnToCnnPreProcessor;
import org.deeplearning4j.nn.conf.preprocessor.RnnToFeedForwardPreProcessor;
import org.deeplearning4j.preprocessors.KerasFlattenRnnPreprocessor;
import org.deeplearning4j.preprocessors.PermutePreprocessor;
import org.deeplearning4j.preprocessors.ReshapePreprocessor;
import org.jspecify.annotations.Nullable;

import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;

/** What the first dimension of a tensor counts. */
enum Counted {

    /** The examples of the network's inputs. */
    EXAMPLES,
    /** Steps of all examples. */
    STEPS,
    /** Something else, or it is not known. */
    OTHER;

    private static final Set<Class<?>> REGROUPING = Set.of(StackVertex.class, UnstackVertex.class, ReshapeVertex.class,
            SpaceToBatchLayer.class);
    private static final Set<Class<?>> KEEPING_EXAMPLES = Set.of(CnnToFeedForwardPreProcessor.class,
            Cnn3DToFeedForwardPreProcessor.class, FeedForwardToCnnPreProcessor.class, FeedForwardToCnn3DPreProcessor.class,
            KerasFlattenRnnPreprocessor.class, ReshapePreprocessor.class, PermutePreprocessor.class);

    /**
     * By the names of the network's inputs and nodes.
     *
     * @param walk that has been through all layers
     */
    static Map<String, Counted> in(Network<?> network, MergedValues values, Walk walk) {
        Map<String, Counted> counted = new HashMap<>();
        network.inputs().forEach(input -> counted.put(input, EXAMPLES));
        for (Node node : network.nodes()) {
            Set<Counted> inputs = node.inputs().stream().map(counted::get).collect(Collectors.toSet());
            Counted before = inputs.size() == 1 ? inputs.iterator().next() : OTHER;
            Layer layer = values.layer(node);
            Object type = layer != null ? layer : values.vertex(node);
            Counted read = before.behind(type instanceof PreprocessorVertex vertex ? vertex.getPreProcessor()
                    : network.preprocessor(node), walk.flow(node.inputs().get(0)).type());
            counted.put(node.name(), REGROUPING.contains(type.getClass()) || LayerTypes.isOfTransformers(type) ? OTHER : read);
        }
        return counted;
    }

    private Counted behind(@Nullable InputPreProcessor preprocessor, InputType type) {
        // DL4J makes rows of vectors, too, which stay as they are.
        boolean isIdle = preprocessor instanceof RnnToFeedForwardPreProcessor
                && !(type instanceof InputType.InputTypeRecurrent);
        if (preprocessor == null || isIdle || KEEPING_EXAMPLES.contains(preprocessor.getClass())) {
            return this;
        }
        if (preprocessor instanceof RnnToFeedForwardPreProcessor || preprocessor instanceof RnnToCnnPreProcessor) {
            return this == EXAMPLES ? STEPS : OTHER;
        }
        boolean isBack = preprocessor instanceof FeedForwardToRnnPreProcessor || preprocessor instanceof CnnToRnnPreProcessor;
        return isBack && this == STEPS ? EXAMPLES : OTHER;
    }
}
