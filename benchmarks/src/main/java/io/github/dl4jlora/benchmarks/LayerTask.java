package io.github.dl4jlora.benchmarks;

import io.github.dl4jlora.conf.LayerType;
import org.deeplearning4j.nn.conf.ConvolutionMode;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.Convolution1D;
import org.deeplearning4j.nn.conf.layers.Convolution3D;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.EmbeddingSequenceLayer;
import org.deeplearning4j.nn.conf.layers.GlobalPoolingLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.PoolingType;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.conf.layers.SelfAttentionLayer;
import org.deeplearning4j.nn.conf.layers.Subsampling3DLayer;
import org.deeplearning4j.nn.conf.layers.SubsamplingLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.weights.WeightInit;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

/** A network whose first layers are not dense: these are adapted, or, for comparison, everything is trained. */
enum LayerTask {

    IMAGES("four 3×3 convolutions, 32 to 128 channels, 32×32 images", LayerType.CONVOLUTION, 32),
    IMAGES_128("the same, batch 128", LayerType.CONVOLUTION, 128),
    SEQUENCES("three convolutions over 128 steps, kernel 5, 64 channels", LayerType.CONVOLUTION, 32),
    VOLUMES("two 3×3×3 convolutions, 16 channels, 16×16×16 volumes", LayerType.CONVOLUTION, 32),
    EMBEDDING("an embedding of 20,000 words in 128 values, 64 words each", LayerType.EMBEDDING, 32),
    LSTM("an LSTM of 256 units, 256 inputs, 50 steps", LayerType.RECURRENT, 32),
    ATTENTION("self-attention of 4 heads of 64, 256 inputs, 64 steps", LayerType.ATTENTION, 32);

    private static final int CLASSES = 10;
    private static final int WORDS = 20_000;

    private final String title;
    private final LayerType adapted;
    private final int batch;

    LayerTask(String title, LayerType adapted, int batch) {
        this.title = title;
        this.adapted = adapted;
        this.batch = batch;
    }

    String title() {
        return title;
    }

    LayerType adapted() {
        return adapted;
    }

    MultiLayerNetwork base() {
        NeuralNetConfiguration.ListBuilder list = new NeuralNetConfiguration.Builder().seed(1).updater(new Adam(1e-3))
                .weightInit(WeightInit.RELU).activation(Activation.RELU).convolutionMode(ConvolutionMode.Same).list();
        InputType input = firstLayers(list);
        if (answersEachStep()) {
            list.layer(new RnnOutputLayer.Builder(LossFunction.MCXENT).nOut(CLASSES).activation(Activation.SOFTMAX).build());
        } else {
            list.layer(new DenseLayer.Builder().nOut(64).build())
                    .layer(new OutputLayer.Builder(LossFunction.MCXENT).nOut(CLASSES).activation(Activation.SOFTMAX).build());
        }
        MultiLayerNetwork network = new MultiLayerNetwork(list.setInputType(input).build());
        network.init();
        return network;
    }

    private boolean answersEachStep() {
        return this == LSTM || this == ATTENTION;
    }

    /** The size of one example. */
    InputType input() {
        return firstLayers(new NeuralNetConfiguration.Builder().list());
    }

    private InputType firstLayers(NeuralNetConfiguration.ListBuilder list) {
        switch (this) {
            case IMAGES, IMAGES_128 -> {
                for (int channels : new int[] {32, 64, 128}) {
                    list.layer(new ConvolutionLayer.Builder(3, 3).nOut(channels).build())
                            .layer(new SubsamplingLayer.Builder(PoolingType.MAX).kernelSize(2, 2).stride(2, 2).build());
                }
                list.layer(new ConvolutionLayer.Builder(3, 3).nOut(128).build());
                return InputType.convolutional(32, 32, 3);
            }
            case SEQUENCES -> {
                for (int i = 0; i < 3; i++) {
                    list.layer(new Convolution1D.Builder().kernelSize(5).nOut(64).build());
                }
                list.layer(new GlobalPoolingLayer.Builder(PoolingType.AVG).build());
                return InputType.recurrent(32, 128);
            }
            case VOLUMES -> {
                for (int i = 0; i < 2; i++) {
                    list.layer(new Convolution3D.Builder(3, 3, 3).nOut(16).build())
                            .layer(new Subsampling3DLayer.Builder(PoolingType.MAX).kernelSize(2, 2, 2).stride(2, 2, 2).build());
                }
                return InputType.convolutional3D(16, 16, 16, 4);
            }
            case EMBEDDING -> {
                list.layer(new EmbeddingSequenceLayer.Builder().nIn(WORDS).nOut(128).inputLength(64).build())
                        .layer(new GlobalPoolingLayer.Builder(PoolingType.AVG).build());
                return InputType.recurrent(WORDS, 64);
            }
            case LSTM -> {
                list.layer(new LSTM.Builder().nOut(256).activation(Activation.TANH).build());
                return InputType.recurrent(256, 50);
            }
            case ATTENTION -> {
                list.layer(new SelfAttentionLayer.Builder().nOut(256).nHeads(4).projectInput(true).build());
                return InputType.recurrent(256, 64);
            }
        }
        throw new AssertionError(this);
    }

    DataSet data() {
        Nd4j.getRandom().setSeed(7);
        INDArray features = switch (this) {
            case IMAGES, IMAGES_128 -> Nd4j.rand(DataType.FLOAT, batch, 3, 32, 32);
            case SEQUENCES -> Nd4j.rand(DataType.FLOAT, batch, 32, 128);
            case VOLUMES -> Nd4j.rand(DataType.FLOAT, batch, 4, 16, 16, 16);
            case EMBEDDING -> Nd4j.math().floor(Nd4j.rand(DataType.FLOAT, batch, 64).muli(WORDS));
            case LSTM -> Nd4j.rand(DataType.FLOAT, batch, 256, 50);
            case ATTENTION -> Nd4j.rand(DataType.FLOAT, batch, 256, 64);
        };
        INDArray labels = answersEachStep() ? Nd4j.zeros(DataType.FLOAT, batch, CLASSES, features.size(2))
                : Nd4j.zeros(DataType.FLOAT, batch, CLASSES);
        for (int example = 0; example < batch; example++) {
            labels.slice(example).slice(example % CLASSES).assign(1);
        }
        return new DataSet(features, labels);
    }
}
