package io.github.dl4jlora.internal.stock;

import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.dropout.Dropout;
import org.deeplearning4j.nn.conf.graph.FrozenVertex;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.layers.ActivationLayer;
import org.deeplearning4j.nn.conf.layers.BaseLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayer;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayerWithBackprop;
import org.deeplearning4j.nn.conf.layers.recurrent.Bidirectional;
import org.deeplearning4j.nn.conf.layers.samediff.SameDiffVertex;
import org.deeplearning4j.nn.conf.layers.wrapper.BaseWrapperLayer;
import org.nd4j.linalg.activations.IActivation;
import org.nd4j.linalg.activations.impl.ActivationRReLU;

import java.util.function.Consumer;

/**
 * What has to be known about DL4J's layer configurations to freeze any of them.
 */
public final class StockLayers {

    private StockLayers() {
    }

    /** The layer inside DL4J's own freezing wrappers. */
    public static Layer unwrap(Layer layer) {
        if (layer instanceof FrozenLayer frozen) {
            return unwrap(frozen.getLayer());
        }
        if (layer instanceof FrozenLayerWithBackprop frozen) {
            return unwrap(frozen.getUnderlying());
        }
        return layer;
    }

    /** The layer that has the weights, inside wrappers for time; the forward one of a bidirectional layer's two. */
    public static Layer innermost(Layer layer) {
        return layer instanceof BaseWrapperLayer wrapper ? innermost(wrapper.getUnderlying())
                : layer instanceof Bidirectional both ? innermost(both.getFwd()) : layer;
    }

    /** The vertex inside DL4J's own freezing wrappers. */
    public static GraphVertex unwrap(GraphVertex vertex) {
        return vertex instanceof FrozenVertex frozen ? unwrap(frozen.getUnderlying()) : vertex;
    }

    /** A clone that can be trained: AttentionVertex.clone() drops its updater, without which a trained one throws. */
    public static GraphVertex copy(GraphVertex vertex) {
        GraphVertex copy = vertex.clone();
        keepTrainingConfiguration(unwrap(vertex), unwrap(copy));
        return copy;
    }

    /** Gives a vertex's clone what cloning may have lost. */
    public static void keepTrainingConfiguration(GraphVertex from, GraphVertex to) {
        if (from instanceof SameDiffVertex original && to instanceof SameDiffVertex copy) {
            copy.setUpdater(original.getUpdater());
            copy.setBiasUpdater(original.getBiasUpdater());
            copy.setRegularization(original.getRegularization());
            copy.setRegularizationBias(original.getRegularizationBias());
            copy.setGradientNormalization(original.getGradientNormalization());
            copy.setGradientNormalizationThreshold(original.getGradientNormalizationThreshold());
        }
    }

    /** The number of parameters; the overload that takes a configuration, since the other is wrong for a few layers. */
    public static long numParams(Layer layer) {
        NeuralNetConfiguration conf = new NeuralNetConfiguration();
        conf.setLayer(layer);
        return layer.initializer().numParams(conf);
    }

    /**
     * A copy to run on weights that another layer owns: with its dropout, but without weight noise and constraints,
     * which speak of weights that do not train. Dropout that keeps everything, which Keras imports have in every layer,
     * goes too: a convolution with channels last cannot run it backwards.
     */
    public static Layer withoutWeightRules(Layer layer) {
        Layer copy = layer.clone();
        removeWeightRules(copy);
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
        forEachInside(layer, StockLayers::removeWeightRules);
    }

    private static void forEachInside(Layer layer, Consumer<Layer> action) {
        if (layer instanceof BaseWrapperLayer wrapper) {
            action.accept(wrapper.getUnderlying());
        }
        if (layer instanceof Bidirectional both) {
            action.accept(both.getFwd());
            action.accept(both.getBwd());
        }
    }

    /**
     * A copy that computes the same in training mode as in test mode: without dropout, weight noise and constraints,
     * and with RReLU as it is in test mode. The training flag itself cannot be withheld: told to work in test mode, some
     * layers overwrite their input, which gradients and neighbours still need.
     */
    public static Layer inTestMode(Layer layer) {
        Layer copy = layer.clone();
        removeRandomness(copy);
        return copy;
    }

    private static void removeRandomness(Layer layer) {
        removeWeightRules(layer);
        layer.setIDropout(null);
        if (layer instanceof BaseLayer base) {
            base.setActivationFn(inTestMode(base.getActivationFn()));
        }
        if (layer instanceof ActivationLayer activation) {
            activation.setActivationFn(inTestMode(activation.getActivationFn()));
        }
        forEachInside(layer, StockLayers::removeRandomness);
    }

    private static IActivation inTestMode(IActivation activation) {
        return activation instanceof ActivationRReLU random ? new TestModeRReLU(random.getL(), random.getU()) : activation;
    }
}
