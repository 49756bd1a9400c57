package io.github.dl4jlora.benchmarks;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.conf.LayerType;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Scaling;
import org.deeplearning4j.nn.conf.ConvolutionMode;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.EmbeddingSequenceLayer;
import org.deeplearning4j.nn.conf.layers.GlobalPoolingLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.PoolingType;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.conf.layers.SelfAttentionLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.weights.WeightInit;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.util.Locale;

/**
 * A network of convolutions, LSTMs, an embedding or attention that is compared with PyTorch, by {@link PeerChild} and layers.py:
 * LoRA of rank 8 on these layers, a trained output layer of ten classes, Adam.
 */
enum PeerTask {

    CONVOLUTIONS_64(LayerType.CONVOLUTION, 64, 32, 16),
    CONVOLUTIONS_128(LayerType.CONVOLUTION, 128, 16, 32),
    LSTM_32(LayerType.RECURRENT, 256, 64, 32),
    LSTM_8(LayerType.RECURRENT, 256, 64, 8),
    EMBEDDING(LayerType.EMBEDDING, 128, 64, 32),
    ATTENTION(LayerType.ATTENTION, 256, 64, 32);

    private static final int CLASSES = 10;
    private static final int WORDS = 20_000;
    private static final int HEADS = 8;
    private static final int RANK = 8;
    private static final int ALPHA = 16;
    private static final String HEAD = "head";

    private final LayerType adapted;
    private final int width;
    private final int extent;
    private final int batch;

    /**
     * @param width  channels, units or values of a word; but for the last, as many as inputs
     * @param extent width and height of an image, or steps of a sequence
     */
    PeerTask(LayerType adapted, int width, int extent, int batch) {
        this.adapted = adapted;
        this.width = width;
        this.extent = extent;
        this.batch = batch;
    }

    /** The kind of its layers with LoRA. */
    LayerType adapted() {
        return adapted;
    }

    private boolean answersEachStep() {
        return adapted == LayerType.RECURRENT;
    }

    int batch() {
        return batch;
    }

    String title() {
        return switch (adapted) {
            case CONVOLUTION -> "three 3×3 convolutions, " + width + " channels, " + extent + "×" + extent + " images";
            case RECURRENT -> "two LSTM layers of " + width + " units, " + extent + " steps";
            case EMBEDDING -> String.format(Locale.ROOT, "an embedding of %,d words in %d values, %d words each", WORDS, width,
                    extent);
            case ATTENTION -> "self-attention of " + HEADS + " heads of " + width / HEADS + ", " + width + " inputs, " + extent
                    + " steps";
            default -> throw new AssertionError(adapted);
        } + ", batch " + batch;
    }

    /**
     * @param threads PyTorch's number of threads, or {@code default}
     * @return arguments of layers.py
     */
    String[] arguments(Side side, String threads) {
        return new String[] {adapted.name().toLowerCase(Locale.ROOT), String.valueOf(width), String.valueOf(extent),
            String.valueOf(batch), String.valueOf(RANK), String.valueOf(ALPHA),
            side == Side.PYTORCH_TUNED ? "tuned" : "plain", threads};
    }

    MultiLayerNetwork base() {
        NeuralNetConfiguration.ListBuilder list = new NeuralNetConfiguration.Builder().seed(1).updater(new Adam(1e-4))
                .convolutionMode(ConvolutionMode.Same).list();
        InputType input = firstLayers(list);
        if (answersEachStep()) {
            list.layer(new RnnOutputLayer.Builder(LossFunction.MCXENT).name(HEAD).nOut(CLASSES)
                    .activation(Activation.SOFTMAX).build());
        } else {
            list.layer(new GlobalPoolingLayer.Builder(PoolingType.AVG).build())
                    .layer(new OutputLayer.Builder(LossFunction.MCXENT).name(HEAD).nOut(CLASSES)
                            .activation(Activation.SOFTMAX).build());
        }
        MultiLayerNetwork network = new MultiLayerNetwork(list.setInputType(input).build());
        network.init();
        return network;
    }

    private InputType firstLayers(NeuralNetConfiguration.ListBuilder list) {
        switch (adapted) {
            case CONVOLUTION -> {
                for (int i = 0; i < 3; i++) {
                    list.layer(new ConvolutionLayer.Builder(3, 3).nOut(width).weightInit(WeightInit.RELU)
                            .activation(Activation.RELU).build());
                }
                return InputType.convolutional(extent, extent, width);
            }
            case RECURRENT -> {
                for (int i = 0; i < 2; i++) {
                    list.layer(new LSTM.Builder().nOut(width).activation(Activation.TANH).build());
                }
                return InputType.recurrent(width, extent);
            }
            case EMBEDDING -> {
                list.layer(new EmbeddingSequenceLayer.Builder().nIn(WORDS).nOut(width).inputLength(extent).build());
                return InputType.recurrent(WORDS, extent);
            }
            case ATTENTION -> {
                list.layer(new SelfAttentionLayer.Builder().nOut(width).nHeads(HEADS).projectInput(true).build());
                return InputType.recurrent(width, extent);
            }
            default -> throw new AssertionError(adapted);
        }
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
        INDArray features = switch (adapted) {
            case CONVOLUTION -> Nd4j.rand(DataType.FLOAT, batch, width, extent, extent);
            case EMBEDDING -> Nd4j.math().floor(Nd4j.rand(DataType.FLOAT, batch, extent).muli(WORDS));
            // Scores that differ, so that the gradients of Wq and Wk are more than rounding.
            case ATTENTION -> Nd4j.randn(DataType.FLOAT, batch, width, extent);
            default -> Nd4j.rand(DataType.FLOAT, batch, width, extent);
        };
        INDArray labels = answersEachStep() ? Nd4j.zeros(DataType.FLOAT, batch, CLASSES, extent)
                : Nd4j.zeros(DataType.FLOAT, batch, CLASSES);
        for (int example = 0; example < batch; example++) {
            for (int step = 0; step < (answersEachStep() ? extent : 1); step++) {
                int[] at = {example, (example + step) % CLASSES, step};
                labels.putScalar(answersEachStep() ? at : new int[] {at[0], at[1]}, 1);
            }
        }
        return new DataSet(features, labels);
    }
}
