package io.github.dl4jlora.layer;

import io.github.dl4jlora.Networks;
import org.deeplearning4j.nn.conf.CNN2DFormat;
import org.deeplearning4j.nn.conf.ConvolutionMode;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.Convolution1D;
import org.deeplearning4j.nn.conf.layers.Convolution1DLayer;
import org.deeplearning4j.nn.conf.layers.Convolution3D;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.Deconvolution2D;
import org.deeplearning4j.nn.conf.layers.Deconvolution3D;
import org.deeplearning4j.nn.conf.layers.DepthwiseConvolution2D;
import org.deeplearning4j.nn.conf.layers.EmbeddingLayer;
import org.deeplearning4j.nn.conf.layers.EmbeddingSequenceLayer;
import org.deeplearning4j.nn.conf.layers.FeedForwardLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.util.Random;

/** Small networks of layers that have kernels, one for every way in which such a layer differs. */
enum KernelVariant {

    SEQUENCES_TRUNCATED(sequence(3, 1, 1, ConvolutionMode.Truncate)),
    SEQUENCES_SAME_STRIDED(sequence(3, 2, 1, ConvolutionMode.Same)),
    SEQUENCES_CAUSAL_DILATED(sequence(2, 1, 2, ConvolutionMode.Causal)),
    /** DL4J's own backward pass of these fails: finite differences are the only oracle. */
    SEQUENCES_CHANNELS_LAST(sequence(3, 1, 1, ConvolutionMode.Same).rnnDataFormat(RNNFormat.NWC)),
    IMAGES_TRUNCATED(image(2, 1, 1, ConvolutionMode.Truncate)),
    IMAGES_PADDED_STRIDED(image(3, 2, 1, ConvolutionMode.Truncate).padding(1, 1)),
    IMAGES_SAME(image(3, 1, 1, ConvolutionMode.Same)),
    IMAGES_DILATED_WITHOUT_BIAS(image(2, 1, 2, ConvolutionMode.Truncate).hasBias(false)),
    IMAGES_CHANNELS_LAST(image(3, 1, 1, ConvolutionMode.Same).dataFormat(CNN2DFormat.NHWC)),
    VOLUMES_TRUNCATED(volume(2, 1, 1, ConvolutionMode.Truncate)),
    VOLUMES_SAME_STRIDED(volume(3, 2, 1, ConvolutionMode.Same)),
    VOLUMES_CHANNELS_LAST(volume(2, 1, 1, ConvolutionMode.Same).dataFormat(Convolution3D.DataFormat.NDHWC)),
    TRANSPOSED_IMAGES_PADDED_STRIDED(transposed(3, 2, 1, ConvolutionMode.Truncate).padding(1, 1)),
    TRANSPOSED_IMAGES_SAME(transposed(3, 2, 1, ConvolutionMode.Same)),
    TRANSPOSED_IMAGES_DILATED_WITHOUT_BIAS(transposed(2, 1, 2, ConvolutionMode.Truncate).hasBias(false)),
    TRANSPOSED_IMAGES_CHANNELS_LAST(transposed(3, 2, 1, ConvolutionMode.Same).dataFormat(CNN2DFormat.NHWC)),
    TRANSPOSED_VOLUMES_TRUNCATED(transposed(1, Convolution3D.DataFormat.NCDHW)),
    TRANSPOSED_VOLUMES_STRIDED_CHANNELS_LAST(transposed(2, Convolution3D.DataFormat.NDHWC)),
    DEPTHWISE_IMAGES_PADDED_STRIDED(depthwise(3, 2, ConvolutionMode.Truncate).padding(1, 1)),
    DEPTHWISE_IMAGES_SAME_WITHOUT_BIAS(depthwise(2, 1, ConvolutionMode.Same).depthMultiplier(2).hasBias(false)),
    DEPTHWISE_IMAGES_CHANNELS_LAST(depthwise(3, 1, ConvolutionMode.Same).depthMultiplier(2).dataFormat(CNN2DFormat.NHWC)),
    WORDS(new EmbeddingLayer.Builder().hasBias(true)),
    SEQUENCES_OF_WORDS(words(RNNFormat.NCW)),
    SEQUENCES_OF_WORDS_CHANNELS_LAST(words(RNNFormat.NWC).hasBias(true));

    static final int ROWS = 5;
    static final int CHANNELS = 2;
    static final int STEPS = 6;
    private static final int VOCABULARY = 7;
    private static final int CLASSES = 3;

    private final FeedForwardLayer.Builder<?> builder;

    KernelVariant(FeedForwardLayer.Builder<?> builder) {
        this.builder = builder;
    }

    private static Convolution1DLayer.Builder sequence(int kernel, int stride, int dilation, ConvolutionMode mode) {
        return (Convolution1DLayer.Builder) new Convolution1D.Builder().kernelSize(kernel).stride(stride).dilation(dilation)
                .convolutionMode(mode);
    }

    private static ConvolutionLayer.Builder image(int kernel, int stride, int dilation, ConvolutionMode mode) {
        return new ConvolutionLayer.Builder(kernel, kernel).stride(stride, stride).dilation(dilation, dilation)
                .convolutionMode(mode);
    }

    private static Convolution3D.Builder volume(int kernel, int stride, int dilation, ConvolutionMode mode) {
        return (Convolution3D.Builder) new Convolution3D.Builder(kernel, kernel, kernel).stride(stride, stride, stride)
                .dilation(dilation, dilation, dilation).convolutionMode(mode);
    }

    private static Deconvolution2D.Builder transposed(int kernel, int stride, int dilation, ConvolutionMode mode) {
        Deconvolution2D.Builder builder = new Deconvolution2D.Builder(kernel, kernel).stride(stride, stride)
                .convolutionMode(mode);
        builder.setDilation(dilation, dilation);
        return builder;
    }

    private static Deconvolution3D.Builder transposed(int stride, Convolution3D.DataFormat format) {
        // DL4J infers sizes in the wrong order, so that only cubes can go on.
        return new Deconvolution3D.Builder().kernelSize(2, 2, 2).stride(stride, stride, stride).dataFormat(format);
    }

    private static DepthwiseConvolution2D.Builder depthwise(int kernel, int stride, ConvolutionMode mode) {
        return new DepthwiseConvolution2D.Builder(kernel, kernel).stride(stride, stride).convolutionMode(mode);
    }

    private static EmbeddingSequenceLayer.Builder words(RNNFormat format) {
        return new EmbeddingSequenceLayer.Builder().inputLength(STEPS).outputDataFormat(format);
    }

    boolean isSequence() {
        return name().startsWith("SEQUENCES");
    }

    private boolean isTransposed() {
        return name().startsWith("TRANSPOSED");
    }

    /** Whether it takes DoRA, and dropout of the path. */
    boolean hasPath() {
        return !isTransposed() && !name().startsWith("DEPTHWISE");
    }

    boolean isEmbedding() {
        return name().contains("WORDS");
    }

    private boolean isChannelsLast() {
        return name().endsWith("LAST");
    }

    private RNNFormat format() {
        return isChannelsLast() ? RNNFormat.NWC : RNNFormat.NCW;
    }

    private InputType inputType() {
        if (isEmbedding()) {
            return isSequence() ? InputType.recurrent(VOCABULARY, STEPS, format()) : InputType.feedForward(VOCABULARY);
        }
        if (isSequence()) {
            return InputType.recurrent(CHANNELS, STEPS, format());
        }
        int side = isTransposed() ? 2 : 4;
        return name().contains("IMAGES")
                ? InputType.convolutional(side + 3, side + 2, CHANNELS, isChannelsLast() ? CNN2DFormat.NHWC : CNN2DFormat.NCHW)
                : InputType.convolutional3D(isChannelsLast() ? Convolution3D.DataFormat.NDHWC : Convolution3D.DataFormat.NCDHW,
                        side, side, side, CHANNELS);
    }

    /** One or two layers of the kind, then an output layer; the layers of the kind are named kernel1, kernel2. */
    MultiLayerNetwork base(DataType type, Activation activation) {
        NeuralNetConfiguration.ListBuilder layers = new NeuralNetConfiguration.Builder().seed(12).dataType(type)
                .updater(new Sgd(0.1))
                .activation(activation).biasInit(0.3).list();
        layers.layer(builder.nIn(isEmbedding() ? VOCABULARY : 0).nOut(3).name("kernel1").build());
        if (!isEmbedding()) {
            layers.layer(builder.nIn(0).nOut(2).name("kernel2").build());
        }
        if (isSequence()) {
            layers.layer(new RnnOutputLayer.Builder(LossFunction.MCXENT).name("out").nOut(CLASSES).dataFormat(format())
                    .activation(Activation.SOFTMAX).build());
        } else {
            layers.layer(new OutputLayer.Builder(LossFunction.MCXENT).name("out").nOut(CLASSES)
                    .activation(Activation.SOFTMAX).build());
        }
        return Networks.of(layers.setInputType(inputType()).build());
    }

    INDArray features(DataType type) {
        if (isEmbedding()) {
            INDArray words = isSequence() ? Nd4j.create(type, ROWS, STEPS) : Nd4j.create(type, ROWS, 1);
            Random random = new Random(3);
            for (int i = 0; i < words.length(); i++) {
                words.putScalar(i, random.nextInt(VOCABULARY - 1));
            }
            return words;
        }
        return Networks.random(type, 4, withRows(inputType().getShape()));
    }

    private static long[] withRows(long[] shape) {
        long[] full = new long[shape.length + 1];
        full[0] = ROWS;
        System.arraycopy(shape, 0, full, 1, shape.length);
        return full;
    }

    DataSet data(MultiLayerNetwork network) {
        DataType type = network.params().dataType();
        INDArray features = features(type);
        INDArray output = network.output(features);
        INDArray labels = Nd4j.create(type, output.shape());
        Random random = new Random(5);
        int classDimension = output.rank() == 2 || !isChannelsLast() ? 1 : 2;
        long steps = output.length() / ROWS / CLASSES;
        for (int row = 0; row < ROWS; row++) {
            for (int step = 0; step < steps; step++) {
                int label = random.nextInt(CLASSES);
                if (output.rank() == 2) {
                    labels.putScalar(row, label, 1);
                } else if (classDimension == 1) {
                    labels.putScalar(row, label, step, 1);
                } else {
                    labels.putScalar(row, step, label, 1);
                }
            }
        }
        return new DataSet(features, labels);
    }
}
