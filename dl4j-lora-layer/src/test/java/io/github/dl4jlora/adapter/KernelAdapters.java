package io.github.dl4jlora.adapter;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.variant.PlainLoRA;
import io.github.dl4jlora.variant.Variant;
import org.deeplearning4j.nn.conf.ConvolutionMode;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.Convolution1D;
import org.deeplearning4j.nn.conf.layers.Convolution1DLayer;
import org.deeplearning4j.nn.conf.layers.Convolution3D;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.EmbeddingSequenceLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Sgd;

import java.util.LinkedHashMap;
import java.util.Map;

/** Networks of a single layer that PyTorch has too, named kernel1. */
enum KernelAdapters {

    CONV1D(new Convolution1D.Builder().kernelSize(3).stride(2).padding(1).nIn(4).nOut(5).name("kernel1").build(),
            InputType.recurrent(4, 9), new long[] {2, 4, 9}),
    CONV2D(new ConvolutionLayer.Builder(3, 2).stride(2, 1).padding(1, 0).nIn(4).nOut(5).name("kernel1").build(),
            InputType.convolutional(7, 6, 4), new long[] {2, 4, 7, 6}),
    CONV3D(new Convolution3D.Builder(2, 3, 2).stride(1, 2, 1).padding(0, 1, 1).nIn(4).nOut(5).name("kernel1").build(),
            InputType.convolutional3D(5, 6, 4, 4), new long[] {2, 4, 5, 6, 4}),
    EMBEDDING(new EmbeddingSequenceLayer.Builder().nIn(9).nOut(5).inputLength(4).outputDataFormat(RNNFormat.NWC)
            .name("kernel1").build(), InputType.recurrent(9, 4, RNNFormat.NWC), new long[] {2, 4});

    final long[] fileShapeOfA;
    private final Layer layer;
    private final InputType type;
    private final long[] inputShape;

    KernelAdapters(Layer layer, InputType type, long[] inputShape) {
        this.layer = layer;
        this.type = type;
        this.inputShape = inputShape;
        long[] kernel = kernel();
        this.fileShapeOfA = new long[kernel.length + 2];
        fileShapeOfA[0] = 3;
        fileShapeOfA[1] = layer instanceof EmbeddingSequenceLayer ? 9 : 4;
        System.arraycopy(kernel, 0, fileShapeOfA, 2, kernel.length);
    }

    private long[] kernel() {
        if (!(layer instanceof ConvolutionLayer convolution)) {
            return new long[0];
        }
        return layer instanceof Convolution1DLayer ? new long[] {convolution.getKernelSize()[0]}
                : longs(convolution.getKernelSize());
    }

    private static long[] longs(int[] values) {
        long[] longs = new long[values.length];
        for (int i = 0; i < longs.length; i++) {
            longs[i] = values[i];
        }
        return longs;
    }

    MultiLayerNetwork base() {
        return Networks.of(new NeuralNetConfiguration.Builder().seed(12).dataType(DataType.DOUBLE)
                .updater(new Sgd(0.1)).activation(Activation.IDENTITY).convolutionMode(ConvolutionMode.Truncate)
                .biasInit(0.3).list()
                .layer(layer.clone()).setInputType(type).build());
    }

    /** Rank 3, A and B away from zero. */
    MultiLayerNetwork adapted(MultiLayerNetwork base) {
        return adapted(base, new PlainLoRA());
    }

    /** The same of a variant, all that trains away from its start. */
    MultiLayerNetwork adapted(MultiLayerNetwork base, Variant variant) {
        MultiLayerNetwork tuned = LoRA.apply(base, LoRAConfig.builder().rank(3).alpha(2).scaling(Scaling.ALPHA_OVER_RANK)
                .variant(variant).targets("kernel1").build());
        tuned.params().assign(Networks.random(DataType.DOUBLE, 9, tuned.params().shape()));
        return tuned;
    }

    INDArray input() {
        return this == EMBEDDING ? Nd4j.createFromArray(new double[][] {{0, 3, 3, 8}, {5, 1, 0, 7}})
                : Networks.random(DataType.DOUBLE, 4, inputShape);
    }

    /** A gradient of the layer's output. */
    INDArray outputGradient(MultiLayerNetwork base) {
        return Networks.random(DataType.DOUBLE, 6, base.output(input()).shape());
    }

    /** What PyTorch needs to know of the base. */
    Map<String, INDArray> torchState(MultiLayerNetwork base) {
        Map<String, INDArray> state = new LinkedHashMap<>();
        state.put("x", input());
        state.put("dy", outputGradient(base));
        state.put("weight", torchWeight(base));
        if (base.getParam("0_b") != null) {
            state.put("bias", base.getParam("0_b").reshape(base.getParam("0_b").length()));
        }
        if (layer instanceof ConvolutionLayer convolution) {
            int dimensions = kernel().length;
            state.put("stride", sizes(convolution.getStride(), dimensions));
            state.put("padding", sizes(convolution.getPadding(), dimensions));
        }
        return state;
    }

    /** In PyTorch's shape, a copy; DL4J lays one-dimensional weights out as {@code [kernel, nIn, nOut]} at all times. */
    INDArray torchWeight(MultiLayerNetwork network) {
        INDArray w = network.getParam("0_W");
        return this == CONV1D ? w.reshape('c', 3, 4, 5).permute(2, 1, 0).dup('c') : w.dup('c');
    }

    private static INDArray sizes(int[] values, int dimensions) {
        double[] first = new double[dimensions];
        for (int i = 0; i < dimensions; i++) {
            first[i] = values[i];
        }
        return Nd4j.createFromArray(first);
    }
}
