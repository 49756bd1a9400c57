package io.github.dl4jlora.internal.run;

import io.github.dl4jlora.layer.LoRAWrapperLayer;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.Convolution1D;
import org.deeplearning4j.nn.conf.layers.Convolution1DLayer;
import org.deeplearning4j.nn.conf.layers.Convolution2D;
import org.deeplearning4j.nn.conf.layers.Convolution3D;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.EmbeddingLayer;
import org.deeplearning4j.nn.conf.layers.EmbeddingSequenceLayer;
import org.deeplearning4j.optimize.api.TrainingListener;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.Collection;
import java.util.Map;

/**
 * What computes an adapted stock layer. All mechanisms give the same results from the same {@link LoRAWrapperLayer}
 * configuration, the same vector and the same keys; each is an oracle of the others.
 */
public enum Mechanism {

    /** The stock layer itself, on effective weights W + s·A·B: any layer, at the cost of one W and one dW of memory. */
    DELTA(false) {
        @Override
        public org.deeplearning4j.nn.api.Layer instantiate(NeuralNetConfiguration conf, Collection<TrainingListener> listeners,
                                                    int index, INDArray view, boolean initialize, DataType type) {
            return DeltaRuntime.of(conf, listeners, index, view, initialize, type);
        }
    },

    /** A convolution and a low-rank one beside it, which share the windows of their input. One to three dimensions. */
    CONVOLUTION(true) {
        @Override
        public org.deeplearning4j.nn.api.Layer instantiate(NeuralNetConfiguration conf, Collection<TrainingListener> listeners,
                                                    int index, INDArray view, boolean initialize, DataType type) {
            return new ConvolutionRuntime(conf, type).on(listeners, index, view, initialize);
        }
    },

    /** Rows of W and rows of A looked up, the latter multiplied by B; as in PEFT, without dropout. */
    EMBEDDING(true) {
        @Override
        public org.deeplearning4j.nn.api.Layer instantiate(NeuralNetConfiguration conf, Collection<TrainingListener> listeners,
                                                    int index, INDArray view, boolean initialize, DataType type) {
            return new EmbeddingRuntime(conf, type).on(listeners, index, view, initialize);
        }
    };

    private static final Map<Class<?>, Mechanism> KERNELS = Map.of(
            ConvolutionLayer.class, CONVOLUTION, Convolution2D.class, CONVOLUTION, Convolution1DLayer.class, CONVOLUTION,
            Convolution1D.class, CONVOLUTION, Convolution3D.class, CONVOLUTION,
            EmbeddingLayer.class, EMBEDDING, EmbeddingSequenceLayer.class, EMBEDDING);

    private final boolean acceptsDropout;

    Mechanism(boolean acceptsDropout) {
        this.acceptsDropout = acceptsDropout;
    }

    /** The mechanism for a stock layer, which must be out of DL4J's freezing wrappers. */
    public static Mechanism of(org.deeplearning4j.nn.conf.layers.Layer stock) {
        return KERNELS.getOrDefault(stock.getClass(), DELTA);
    }

    /**
     * Whether a configuration may have loraDropout: there is a low-rank path with an input of its own, or, as in PEFT's
     * embeddings, it does nothing.
     */
    public boolean acceptsDropout() {
        return acceptsDropout;
    }

    /**
     * The running layer.
     *
     * @param conf the layer's configuration, with a LoRAWrapperLayer in it
     * @param view the layer's part of the network's vector
     */
    public abstract org.deeplearning4j.nn.api.Layer instantiate(NeuralNetConfiguration conf, Collection<TrainingListener> listeners,
                                                         int index, INDArray view, boolean initialize, DataType type);
}
