package io.github.dl4jlora;

import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.conf.preprocessor.CnnToFeedForwardPreProcessor;
import org.deeplearning4j.nn.conf.preprocessor.FeedForwardToCnnPreProcessor;
import org.deeplearning4j.nn.conf.preprocessor.FeedForwardToRnnPreProcessor;
import org.deeplearning4j.nn.conf.preprocessor.RnnToFeedForwardPreProcessor;
import org.junit.jupiter.params.provider.Arguments;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.util.ArrayList;
import java.util.List;

/** Networks in double precision of a dense layer "fc1" and, above it, layers of the type to be tested. */
public final class LayerChains {

    private LayerChains() {
    }

    /** {@return what all of them have: SGD and tanh} */
    public static NeuralNetConfiguration.Builder builder() {
        return new NeuralNetConfiguration.Builder().seed(5).dataType(DataType.DOUBLE).updater(new Sgd(0.1))
                .activation(Activation.TANH);
    }

    /** {@return fc1 of 9 outputs and the layers} */
    public static MultiLayerConfiguration chain(InputType input, Layer... layers) {
        List<Layer> all = new ArrayList<>(List.of(named(dense(9), "fc1")));
        all.addAll(List.of(layers));
        return builder().list(all.toArray(Layer[]::new)).setInputType(input).build();
    }

    /** {@return the layer, with the name} */
    public static Layer named(Layer layer, String name) {
        layer.setLayerName(name);
        return layer;
    }

    /** {@return a dense layer} */
    public static DenseLayer dense(int nOut) {
        return new DenseLayer.Builder().nOut(nOut).build();
    }

    /** {@return "fc1" for networks without an input type, of 5 inputs} */
    public static DenseLayer fc1(int nOut) {
        return new DenseLayer.Builder().nIn(5).nOut(nOut).name("fc1").build();
    }

    /** {@return a classifier of 3 classes} */
    public static OutputLayer output(String name) {
        return new OutputLayer.Builder(LossFunction.MCXENT).nOut(3).activation(Activation.SOFTMAX).name(name).build();
    }

    /** {@return a classifier "fc_out" for networks without an input type} */
    public static OutputLayer outputOf(int nIn) {
        OutputLayer output = output("fc_out");
        output.setNIn(nIn);
        return output;
    }

    /**
     * {@return name, data and configuration of fc1, a layer of sequences as "lora", and "fc_out"} Preprocessors by hand: DL4J's
     * input types forget the number of steps on their way through fc1.
     *
     * @param size what a step of the layer's output has
     */
    public static Arguments series(String name, int size, Layer layer) {
        layer.getOutputType(1, InputType.recurrent(9, 4));
        MultiLayerConfiguration conf = builder().list().layer(fc1(9)).layer(named(layer, "lora"))
                .layer(new RnnOutputLayer.Builder(LossFunction.MSE).dataFormat(RNNFormat.NCW).nIn(size).nOut(3)
                        .name("fc_out").build())
                .inputPreProcessor(0, new RnnToFeedForwardPreProcessor())
                .inputPreProcessor(1, new FeedForwardToRnnPreProcessor()).build();
        return Arguments.of(name, features(1, 3, 5, 4), features(2, 3, 3, 4), conf);
    }

    /** {@return the same for a layer of images} fc1's nine outputs are one of 3 × 3. */
    public static Arguments image(String name, int height, int width, int channels, Layer layer) {
        MultiLayerConfiguration conf = builder().list().layer(fc1(9)).layer(named(layer, "lora"))
                .layer(outputOf(height * width * channels)).inputPreProcessor(1, new FeedForwardToCnnPreProcessor(3, 3, 1))
                .inputPreProcessor(2, new CnnToFeedForwardPreProcessor(height, width, channels)).build();
        return Arguments.of(name, features(1, 3, 5), labels(), conf);
    }

    /** {@return random values} */
    public static INDArray features(long seed, long... shape) {
        return Networks.random(DataType.DOUBLE, seed, shape);
    }

    /** {@return an example of each class} */
    public static INDArray labels() {
        return Nd4j.eye(3).castTo(DataType.DOUBLE);
    }
}
