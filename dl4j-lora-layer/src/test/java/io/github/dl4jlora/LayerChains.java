package io.github.dl4jlora;

import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
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

    /** {@return random values} */
    public static INDArray features(long seed, long... shape) {
        return Networks.random(DataType.DOUBLE, seed, shape);
    }
}
