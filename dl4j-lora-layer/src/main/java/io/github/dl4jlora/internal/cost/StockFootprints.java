package io.github.dl4jlora.internal.cost;

import io.github.dl4jlora.footprint.Footprint;
import io.github.dl4jlora.footprint.Passage;
import io.github.dl4jlora.footprint.Rows;
import io.github.dl4jlora.footprint.TrainingFootprint;
import io.github.dl4jlora.internal.kernel.DenseArithmetic;
import io.github.dl4jlora.internal.stock.StockLayers;
import org.deeplearning4j.nn.conf.InputPreProcessor;
import org.deeplearning4j.nn.conf.graph.ElementWiseVertex;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.AbstractLSTM;
import org.deeplearning4j.nn.conf.layers.BaseLayer;
import org.deeplearning4j.nn.conf.layers.BaseOutputLayer;
import org.deeplearning4j.nn.conf.layers.BatchNormalization;
import org.deeplearning4j.nn.conf.layers.CnnLossLayer;
import org.deeplearning4j.nn.conf.layers.Convolution1DLayer;
import org.deeplearning4j.nn.conf.layers.Convolution2D;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.EmbeddingLayer;
import org.deeplearning4j.nn.conf.layers.EmbeddingSequenceLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.LossLayer;
import org.deeplearning4j.nn.conf.layers.RnnLossLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.conf.layers.Subsampling3DLayer;
import org.deeplearning4j.nn.conf.layers.recurrent.Bidirectional;
import org.deeplearning4j.nn.conf.layers.recurrent.SimpleRnn;
import org.deeplearning4j.nn.conf.layers.recurrent.TimeDistributed;
import org.deeplearning4j.nn.conf.layers.samediff.AbstractSameDiffLayer;
import org.deeplearning4j.nn.conf.layers.wrapper.BaseWrapperLayer;
import org.deeplearning4j.nn.conf.preprocessor.CnnToFeedForwardPreProcessor;
import org.deeplearning4j.nn.conf.preprocessor.FeedForwardToCnnPreProcessor;
import org.deeplearning4j.nn.conf.preprocessor.RnnToFeedForwardPreProcessor;
import org.jspecify.annotations.Nullable;
import org.nd4j.common.util.ArrayUtil;
import org.nd4j.linalg.activations.IActivation;
import org.nd4j.linalg.activations.impl.ActivationIdentity;
import org.nd4j.linalg.activations.impl.ActivationRReLU;
import org.nd4j.linalg.activations.impl.ActivationReLU;
import org.nd4j.linalg.activations.impl.ActivationSwish;

import java.util.List;
import java.util.Set;
import java.util.function.BiFunction;

/**
 * What DL4J's own layers hold, as read in the sources of 1.0.0-M2.1 and compared with the sizes of its workspaces
 * (docs/benchmarks.md). A layer that is not known here is taken for one that keeps its output, and in its backward pass holds
 * z, dL/dz and a copy: DL4J's memory reports do not count these, nor what its workspaces make of them.
 */
public final class StockFootprints {

    /** Activations whose gradient is an array of its own; those of others overwrite z. */
    private static final Set<Class<?>> APART = Set.of(ActivationReLU.class, ActivationRReLU.class, ActivationSwish.class);

    /** Arrays of a step of an LSTM that are kept for its backward pass, each as large as its output at that step. */
    private static final int LSTM_KEEPS = 10;

    private StockFootprints() {
    }

    /** The footprint of a layer, in any wrappers. */
    public static Footprint of(Layer layer, Passage passage) {
        return of(layer, passage, StockFootprints::alone);
    }

    /**
     * The footprint of a layer in any wrappers of DL4J.
     *
     * @param alone of the layer inside, which has no wrapper any more
     */
    static Footprint of(Layer layer, Passage passage, BiFunction<Layer, Passage, Footprint> alone) {
        Layer stock = StockLayers.unwrap(layer);
        long dropped = stock.getIDropout() == null ? 0 : passage.in();
        return inner(stock, passage, alone).plus(new Footprint(dropped, 0, 0, 0));
    }

    private static Footprint inner(Layer layer, Passage passage, BiFunction<Layer, Passage, Footprint> alone) {
        if (layer instanceof Bidirectional both) {
            Footprint one = within(both.getFwd(), passage, alone);
            return one.plus(one).plus(new Footprint(passage.out(), 0, passage.out(), passage.in()));
        }
        if (layer instanceof TimeDistributed steps && passage.input().type() instanceof InputType.InputTypeRecurrent sequence) {
            Passage rows = new Passage(List.of(new Rows(passage.input().number() * sequence.getTimeSeriesLength(),
                    InputType.feedForward(sequence.getSize()))), passage.output(), passage.type());
            return within(steps.getUnderlying(), rows, alone).plus(new Footprint(passage.in() + passage.out(), 0, passage.out(),
                    passage.in()));
        }
        if (layer instanceof BaseWrapperLayer wrapper) {
            return within(wrapper.getUnderlying(), passage, alone).plus(new Footprint(passage.out(), 0, passage.in(), 0));
        }
        return alone.apply(layer, passage);
    }

    private static Footprint alone(Layer layer, Passage passage) {
        if (layer instanceof TrainingFootprint own) {
            return Told.footprint(own, passage);
        }
        if (layer instanceof BaseOutputLayer) {
            return output(layer, passage);
        }
        if (layer instanceof LossLayer || layer instanceof RnnLossLayer || layer instanceof CnnLossLayer) {
            return new Footprint(0, passage.out(), passage.out(), passage.in());
        }
        if (layer instanceof AbstractLSTM lstm) {
            return lstm(lstm, passage);
        }
        if (layer.getClass() == ConvolutionLayer.class || layer.getClass() == Convolution2D.class) {
            return convolution((ConvolutionLayer) layer, passage);
        }
        if (layer instanceof EmbeddingLayer || layer instanceof EmbeddingSequenceLayer) {
            return new Footprint(passage.out(), 0, 3 * passage.out(), 0);
        }
        if (layer instanceof BatchNormalization) {
            return norm(passage);
        }
        if (layer instanceof SimpleRnn) {
            return new Footprint(passage.in() + passage.out(), 0, 5 * passage.out() + passage.in(), passage.in());
        }
        if (layer instanceof ConvolutionLayer convolution) {
            // Native operations, which make the windows for themselves.
            return new Footprint(passage.out(), 0, (1 + gradients(convolution.getActivationFn())) * passage.out(), passage.in())
                    .beside(2 * windows(convolution, passage));
        }
        if (layer instanceof Subsampling3DLayer) {
            return new Footprint(passage.out(), 0, 0, passage.in()).beside(passage.in());
        }
        if (layer instanceof AbstractSameDiffLayer) {
            return new Footprint(passage.out(), 0, 3 * passage.out(), 2 * passage.in());
        }
        if (layer instanceof BaseLayer base) {
            long norm = layer instanceof DenseLayer dense && dense.hasLayerNorm() ? passage.out() : 0;
            return new Footprint(passage.out(), norm, (2 + gradients(base.getActivationFn())) * passage.out() + norm,
                    passage.in());
        }
        return new Footprint(passage.out(), 0, 0, passage.in());
    }

    /** For images, that of a native operation; for rows, that of ND4J's own code, with the normalised values. */
    static Footprint norm(Passage passage) {
        boolean rows = passage.input().type() instanceof InputType.InputTypeFeedForward;
        long vectors = rows ? 11 * passage.output().rowLength() : 0;
        return new Footprint((rows ? 3 : 1) * passage.out(), 0, 3 * passage.out() + vectors, passage.in());
    }

    /** The footprint of a layer in a wrapper, which turns the layer's output into another one. */
    private static Footprint within(Layer layer, Passage passage, BiFunction<Layer, Passage, Footprint> alone) {
        InputType output = layer.clone().getOutputType(0, passage.input().type());
        if (output instanceof InputType.InputTypeRecurrent sequence && sequence.getTimeSeriesLength() < 1
                && passage.input().type() instanceof InputType.InputTypeRecurrent before) {
            // DL4J forgets the length.
            output = InputType.recurrent(sequence.getSize(), before.getTimeSeriesLength(), sequence.getFormat());
        }
        return inner(layer, new Passage(List.of(passage.input()), new Rows(passage.input().number(), output), passage.type()),
                alone);
    }

    /** Arrays of z's size that a gradient dL/dz takes. */
    static int gradients(IActivation activation) {
        return APART.contains(activation.getClass()) ? 1 : 0;
    }

    static boolean isIdentity(Layer layer) {
        return layer instanceof BaseLayer base && base.getActivationFn() instanceof ActivationIdentity;
    }

    /** z is computed for the gradient, and again for the score; sequences become rows, and sequences again. */
    static Footprint output(Layer layer, Passage passage) {
        long turned = layer instanceof RnnOutputLayer ? passage.in() : 0;
        return new Footprint(passage.out(), turned + passage.out(), turned + 2 * passage.out(),
                passage.in() + turned + passage.out());
    }

    /** Of the sequence that comes in. */
    static long steps(Passage passage) {
        return steps(passage.input().type());
    }

    /** {@return the length of a sequence} */
    static long steps(InputType sequence) {
        return Math.max(1, ((InputType.InputTypeRecurrent) sequence).getTimeSeriesLength());
    }

    /**
     * {@return how often a layer gives this many outputs: for each example, step of a sequence or pixel of an image}
     *
     * @param outputs the layer's nOut; below 1 where nobody has set it
     */
    static long positions(Passage passage, long outputs) {
        return passage.out() / Math.max(1, outputs);
    }

    private static Footprint lstm(AbstractLSTM lstm, Passage passage) {
        long state = passage.input().number() * lstm.getNOut();
        long sequence = state * steps(passage);
        long gates = 4 * lstm.getNOut() * lstm.getNOut();
        return new Footprint(passage.out(), 3 * sequence + gates, LSTM_KEEPS * sequence + 6 * state + gates, passage.in())
                .looping(LSTM_KEEPS * state);
    }

    /** Windows of the whole batch: in the forward pass two arrays of them, in the backward pass three. */
    private static Footprint convolution(ConvolutionLayer layer, Passage passage) {
        long windows = windows(layer, passage);
        return new Footprint(passage.out(), 2 * windows, 3 * windows + (2 + gradients(layer.getActivationFn())) * passage.out(),
                passage.in());
    }

    private static long windows(ConvolutionLayer layer, Passage passage) {
        return positions(passage, layer.getNOut()) * windowSize(layer);
    }

    /** Values that a kernel sees at one position. */
    static long windowSize(ConvolutionLayer layer) {
        // For sequences the array has a second number, which means nothing.
        int[] kernel = layer instanceof Convolution1DLayer ? new int[] {layer.getKernelSize()[0]} : layer.getKernelSize();
        return layer.getNIn() * ArrayUtil.prodLong(kernel);
    }

    /** The footprint of a vertex: its output, and a gradient for each input. */
    public static Footprint of(GraphVertex vertex, Passage passage) {
        if (StockLayers.unwrap(vertex) instanceof TrainingFootprint own) {
            return Told.footprint(own, passage);
        }
        boolean calculates = StockLayers.unwrap(vertex) instanceof ElementWiseVertex;
        return new Footprint(passage.out(), 0, calculates ? passage.out() : 0, passage.in());
    }

    /**
     * The footprint of a preprocessor, which reshapes a layer's input: most copy it, and its gradient.
     *
     * @param below the layer that the input comes from; null for another node or a network input
     * @param own   whether the layer's own gradient is this library's
     */
    public static Footprint of(InputPreProcessor preprocessor, @Nullable Layer below, boolean own, Passage passage) {
        long values = passage.in();
        if (preprocessor instanceof FeedForwardToCnnPreProcessor || passage.input().type().equals(passage.output().type())) {
            return Footprint.NONE;
        }
        if (preprocessor instanceof CnnToFeedForwardPreProcessor) {
            // DL4J's convolutions give another order than rows need, and products of few rows give another one back.
            boolean turnsBack = own && DenseArithmetic.resultOrder(passage.input().number(), passage.input().rowLength()) == 'f';
            return new Footprint(below instanceof ConvolutionLayer ? values : 0, 0, 0, turnsBack ? values : 0);
        }
        if (preprocessor instanceof RnnToFeedForwardPreProcessor) {
            return new Footprint(2 * values, 0, 0, values);
        }
        return new Footprint(values, 0, 2 * values, values);
    }
}
