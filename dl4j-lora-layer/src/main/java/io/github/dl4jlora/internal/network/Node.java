package io.github.dl4jlora.internal.network;

import io.github.dl4jlora.footprint.TrainingFootprint;
import io.github.dl4jlora.internal.adapted.AdaptedConfiguration;
import io.github.dl4jlora.internal.base.FrozenReference;
import io.github.dl4jlora.internal.base.Replacement;
import io.github.dl4jlora.internal.stock.StockBiases;
import io.github.dl4jlora.internal.stock.StockLayers;
import io.github.dl4jlora.internal.stock.StockMatrices;
import org.deeplearning4j.nn.conf.InputPreProcessor;
import org.deeplearning4j.nn.conf.graph.FrozenVertex;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayer;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayerWithBackprop;
import org.deeplearning4j.nn.conf.layers.samediff.SameDiffLayer;
import org.deeplearning4j.nn.conf.layers.samediff.SameDiffVertex;
import org.jspecify.annotations.Nullable;

import java.util.List;
import java.util.Objects;
import java.util.regex.Pattern;

/**
 * A layer or vertex of a network, of either network type.
 *
 * @param name         unique: vertex name; in a MultiLayerNetwork the layer's name or, where that is missing or taken, one made
 *                     of its index
 * @param label        the layer's own name, which other layers of a MultiLayerNetwork may have too; else as {@code name}
 * @param layer        the layer's configuration; null for a vertex that is no layer
 * @param vertex       the vertex's configuration; null for a layer
 * @param inputs       names of nodes or network inputs
 * @param preprocessor by which DL4J reshapes a layer's input on its way in; null for none
 */
public record Node(String name, String label, @Nullable Layer layer, @Nullable GraphVertex vertex, List<String> inputs,
                   @Nullable InputPreProcessor preprocessor) {

    public boolean hasPreprocessor() {
        return preprocessor != null;
    }

    /** Whether a pattern matches the whole of its unique name, or of its own. */
    public boolean isCalled(Pattern pattern) {
        return pattern.matcher(name).matches() || pattern.matcher(label).matches();
    }

    /** The same node, which goes by its unique name only, as adapters name it. */
    public Node byUniqueName() {
        return new Node(name, name, layer, vertex, inputs, preprocessor);
    }

    /** The same layer, out of freezing wrappers and with nothing random in it. */
    public Node inTestMode() {
        return new Node(name, label, StockLayers.inTestMode(unwrappedLayer()), null, inputs, preprocessor);
    }

    /** The layer inside DL4J's freezing wrappers; not to be called for a vertex that is no layer. */
    public Layer unwrappedLayer() {
        return StockLayers.unwrap(Objects.requireNonNull(layer));
    }

    /** The layer as it is in the base, out of all that freezes or adapts it; null for a vertex that is no layer. */
    public @Nullable Layer stockLayer() {
        return layer == null ? null : adapted() != null ? adapted().stockLayer()
                : replacement() != null ? StockLayers.unwrap(replacedLayer()) : unwrappedLayer();
    }

    /** The vertex inside DL4J's freezing wrappers; not to be called for a layer. */
    public GraphVertex unwrappedVertex() {
        return StockLayers.unwrap(Objects.requireNonNull(vertex));
    }

    /** The simple name of its class, out of DL4J's freezing wrappers. */
    public String type() {
        return unwrappedType().getSimpleName();
    }

    /** Its class, out of DL4J's freezing wrappers. */
    public Class<?> unwrappedType() {
        return (layer != null ? unwrappedLayer() : unwrappedVertex()).getClass();
    }

    /** Who says what it holds in a training step; null for one of which this library has to know. */
    public @Nullable TrainingFootprint tellsFootprint() {
        return (layer != null ? unwrappedLayer() : unwrappedVertex()) instanceof TrainingFootprint own ? own : null;
    }

    /** What can be adapted of it. */
    public StockMatrices matrices() {
        return layer != null ? StockMatrices.of(unwrappedLayer()) : StockMatrices.of(unwrappedVertex());
    }

    /** Whether anything can be adapted of it. */
    public boolean isAdaptable() {
        return matrices().refusal() == null;
    }

    /** Whether SameDiff computes it, from an external error: not an output layer. */
    public boolean isSameDiff() {
        return layer != null ? StockLayers.innermost(unwrappedLayer()) instanceof SameDiffLayer
                : unwrappedVertex() instanceof SameDiffVertex;
    }

    /** Keys of all parameters, adaptable or not. */
    public List<String> parameterKeys() {
        if (layer != null) {
            return unwrappedLayer().initializer().paramKeys(unwrappedLayer());
        }
        return unwrappedVertex() instanceof SameDiffVertex sameDiff && numParams() > 0
                ? sameDiff.getVertexParams().getParameterKeys() : List.of();
    }

    /** Keys of its biases. */
    public List<String> biasKeys() {
        return numParams() == 0 ? List.of()
                : layer != null ? StockBiases.of(unwrappedLayer()) : StockBiases.of(unwrappedVertex());
    }

    /**
     * The stock layer as it goes back in this one's place: what was frozen after it was adapted, or was declared frozen, stays
     * frozen.
     *
     * @throws IllegalStateException if DL4J cannot make a network of it
     */
    public Layer frozenAlike(Layer stock) {
        Layer frozen;
        if (layer instanceof FrozenLayer && !(stock instanceof FrozenLayer)) {
            frozen = new FrozenLayer(stock);
            requireFreezable((FrozenLayer) frozen);
        } else if (layer instanceof FrozenLayerWithBackprop && !(stock instanceof FrozenLayerWithBackprop)) {
            frozen = new FrozenLayerWithBackprop(stock);
        } else {
            return stock;
        }
        // Its own name, which the constructor does not take from the layer inside.
        frozen.setLayerName(stock.getLayerName());
        return frozen;
    }

    /** As {@link #frozenAlike(Layer)}. */
    public GraphVertex frozenAlike(GraphVertex stock) {
        return vertex instanceof FrozenVertex && !(stock instanceof FrozenVertex) ? new FrozenVertex(stock) : stock;
    }

    /**
     * @throws IllegalStateException if it was frozen by TransferLearning, and DL4J cannot make a network of it
     */
    public void requireFreezable() {
        if (layer instanceof FrozenLayer frozen) {
            requireFreezable(frozen);
        }
    }

    private void requireFreezable(FrozenLayer frozen) {
        if (StockLayers.numParams(frozen) != StockLayers.numParams(frozen.getLayer())) {
            throw new IllegalStateException("Layer \"" + name + "\" (" + frozen.getLayer().getClass().getSimpleName()
                    + ") was frozen by TransferLearning, and DL4J cannot build a network with such a frozen layer: its "
                    + "FrozenLayer counts too few of the layer's parameters. Call LoRA.merge or LoRA.unload before "
                    + "setFeatureExtractor");
        }
    }

    /** What this library put in its place; null for a stock layer or vertex. */
    public @Nullable Replacement replacement() {
        return layer != null ? StockLayers.replacement(layer) : StockLayers.replacement(Objects.requireNonNull(vertex));
    }

    /** A copy of the layer in whose place this library put another one. */
    public Layer replacedLayer() {
        return Objects.requireNonNull(Objects.requireNonNull(replacement()).toStockLayer());
    }

    /** A copy of the vertex in whose place this library put another one. */
    public GraphVertex replacedVertex() {
        return Objects.requireNonNull(Objects.requireNonNull(replacement()).toStockVertex());
    }

    /** The configuration of an adapted layer or vertex; null for any other. */
    public @Nullable AdaptedConfiguration adapted() {
        return replacement() instanceof AdaptedConfiguration adapted ? adapted : null;
    }

    /** Number of the node's parameters inside the network's vector. */
    public long numParams() {
        return layer != null ? StockLayers.numParams(unwrappedLayer()) : Objects.requireNonNull(vertex).numParams(true);
    }

    /** Whether nothing of this node trains, through this library or through DL4J's own wrappers. */
    public boolean isFrozen() {
        return isFrozenByDl4j() || layer instanceof FrozenLayerWithBackprop || isOurs() && adapted() == null;
    }

    /**
     * As {@link #isFrozen}, and also where DL4J's freezing wrapper is inside another one. Adapters of declared networks keep the
     * values of such a layer, as if it trained.
     */
    public boolean isFrozenAtAnyDepth() {
        return isFrozen() || layer != null && StockLayers.isFrozen(layer);
    }

    /** Whether DL4J's own wrapper freezes it and ends backpropagation. */
    public boolean isFrozenByDl4j() {
        return layer instanceof FrozenLayer || vertex instanceof FrozenVertex;
    }

    /** Whether this library freezes what stood in its place. */
    public boolean isOurs() {
        return replacement() != null && replacement().freezes();
    }

    /** Whether DL4J ends backpropagation here. */
    public boolean stopsGradient() {
        Replacement ours = replacement();
        return isFrozenByDl4j() || ours != null && ours.freezes() && ours.endsBackpropagation();
    }

    /** The frozen weights it refers to; null for one that has none outside the vector. */
    public @Nullable FrozenReference frozenReference() {
        return replacement() == null ? null : replacement().getFrozen();
    }
}
