package io.github.dl4jlora.internal.frozen;

import io.github.dl4jlora.internal.engine.Kernels;
import io.github.dl4jlora.internal.stock.HiddenState;
import io.github.dl4jlora.internal.stock.StockLayers;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.api.layers.IOutputLayer;
import org.deeplearning4j.nn.api.layers.RecurrentLayer;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.conf.layers.recurrent.Bidirectional;
import org.nd4j.linalg.api.buffer.DataType;

/** Makes the runtime of a frozen layer, and tells beforehand what that runtime will do. */
public final class FrozenLayers {

    private FrozenLayers() {
    }

    /**
     * Makes the runtime of a frozen layer, with this library's arithmetic in place of the stock layer's if there is any.
     *
     * @param builder    makes the stock layer
     * @param initialize whether values inside the vector get a fresh start
     * @param stops      whether backpropagation ends here, since nothing upstream trains
     * @param showsState whether DL4J sees the state of a recurrent layer inside a wrapper
     * @param declared   the network's configuration of this layer, of which the stock layer's is a part
     */
    public static Layer running(FrozenParameters parameters, FrozenPart.Builder<Layer> builder, boolean initialize, boolean stops,
                                boolean showsState, NeuralNetConfiguration declared) {
        FrozenPart<Layer> part = new FrozenPart<>(parameters, (values, fresh) ->
                FrozenArithmetic.into(HiddenState.asInBase(builder.build(values, fresh), showsState), parameters, builder,
                        stops), initialize);
        if (part.stock() instanceof IOutputLayer) {
            // An output layer sets labels and scores in its backward pass, so that must run even if nothing upstream trains.
            return new FrozenOutputRuntime(part, declared);
        }
        FrozenRuntime runtime = part.stock() instanceof RecurrentLayer ? new FrozenRecurrentRuntime(part, declared)
                : new FrozenRuntime(part, showsState, declared);
        return stops ? StoppedRuntime.of(runtime) : runtime;
    }

    /**
     * Whether this library's arithmetic runs a stock layer, so that its matrices may be kept in fewer bits.
     *
     * @param stock without DL4J's freezing wrappers
     * @param type  the network's data type
     */
    public static boolean takesQuantized(org.deeplearning4j.nn.conf.layers.Layer stock, DataType type) {
        Class<?> layer = stock.getClass();
        return layer == OutputLayer.class || layer == RnnOutputLayer.class || Kernels.haveSteps(stock, type)
                || FrozenProduct.exists(StockLayers.innermost(stock)) && !StockLayers.contains(stock, Bidirectional.class);
    }

    /** As {@link #takesQuantized(org.deeplearning4j.nn.conf.layers.Layer, DataType)}, of a vertex. */
    public static boolean takesQuantized(GraphVertex stock, DataType type) {
        return Kernels.exists(stock, type);
    }

    /**
     * Whether the backward pass of a frozen layer reads the layer's input.
     *
     * @param stock without DL4J's freezing wrappers
     */
    public static boolean looksBack(org.deeplearning4j.nn.conf.layers.Layer stock) {
        return FrozenProduct.looksBack(stock);
    }
}
