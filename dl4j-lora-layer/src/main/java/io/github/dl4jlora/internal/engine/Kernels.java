package io.github.dl4jlora.internal.engine;

import io.github.dl4jlora.conf.Engine;
import io.github.dl4jlora.internal.adapted.AdaptedConfiguration;
import io.github.dl4jlora.internal.attention.AttentionKernels;
import io.github.dl4jlora.internal.effective.EffectiveVertex;
import io.github.dl4jlora.internal.effective.StockRuntime;
import io.github.dl4jlora.internal.recurrent.RecurrentKernels;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.layers.Convolution1D;
import org.deeplearning4j.nn.conf.layers.Convolution1DLayer;
import org.deeplearning4j.nn.conf.layers.Convolution2D;
import org.deeplearning4j.nn.conf.layers.Convolution3D;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.Deconvolution2D;
import org.deeplearning4j.nn.conf.layers.Deconvolution3D;
import org.deeplearning4j.nn.conf.layers.DepthwiseConvolution2D;
import org.deeplearning4j.nn.conf.layers.EmbeddingLayer;
import org.deeplearning4j.nn.conf.layers.EmbeddingSequenceLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.optimize.api.TrainingListener;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.Collection;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.function.BiFunction;

/** Tells which stock layers, besides dense and output ones, have a kernel here, and makes what runs a layer. */
public final class Kernels {

    private static final BiFunction<NeuralNetConfiguration, DataType, KernelRuntime> CONVOLUTION = ConvolutionRuntime::new;
    private static final BiFunction<NeuralNetConfiguration, DataType, KernelRuntime> EMBEDDING = EmbeddingRuntime::new;

    /** By exact types: a user's subclass may compute something other than what it inherits. */
    private static final Map<Class<?>, BiFunction<NeuralNetConfiguration, DataType, KernelRuntime>> BY_LAYER = Map.of(
            ConvolutionLayer.class, CONVOLUTION, Convolution2D.class, CONVOLUTION, Convolution1DLayer.class, CONVOLUTION,
            Convolution1D.class, CONVOLUTION, Convolution3D.class, CONVOLUTION,
            Deconvolution2D.class, CONVOLUTION, Deconvolution3D.class, CONVOLUTION, DepthwiseConvolution2D.class, CONVOLUTION,
            EmbeddingLayer.class, EMBEDDING, EmbeddingSequenceLayer.class, EMBEDDING);

    /** Of a transposed convolution a column of the matrix is no output; a depthwise one runs on W + s·A·B. */
    private static final Set<Class<?>> WITHOUT_PATH =
            Set.of(Deconvolution2D.class, Deconvolution3D.class, DepthwiseConvolution2D.class);

    private Kernels() {
    }

    /**
     * Whether a kernel runs the layer or vertex, which must be without DL4J's freezing wrappers; otherwise it runs on effective
     * weights. Kernels of recurrent layers and of attention do so in FLOAT and DOUBLE.
     */
    public static boolean run(AdaptedConfiguration lora) {
        if (lora.adapted().isEmpty() || lora.settings().engine() != Engine.FUSED) {
            return false;
        }
        return lora.stockLayer() != null ? exists(lora.stockLayer())
                : AttentionKernels.exist(Objects.requireNonNull(lora.stockVertex()));
    }

    /** As {@link #run(AdaptedConfiguration)}, in a network of a data type. */
    public static boolean run(AdaptedConfiguration lora, DataType type) {
        return run(lora) && (lora.stockLayer() != null ? exists(lora.stockLayer(), type)
                : exists(Objects.requireNonNull(lora.stockVertex()), type));
    }

    /** Whether there is a kernel for a stock layer, which must be without DL4J's freezing wrappers. */
    public static boolean exists(Layer stock) {
        return BY_LAYER.containsKey(stock.getClass()) || hasSteps(stock);
    }

    /** As {@link #exists(Layer)}, in a network of a data type. */
    public static boolean exists(Layer stock, DataType type) {
        // In 16 bits whoever runs on W + s·A·B is warned of what that loses: see AdaptationWarnings.
        boolean computes = type.width() >= Float.BYTES || stock.getClass() != DepthwiseConvolution2D.class;
        return BY_LAYER.containsKey(stock.getClass()) && computes || haveSteps(stock, type);
    }

    /** Whether there is a kernel for a stock vertex, which must be without DL4J's freezing wrappers, in a data type. */
    public static boolean exists(GraphVertex stock, DataType type) {
        return AttentionKernels.exist(stock) && RecurrentKernels.compute(type);
    }

    /** As {@link #exists(Layer, DataType)}, of kernels for sequences only. */
    public static boolean haveSteps(Layer stock, DataType type) {
        return hasSteps(stock) && RecurrentKernels.compute(type);
    }

    /** Whether the stock layer's kernel is one for sequences, with paths beside several matrices. */
    private static boolean hasSteps(Layer stock) {
        return RecurrentKernels.exist(stock) || AttentionKernels.exist(stock);
    }

    /** Whether the stock layer's kernel has one low-rank path, to whose input dropout applies and to whose product a variant. */
    public static boolean hasPath(Layer stock) {
        return BY_LAYER.containsKey(stock.getClass()) && !WITHOUT_PATH.contains(stock.getClass());
    }

    /**
     * The running layer.
     *
     * @param conf the layer's configuration, with an adapted layer in it that is not dense
     * @param view the layer's part of the network's vector
     */
    public static org.deeplearning4j.nn.api.Layer instantiate(NeuralNetConfiguration conf, Collection<TrainingListener> listeners,
                                                              int index, INDArray view, boolean initialize, DataType type) {
        AdaptedConfiguration lora = (AdaptedConfiguration) conf.getLayer();
        if (!run(lora, type)) {
            return StockRuntime.of(conf, listeners, index, view, initialize, type);
        }
        Layer stock = Objects.requireNonNull(lora.stockLayer());
        if (AttentionKernels.exist(stock)) {
            return AttentionKernels.instantiate(conf, listeners, index, view, initialize, type);
        }
        BiFunction<NeuralNetConfiguration, DataType, KernelRuntime> kernel = BY_LAYER.get(stock.getClass());
        return kernel == null ? RecurrentKernels.instantiate(conf, listeners, index, view, initialize, type)
                : kernel.apply(conf, type).on(listeners, index, view, initialize);
    }

    /**
     * The running vertex.
     *
     * @param lora its configuration
     * @param view its part of the network's vector
     */
    public static EffectiveVertex instantiate(AdaptedConfiguration lora, ComputationGraph graph, String name, int index,
                                              INDArray view, boolean initialize, DataType type) {
        return run(lora, type) ? AttentionKernels.instantiate(lora, graph, name, index, view, initialize, type)
                : EffectiveVertex.of(lora, graph, name, index, view, initialize, type);
    }
}
