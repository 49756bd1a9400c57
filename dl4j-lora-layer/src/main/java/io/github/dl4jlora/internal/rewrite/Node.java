package io.github.dl4jlora.internal.rewrite;

import io.github.dl4jlora.internal.stock.StockLayers;
import io.github.dl4jlora.internal.run.AdaptedConfiguration;
import io.github.dl4jlora.internal.stock.StockBiases;
import io.github.dl4jlora.internal.stock.StockMatrices;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.samediff.SameDiffLayer;
import org.deeplearning4j.nn.conf.layers.samediff.SameDiffVertex;

import java.util.List;

/**
 * A layer or vertex of a network, of either network type.
 *
 * @param name            vertex name; in a MultiLayerNetwork the layer's name
 * @param layer           the layer's configuration; null for a vertex that is no layer
 * @param vertex          the vertex's configuration; null for a layer
 * @param inputs          names of nodes or network inputs
 * @param hasPreprocessor whether DL4J reshapes the input on its way in
 */
public record Node(String name, Layer layer, GraphVertex vertex, List<String> inputs, boolean hasPreprocessor) {

    /** The layer inside DL4J's freezing wrappers; null for a vertex that is no layer. */
    Layer unwrappedLayer() {
        return layer == null ? null : StockLayers.unwrap(layer);
    }

    /** The vertex inside DL4J's freezing wrappers; null for a layer. */
    GraphVertex unwrappedVertex() {
        return vertex == null ? null : StockLayers.unwrap(vertex);
    }

    String type() {
        return (layer != null ? unwrappedLayer() : unwrappedVertex()).getClass().getSimpleName();
    }

    /** What can be adapted of it. */
    StockMatrices matrices() {
        return layer != null ? StockMatrices.of(unwrappedLayer()) : StockMatrices.of(unwrappedVertex());
    }

    boolean isAdaptable() {
        return matrices().refusal() == null;
    }

    /** Whether SameDiff computes it, from an external error: not an output layer. */
    boolean isSameDiff() {
        return layer != null ? StockLayers.innermost(unwrappedLayer()) instanceof SameDiffLayer
                : unwrappedVertex() instanceof SameDiffVertex;
    }

    /** Keys of all parameters, adaptable or not. */
    List<String> parameterKeys() {
        if (layer != null) {
            return unwrappedLayer().initializer().paramKeys(unwrappedLayer());
        }
        return unwrappedVertex() instanceof SameDiffVertex sameDiff && numParams() > 0
                ? sameDiff.getVertexParams().getParameterKeys() : List.of();
    }

    /** Keys of its biases. */
    List<String> biasKeys() {
        return numParams() == 0 ? List.of() : layer != null ? StockBiases.of(unwrappedLayer()) : StockBiases.of(unwrappedVertex());
    }

    /** The configuration of an adapted layer or vertex; null for any other. */
    AdaptedConfiguration adapted() {
        return unwrappedLayer() instanceof AdaptedConfiguration adapted ? adapted
                : unwrappedVertex() instanceof AdaptedConfiguration adapted ? adapted : null;
    }

    long numParams() {
        return layer != null ? StockLayers.numParams(unwrappedLayer()) : vertex.numParams(true);
    }
}
