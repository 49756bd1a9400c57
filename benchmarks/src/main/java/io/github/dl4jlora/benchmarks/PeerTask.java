package io.github.dl4jlora.benchmarks;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.conf.LayerType;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Scaling;
import org.deeplearning4j.nn.conf.ConvolutionMode;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.GlobalPoolingLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.PoolingType;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.weights.WeightInit;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

/**
 * A network of convolutions or LSTMs that is compared with PyTorch, by {@link PeerChild} and layers.py: LoRA of rank 8 on these
 * layers, a trained output layer of ten classes, Adam.
 */
enum PeerTask {

    CONVOLUTIONS_64(LayerType.CONVOLUTION, 64, 32, 16),
    CONVOLUTIONS_128(LayerType.CONVOLUTION, 128, 16, 32),
    LSTM_32(LayerType.RECURRENT, 256, 64, 32),
    LSTM_8(LayerType.RECURRENT, 256, 64, 8);

    private static final int CLASSES = 10;
    private static final int RANK = 8;
    private static final int ALPHA = 16;
    private static final String HEAD = "head";

    private final LayerType adapted;
    private final int width;
    private final int extent;
    private final int batch;

    /**
     * @param width  channels or units, as many as inputs
     * @param extent width and height of an image, or steps of a sequence
     */
    PeerTask(LayerType adapted, int width, int extent, int batch) {
        this.adapted = adapted;
        this.width = width;
        this.extent = extent;
        this.batch = batch;
    }

    boolean isConvolution() {
        return adapted == LayerType.CONVOLUTION;
    }

    int batch() {
        return batch;
    }

    String title() {
        return (isConvolution() ? "three 3×3 convolutions, " + width + " channels, " + extent + "×" + extent + " images"
                : "two LSTM layers of " + width + " units, " + extent + " steps") + ", batch " + batch;
    }

    /**
     * @param threads PyTorch's number of threads, or {@code default}
     * @return arguments of layers.py
     */
    String[] arguments(Side side, String threads) {
        return new String[] {isConvolution() ? "convolution" : "lstm", String.valueOf(width), String.valueOf(extent),
            String.valueOf(batch), String.valueOf(RANK), String.valueOf(ALPHA),
            side == Side.PYTORCH_TUNED ? "tuned" : "plain", threads};
    }

    MultiLayerNetwork base() {
        NeuralNetConfiguration.ListBuilder list = new NeuralNetConfiguration.Builder().seed(1).updater(new Adam(1e-4))
                .convolutionMode(ConvolutionMode.Same).list();
        if (isConvolution()) {
            for (int i = 0; i < 3; i++) {
                list.layer(new ConvolutionLayer.Builder(3, 3).nOut(width).weightInit(WeightInit.RELU)
                        .activation(Activation.RELU).build());
            }
            list.layer(new GlobalPoolingLayer.Builder(PoolingType.AVG).build())
                    .layer(new OutputLayer.Builder(LossFunction.MCXENT).name(HEAD).nOut(CLASSES)
                            .activation(Activation.SOFTMAX).build())
                    .setInputType(InputType.convolutional(extent, extent, width));
        } else {
            for (int i = 0; i < 2; i++) {
                list.layer(new LSTM.Builder().nOut(width).activation(Activation.TANH).build());
            }
            list.layer(new RnnOutputLayer.Builder(LossFunction.MCXENT).name(HEAD).nOut(CLASSES)
                            .activation(Activation.SOFTMAX).build())
                    .setInputType(InputType.recurrent(width, extent));
        }
        MultiLayerNetwork network = new MultiLayerNetwork(list.build());
        network.init();
        return network;
    }

    MultiLayerNetwork network(Side side) {
        return adapted(base(), side);
    }

    MultiLayerNetwork adapted(MultiLayerNetwork base, Side side) {
        return LoRA.apply(base, side.config(LoRAConfig.builder().rank(RANK).alpha(ALPHA).scaling(Scaling.ALPHA_OVER_RANK)
                .targets(adapted).trainable(HEAD)));
    }

    /** Example n, in a sequence at step t, is of class (n + t) mod 10. */
    DataSet data() {
        Nd4j.getRandom().setSeed(7);
        INDArray features = isConvolution() ? Nd4j.rand(DataType.FLOAT, batch, width, extent, extent)
                : Nd4j.rand(DataType.FLOAT, batch, width, extent);
        INDArray labels = isConvolution() ? Nd4j.zeros(DataType.FLOAT, batch, CLASSES)
                : Nd4j.zeros(DataType.FLOAT, batch, CLASSES, extent);
        for (int example = 0; example < batch; example++) {
            for (int step = 0; step < (isConvolution() ? 1 : extent); step++) {
                int[] at = {example, (example + step) % CLASSES, step};
                labels.putScalar(isConvolution() ? new int[] {at[0], at[1]} : at, 1);
            }
        }
        return new DataSet(features, labels);
    }
}
