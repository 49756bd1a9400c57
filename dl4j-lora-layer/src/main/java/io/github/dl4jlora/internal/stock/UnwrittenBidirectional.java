package io.github.dl4jlora.internal.stock;

import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.recurrent.Bidirectional;
import org.deeplearning4j.nn.layers.recurrent.BidirectionalLayer;
import org.deeplearning4j.optimize.api.TrainingListener;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.indexing.NDArrayIndex;

import java.util.Collection;

/**
 * Makes the running layer of a {@link Bidirectional} on existing values, as that class does, but writes nothing into its
 * parameters. DL4J's class assigns each parameter to itself. That costs a pass over all values and, where the values lie in a
 * mapped file, ends the JVM. This class is in no configuration of a network, and so in no file.
 */
final class UnwrittenBidirectional extends Bidirectional {

    private static final long serialVersionUID = 1L;

    private final transient Bidirectional stock;

    /**
     * @param stock its two layers are used as they are
     */
    UnwrittenBidirectional(Bidirectional stock) {
        super(stock.getMode(), stock.getFwd());
        setBwd(stock.getBwd());
        this.stock = stock;
    }

    @Override
    public Layer instantiate(NeuralNetConfiguration conf, @Nullable Collection<TrainingListener> listeners, int index,
                             INDArray view, boolean initialize, DataType type) {
        NeuralNetConfiguration own = StockLayers.confOf(stock, conf);
        INDArray flat = view.reshape(view.length());
        long half = view.length() / 2;
        Layer forward = half(stock.getFwd(), conf, listeners, index, flat.get(NDArrayIndex.interval(0, half)), type);
        Layer backward = half(stock.getBwd(), conf, listeners, index, flat.get(NDArrayIndex.interval(half, 2 * half)), type);
        // Adds the names of its variables to the configuration.
        stock.initializer().init(own, view, false);
        return new BidirectionalLayer(own, forward, backward, view);
    }

    private static Layer half(org.deeplearning4j.nn.conf.layers.Layer layer, NeuralNetConfiguration conf,
                              @Nullable Collection<TrainingListener> listeners, int index, INDArray values, DataType type) {
        return StockLayers.running(StockLayers.confOf(layer, conf), listeners, index, values, false, type);
    }
}
