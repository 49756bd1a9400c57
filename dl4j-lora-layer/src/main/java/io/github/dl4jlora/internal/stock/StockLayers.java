package io.github.dl4jlora.internal.stock;

import io.github.dl4jlora.internal.base.Replacement;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.dropout.Dropout;
import org.deeplearning4j.nn.conf.dropout.IDropout;
import org.deeplearning4j.nn.conf.graph.FrozenVertex;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.graph.L2Vertex;
import org.deeplearning4j.nn.conf.graph.LayerVertex;
import org.deeplearning4j.nn.conf.graph.MergeVertex;
import org.deeplearning4j.nn.conf.graph.ReshapeVertex;
import org.deeplearning4j.nn.conf.layers.ActivationLayer;
import org.deeplearning4j.nn.conf.layers.BaseLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.PReLULayer;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayer;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayerWithBackprop;
import org.deeplearning4j.nn.conf.layers.recurrent.Bidirectional;
import org.deeplearning4j.nn.conf.layers.samediff.AbstractSameDiffLayer;
import org.deeplearning4j.nn.conf.layers.samediff.SameDiffLambdaVertex;
import org.deeplearning4j.nn.conf.layers.samediff.SameDiffVertex;
import org.deeplearning4j.nn.conf.layers.wrapper.BaseWrapperLayer;
import org.deeplearning4j.nn.conf.ocnn.OCNNOutputLayer;
import org.deeplearning4j.optimize.api.TrainingListener;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.activations.IActivation;
import org.nd4j.linalg.activations.impl.ActivationRReLU;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.learning.config.IUpdater;
import org.nd4j.shade.jackson.core.JsonProcessingException;
import org.nd4j.shade.jackson.databind.ObjectMapper;

import java.util.Collection;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.function.Consumer;
import java.util.function.UnaryOperator;

/**
 * What has to be known about DL4J's layer configurations to freeze any of them.
 */
public final class StockLayers {

    /** Vertices whose clone() keeps less than their JSON does. */
    private static final Set<Class<?>> CLONE_FORGETS = Set.of(MergeVertex.class, L2Vertex.class, ReshapeVertex.class);

    private StockLayers() {
    }

    /** Whether DL4J's clone of the vertex loses settings of what it computes. */
    public static boolean forgetsWhenCloned(GraphVertex vertex) {
        return CLONE_FORGETS.contains(vertex.getClass());
    }

    /** The layer inside DL4J's own freezing wrappers, and inside a {@link TrainedReplacement}. */
    public static Layer unwrap(Layer layer) {
        Layer inside = insideFreezing(layer);
        return inside != null ? unwrap(inside)
                : layer instanceof TrainedReplacement.OfLayer trained ? trained.getUnderlying() : layer;
    }

    /** The layer inside DL4J's outermost freezing wrapper; null if it has none. */
    private static @Nullable Layer insideFreezing(Layer layer) {
        return layer instanceof FrozenLayer frozen ? frozen.getLayer()
                : layer instanceof FrozenLayerWithBackprop frozen ? frozen.getUnderlying() : null;
    }

    /** Whether one of DL4J's freezing wrappers is around the layer or, at any depth, inside its other wrappers. */
    public static boolean isFrozen(Layer layer) {
        return insideFreezing(layer) != null || layer instanceof BaseWrapperLayer wrapper && isFrozen(wrapper.getUnderlying());
    }

    /** What this library put in a layer's place, inside DL4J's own freezing wrappers; null if it put nothing there. */
    public static @Nullable Replacement replacement(Layer layer) {
        Layer inside = insideFreezing(layer);
        return inside != null ? replacement(inside) : layer instanceof Replacement replacement ? replacement : null;
    }

    /**
     * The layer that has the weights, inside wrappers for time and freezing; the forward one of a bidirectional layer's
     * two.
     */
    public static Layer innermost(Layer layer) {
        Layer inside = inside(layer);
        return inside == null ? layer : innermost(inside);
    }

    /** The layer that has the updater, as DL4J asks for it: inside wrappers such as LastTimeStep, which have none. */
    public static Layer withUpdater(Layer layer) {
        return layer instanceof BaseWrapperLayer wrapper ? withUpdater(wrapper.getUnderlying()) : layer;
    }

    /** Whether a layer, or one inside its wrappers as for {@link #innermost}, is of a type. */
    public static boolean contains(Layer layer, Class<?> type) {
        Layer inside = inside(layer);
        return type.isInstance(layer) || inside != null && contains(inside, type);
    }

    private static @Nullable Layer inside(Layer layer) {
        Layer inside = insideFreezing(layer);
        return inside != null ? inside : layer instanceof BaseWrapperLayer wrapper ? wrapper.getUnderlying()
                : layer instanceof Bidirectional both ? both.getFwd() : null;
    }

    /**
     * Whether DL4J sees the state of a recurrent layer inside: it looks into one wrapper and no further, whether that one is
     * for time or for freezing.
     */
    public static boolean showsState(Layer layer) {
        Layer inside = insideFreezing(layer);
        if (inside == null && layer instanceof BaseWrapperLayer wrapper) {
            inside = wrapper.getUnderlying();
        }
        return inside == null || insideFreezing(inside) == null && !(inside instanceof BaseWrapperLayer);
    }

    /**
     * Whether the layer, told to work in test mode, overwrites its input, which gradients and neighbours still need. DL4J's
     * FrozenLayer tells it to during training, and MultiLayerNetwork.clone() puts a FrozenLayer around every layer that stops
     * gradients. In training mode such a layer computes the same and copies first.
     */
    public static boolean overwritesInput(Layer layer) {
        Layer inner = innermost(layer);
        return inner instanceof ActivationLayer || inner instanceof PReLULayer;
    }

    /** The vertex inside DL4J's own freezing wrappers, and inside a {@link TrainedReplacement}. */
    public static GraphVertex unwrap(GraphVertex vertex) {
        return vertex instanceof FrozenVertex frozen ? unwrap(frozen.getUnderlying())
                : vertex instanceof TrainedReplacement.OfVertex trained ? trained.getOrigin() : vertex;
    }

    /** As {@link #replacement(Layer)}. */
    public static @Nullable Replacement replacement(GraphVertex vertex) {
        return vertex instanceof FrozenVertex frozen ? replacement(frozen.getUnderlying())
                : vertex instanceof Replacement replacement ? replacement : null;
    }

    /**
     * A complete clone. AttentionVertex.clone() drops its updater, without which a trained vertex throws; other vertices drop
     * the axis, the order or the epsilon that they were made with, or the data type, without which they count no parameters.
     */
    public static GraphVertex copy(GraphVertex vertex) {
        if (vertex instanceof FrozenVertex frozen) {
            return new FrozenVertex(copy(frozen.getUnderlying()));
        }
        if (forgetsWhenCloned(vertex)) {
            return throughJson(vertex);
        }
        GraphVertex copy = vertex.clone();
        keepWhatCloneForgets(unwrap(vertex), unwrap(copy));
        return copy;
    }

    /** A clone with complete clones of its vertices; its layers are DL4J's clones. */
    public static ComputationGraphConfiguration copy(ComputationGraphConfiguration graph) {
        ComputationGraphConfiguration copy = graph.clone();
        copy.getVertices().replaceAll((name, vertex) -> vertex instanceof LayerVertex ? vertex
                : copy(Objects.requireNonNull(graph.getVertices().get(name))));
        return copy;
    }

    private static GraphVertex throughJson(GraphVertex vertex) {
        ObjectMapper mapper = NeuralNetConfiguration.mapper();
        try {
            return mapper.readValue(mapper.writeValueAsString(vertex), GraphVertex.class);
        } catch (JsonProcessingException e) {
            throw new IllegalStateException("DL4J cannot read the JSON that it wrote for a " + vertex.getClass()
                    .getSimpleName(), e);
        }
    }

    private static void keepWhatCloneForgets(GraphVertex from, GraphVertex to) {
        if (from instanceof SameDiffVertex original && to instanceof SameDiffVertex copy) {
            copy.setUpdater(original.getUpdater());
            copy.setBiasUpdater(original.getBiasUpdater());
            copy.setRegularization(original.getRegularization());
            copy.setRegularizationBias(original.getRegularizationBias());
            copy.setGradientNormalization(original.getGradientNormalization());
            copy.setGradientNormalizationThreshold(original.getGradientNormalizationThreshold());
            copy.setDataType(original.getDataType());
        }
        if (from instanceof SameDiffLambdaVertex original && to instanceof SameDiffLambdaVertex copy) {
            LambdaVertices.keepFields(original, copy);
        }
    }

    /** The number of parameters, by the overload that takes a configuration: the other is wrong for a few layers. */
    public static long numParams(Layer layer) {
        return layer.initializer().numParams(confOf(layer));
    }

    /** {@return a layer's parameters by DL4J's key: views of flat values, with the shapes that a restored network has} */
    public static Map<String, INDArray> table(Layer layer, INDArray values) {
        return layer.initializer().init(confOf(layer), values, false);
    }

    /** {@return a copy of a network's configuration, with another layer in it} */
    public static NeuralNetConfiguration confOf(Layer layer, NeuralNetConfiguration like) {
        NeuralNetConfiguration conf = like.clone();
        conf.setLayer(layer);
        conf.clearVariables();
        return conf;
    }

    /** A network's configuration around a layer, as initializers ask for it. */
    public static NeuralNetConfiguration confOf(Layer layer) {
        NeuralNetConfiguration conf = new NeuralNetConfiguration();
        conf.setLayer(layer);
        return conf;
    }

    /**
     * A copy to run on weights that another layer owns: with its dropout, but without weight noise and constraints, which
     * concern weights that do not train. Dropout that keeps everything, which Keras imports have in every layer, is removed
     * too: a convolution with channels last cannot run it backwards.
     */
    public static Layer withoutWeightRules(Layer layer) {
        return changed(layer.clone(), StockLayers::unwrap, StockLayers::removeWeightRules);
    }

    /**
     * The running layer of a configuration, made without a write to its parameters unless they get a fresh start: they may be a
     * base's, or lie in a mapped file.
     *
     * @param conf       of the network, with the layer in it
     * @param values     flat, shape {@code [n]}; null for a layer without parameters
     * @param initialize whether to fill them with a fresh start
     */
    @SuppressWarnings("ReferenceEquality")
    public static org.deeplearning4j.nn.api.Layer running(NeuralNetConfiguration conf,
            @Nullable Collection<TrainingListener> listeners, int index, @Nullable INDArray values, boolean initialize,
            DataType type) {
        Layer unwritten = initialize ? conf.getLayer() : unwritten(conf.getLayer());
        NeuralNetConfiguration own = unwritten == conf.getLayer() ? conf : confOf(unwritten, conf);
        return unwritten.instantiate(own, listeners, index, values, initialize, type);
    }

    /**
     * Whether the code of DL4J or of this library runs the layer, at every depth of wrappers. That code has been read, and
     * writes into no frozen parameters.
     */
    public static boolean isKnown(Layer layer) {
        Layer inside = inside(layer);
        return (isKnown(layer.getClass()) || layer instanceof AbstractSameDiffLayer) && (inside == null || isKnown(inside));
    }

    /** As {@link #isKnown(Layer)}. */
    public static boolean isKnown(GraphVertex vertex) {
        return isKnown(vertex.getClass()) || vertex instanceof SameDiffVertex;
    }

    private static boolean isKnown(Class<?> type) {
        return type.getName().startsWith("org.deeplearning4j.") || type.getName().startsWith("io.github.dl4jlora.");
    }

    /** The layer in a form that writes to no parameters when it is made; the layer itself where nothing inside it does. */
    @SuppressWarnings("ReferenceEquality")
    private static Layer unwritten(Layer layer) {
        if (layer instanceof Bidirectional both) {
            return new UnwrittenBidirectional(both);
        }
        if (layer instanceof OCNNOutputLayer oneClass && oneClass.isConfigureR()) {
            // It sets its parameter r to a first value whenever it is made.
            OCNNOutputLayer copy = (OCNNOutputLayer) oneClass.clone();
            copy.setConfigureR(false);
            return copy;
        }
        Layer inside = layer instanceof FrozenLayer frozen ? frozen.getLayer()
                : layer instanceof BaseWrapperLayer wrapper ? wrapper.getUnderlying() : null;
        Layer unwritten = inside == null ? null : unwritten(inside);
        if (unwritten == inside) {
            return layer;
        }
        if (layer instanceof FrozenLayer) {
            return new FrozenLayer(unwritten);
        }
        BaseWrapperLayer copy = (BaseWrapperLayer) layer.clone();
        copy.setUnderlying(unwritten);
        return copy;
    }

    private static void removeWeightRules(Layer layer) {
        layer.setConstraints(null);
        if (layer.getIDropout() instanceof Dropout dropout && dropout.getP() == 1 && dropout.getPSchedule() == null) {
            layer.setIDropout(null);
        }
        if (layer instanceof BaseLayer base) {
            base.setWeightNoise(null);
        }
    }

    /**
     * Changes a copy and all layers inside its wrappers, which are copies then too, with state of their own.
     *
     * @param inside what is kept of a layer inside a wrapper
     * @return the copy
     */
    private static <L extends Layer> L changed(L copy, UnaryOperator<Layer> inside, Consumer<Layer> change) {
        ownState(copy);
        change.accept(copy);
        if (copy instanceof BaseWrapperLayer wrapper) {
            wrapper.setUnderlying(changed(inside.apply(wrapper.getUnderlying()).clone(), inside, change));
        }
        if (copy instanceof FrozenLayer frozen) {
            withOwnState(frozen.getLayer());
        }
        if (copy instanceof Bidirectional both) {
            both.setFwd(changed(both.getFwd().clone(), inside, change));
            both.setBwd(changed(both.getBwd().clone(), inside, change));
        }
        return copy;
    }

    /** A clone with {@linkplain #withOwnState state of its own}. DL4J's clone of a wrapper has the same layer inside. */
    public static Layer copy(Layer layer) {
        return withOwnState(layer.clone());
    }

    /**
     * Gives a copy updaters, dropout and activation of its own, and what is inside its wrappers copies with their own. DL4J's
     * {@code clone()} of a layer shares some of them, but {@code setLearningRate} of a network changes updaters, and dropout and
     * RReLU keep from a forward pass what they drew for the backward pass.
     *
     * @return the copy
     */
    public static <L extends Layer> L withOwnState(L copy) {
        return changed(copy, UnaryOperator.identity(), layer -> { });
    }

    private static void ownState(Layer copy) {
        IDropout dropout = copy.getIDropout();
        if (dropout != null) {
            copy.setIDropout(dropout.clone());
        }
        if (copy instanceof BaseLayer base) {
            base.setIUpdater(copy(base.getIUpdater()));
            base.setBiasUpdater(copy(base.getBiasUpdater()));
            base.setActivationFn(copy(base.getActivationFn()));
        }
        if (copy instanceof ActivationLayer activation) {
            activation.setActivationFn(copy(activation.getActivationFn()));
        }
    }

    private static IActivation copy(IActivation activation) {
        return activation instanceof ActivationRReLU random ? new ActivationRReLU(random.getL(), random.getU()) : activation;
    }

    private static @Nullable IUpdater copy(@Nullable IUpdater updater) {
        return updater == null ? null : updater.clone();
    }

    /** A copy without DL4J's freezing wrappers, at every depth: inside wrappers for time they would end training as well. */
    public static Layer unfrozen(Layer layer) {
        return changed(unwrap(layer).clone(), StockLayers::unwrap, inner -> { });
    }

    /**
     * A copy that computes the same in training mode as in test mode, except for batch normalisation: without dropout, weight
     * noise and constraints, and with RReLU as it is in test mode; at all depths of wrappers, without those that freeze. The
     * training flag itself cannot be withheld: told to work in test mode, some layers overwrite their input, which gradients
     * and neighbours still need.
     */
    public static Layer inTestMode(Layer layer) {
        return changed(layer.clone(), StockLayers::unwrap, StockLayers::removeRandomness);
    }

    private static void removeRandomness(Layer layer) {
        removeWeightRules(layer);
        layer.setIDropout(null);
        if (layer instanceof BaseLayer base) {
            base.setActivationFn(inTestMode(base.getActivationFn()));
        }
        if (layer instanceof OCNNOutputLayer oneClass) {
            // In its backward pass it sets its parameter r, in every epoch except the one with this number: see FrozenRuntime.
            oneClass.setLastEpochSinceRUpdated(0);
        }
        if (layer instanceof ActivationLayer activation) {
            activation.setActivationFn(inTestMode(activation.getActivationFn()));
        }
    }

    private static IActivation inTestMode(IActivation activation) {
        return activation instanceof ActivationRReLU random ? new TestModeRReLU(random.getL(), random.getU()) : activation;
    }

    /** Does work with the layer inside wrappers, with both of a bidirectional layer's two; no FrozenLayer is opened. */
    public static void forEachInside(Layer layer, Consumer<Layer> work) {
        if (layer instanceof BaseWrapperLayer wrapper) {
            forEachInside(wrapper.getUnderlying(), work);
        } else if (layer instanceof Bidirectional both) {
            forEachInside(both.getFwd(), work);
            forEachInside(both.getBwd(), work);
        } else {
            work.accept(layer);
        }
    }
}
