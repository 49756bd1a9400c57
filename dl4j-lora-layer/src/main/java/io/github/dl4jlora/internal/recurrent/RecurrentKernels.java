package io.github.dl4jlora.internal.recurrent;

import io.github.dl4jlora.internal.effective.StockRuntime;
import io.github.dl4jlora.internal.effective.StockWeights;
import io.github.dl4jlora.internal.kernel.KernelWeights;
import io.github.dl4jlora.internal.kernel.OwnArithmetic;
import io.github.dl4jlora.internal.run.AdaptedRuntime.InputGradient;
import io.github.dl4jlora.internal.run.Adapter;
import io.github.dl4jlora.internal.stock.StockLayers;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.recurrent.Bidirectional;
import org.deeplearning4j.nn.conf.layers.recurrent.LastTimeStep;
import org.deeplearning4j.nn.conf.layers.util.MaskZeroLayer;
import org.deeplearning4j.nn.conf.layers.wrapper.BaseWrapperLayer;
import org.deeplearning4j.nn.gradient.DefaultGradient;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.layers.recurrent.BidirectionalLayer;
import org.deeplearning4j.nn.layers.recurrent.LastTimeStepLayer;
import org.deeplearning4j.optimize.api.TrainingListener;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.stream.Stream;

/**
 * Kernels of recurrent layers, inside DL4J's own wrappers for time.
 */
public final class RecurrentKernels implements StockWeights {

    private static final boolean IS_CPU = Nd4j.getBackend().getEnvironment().isCPU();

    private final List<RecurrentKernel> kernels;
    private final boolean isBidirectional;
    private @Nullable Adapter adapter;
    private Map<String, INDArray> gradients = Map.of();

    private RecurrentKernels(List<RecurrentKernel> kernels) {
        this.kernels = kernels;
        this.isBidirectional = kernels.size() > 1;
    }

    private static final class BothDirections extends BidirectionalLayer implements OwnArithmetic {

        private final List<OwnArithmetic> directions;

        BothDirections(NeuralNetConfiguration conf, org.deeplearning4j.nn.api.Layer forward,
                       org.deeplearning4j.nn.api.Layer backward, INDArray view) {
            super(conf, forward, backward, view);
            directions = Stream.of(forward, backward).map(OwnArithmetic::in).map(Objects::requireNonNull).toList();
        }

        @Override
        public void setStock(boolean stock) {
            directions.forEach(direction -> direction.setStock(stock));
        }
    }

    /** Whether there are kernels for all that a stock layer has inside its wrappers. */
    public static boolean exist(Layer stock) {
        return IS_CPU && (stock.getClass() == Bidirectional.class
                ? exist(((Bidirectional) stock).getFwd()) && exist(((Bidirectional) stock).getBwd())
                : isKnownWrapper(stock) ? exist(((BaseWrapperLayer) stock).getUnderlying()) : RecurrentForm.of(stock) != null);
    }

    private static boolean isKnownWrapper(Layer layer) {
        return layer.getClass() == LastTimeStep.class || layer.getClass() == MaskZeroLayer.class;
    }

    /** Whether the kernels compute in a network's data type. */
    public static boolean compute(DataType type) {
        return type == DataType.FLOAT || type == DataType.DOUBLE;
    }

    /**
     * The running layer.
     *
     * @param conf the layer's configuration, with an adapted layer in it for whose stock layer kernels {@link #exist}
     * @param view the layer's part of the network's vector
     */
    public static StockRuntime instantiate(NeuralNetConfiguration conf, Collection<TrainingListener> listeners, int index,
                                           INDArray view, boolean initialize, DataType type) {
        List<RecurrentKernel> kernels = new ArrayList<>();
        org.deeplearning4j.nn.api.Layer stock = running(StockRuntime.stockConf(conf), type, "", 0, view, kernels);
        stock.setListeners(listeners);
        stock.setIndex(index);
        return StockRuntime.on(conf, stock, view, initialize, type, new RecurrentKernels(kernels)::attached);
    }

    /** The wrappers as DL4J makes them, around kernels, which are added to the list. */
    private static org.deeplearning4j.nn.api.Layer running(NeuralNetConfiguration conf, DataType type, String prefix, long offset,
                                                           INDArray view, List<RecurrentKernel> kernels) {
        Layer layer = conf.getLayer();
        if (layer instanceof Bidirectional both) {
            return new BothDirections(conf,
                    running(StockLayers.confOf(both.getFwd(), conf), type, "f", offset, view, kernels),
                    running(StockLayers.confOf(both.getBwd(), conf), type, "b", offset + StockLayers.numParams(both.getFwd()),
                            view, kernels), view);
        }
        if (isKnownWrapper(layer)) {
            org.deeplearning4j.nn.api.Layer inner = running(
                    StockLayers.confOf(((BaseWrapperLayer) layer).getUnderlying(), conf), type, prefix, offset, view, kernels);
            return layer instanceof MaskZeroLayer zeros
                    ? new org.deeplearning4j.nn.layers.recurrent.MaskZeroLayer(inner, zeros.getMaskingValue())
                    : new LastTimeStepLayer(inner);
        }
        RecurrentKernel kernel = new RecurrentKernel(conf, type, Objects.requireNonNull(RecurrentForm.of(layer)), prefix, offset);
        kernels.add(kernel);
        return kernel;
    }

    /**
     * A running frozen layer in the place of DL4J's.
     *
     * @param stock as DL4J runs it, for whose configuration kernels {@link #exist}
     * @param stops whether no backward pass follows
     */
    public static org.deeplearning4j.nn.api.Layer frozen(org.deeplearning4j.nn.api.Layer stock, KernelWeights weights,
                                                         DataType type, boolean stops) {
        List<RecurrentKernel> kernels = new ArrayList<>();
        org.deeplearning4j.nn.api.Layer own = running(stock.conf(), type, "", 0, stock.params(), kernels);
        own.setListeners(stock.getListeners());
        own.setIndex(stock.getIndex());
        kernels.forEach(kernel -> {
            kernel.attach(weights);
            kernel.show(stock.paramTable(false), stock.params());
            kernel.setInputGradient(stops ? InputGradient.UNNEEDED : InputGradient.NEEDED);
        });
        return own;
    }

    private StockWeights attached(Adapter own) {
        adapter = own;
        kernels.forEach(kernel -> kernel.attach(own));
        return this;
    }

    @Override
    public void refresh(boolean training) {
        Objects.requireNonNull(adapter).beginPass(training);
    }

    @Override
    public void changed() {
        boolean isDisabled = Objects.requireNonNull(adapter).switches().isDisabled();
        kernels.forEach(kernel -> kernel.setStock(isDisabled));
    }

    @Override
    public void setGradients(Map<String, INDArray> views) {
        gradients = views;
        kernels.forEach(kernel -> kernel.setGradients(views));
    }

    /** DL4J adds up what the two directions give. */
    @Override
    public void setInputGradient(InputGradient use) {
        if (!isBidirectional) {
            kernels.forEach(kernel -> kernel.setInputGradient(use));
        }
    }

    /** They have been written where they belong. */
    @Override
    public Gradient project(Gradient stock) {
        Gradient own = new DefaultGradient();
        gradients.forEach(own::setGradientFor);
        return own;
    }
}
