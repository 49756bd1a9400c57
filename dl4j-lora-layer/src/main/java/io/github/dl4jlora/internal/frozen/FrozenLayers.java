package io.github.dl4jlora.internal.frozen;

import io.github.dl4jlora.internal.stock.HiddenState;
import io.github.dl4jlora.internal.stock.StockLayers;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.api.layers.IOutputLayer;
import org.deeplearning4j.nn.api.layers.RecurrentLayer;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;

/** What runs a frozen layer, and what is known of that beforehand. */
public final class FrozenLayers {

    private FrozenLayers() {
    }

    /**
     * Makes the runtime of a frozen layer, with arithmetic of ours in the place of the stock layer's where there is any.
     *
     * @param builder    makes the stock layer
     * @param initialize whether values inside the vector get a fresh start
     * @param stops      whether backpropagation ends here, as nothing upstream trains
     * @param showsState whether DL4J sees the state of a recurrent layer inside a wrapper
     * @param declared   the network's configuration of this layer, of which the stock layer's is a part
     */
    public static Layer running(FrozenParameters parameters, FrozenPart.Builder<Layer> builder, boolean initialize, boolean stops,
                                boolean showsState, NeuralNetConfiguration declared) {
        FrozenPart<Layer> part = new FrozenPart<>(parameters, (values, fresh) ->
                FrozenArithmetic.into(HiddenState.asInBase(builder.build(values, fresh), showsState), parameters, builder),
                initialize);
        if (part.stock() instanceof IOutputLayer) {
            // It sets labels and scores in its backward pass, so it is passed through even with nothing upstream.
            return new FrozenOutputRuntime(part, declared);
        }
        FrozenRuntime runtime = part.stock() instanceof RecurrentLayer ? new FrozenRecurrentRuntime(part, declared)
                : new FrozenRuntime(part, showsState, declared);
        return stops ? StoppedRuntime.of(runtime) : runtime;
    }

    /**
     * Whether arithmetic of ours runs a stock layer, so that its matrices may be kept in fewer bits.
     *
     * @param stock out of DL4J's freezing wrappers
     */
    public static boolean takesQuantized(org.deeplearning4j.nn.conf.layers.Layer stock) {
        Class<?> type = stock.getClass();
        return type == OutputLayer.class || type == RnnOutputLayer.class || FrozenProduct.exists(StockLayers.innermost(stock));
    }

    /**
     * Whether the backward pass of a frozen layer looks at the layer's input.
     *
     * @param stock out of DL4J's freezing wrappers
     */
    public static boolean looksBack(org.deeplearning4j.nn.conf.layers.Layer stock) {
        return FrozenProduct.looksBack(stock);
    }
}
