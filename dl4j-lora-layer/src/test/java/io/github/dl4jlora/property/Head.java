package io.github.dl4jlora.property;

import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.layers.CenterLossOutputLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.LossLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnLossLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

/** What a network ends with. */
enum Head {
    OUTPUT, OUTPUT_SOFTMAX, CENTER_LOSS, LOSS, RNN_OUTPUT, RNN_OUTPUT_SIGMOID, RNN_LOSS;

    private static final int CLASSES = 2;

    Layer layer(RNNFormat format) {
        return switch (this) {
            case OUTPUT -> new OutputLayer.Builder(LossFunction.MSE).nOut(CLASSES).activation(Activation.IDENTITY).build();
            case OUTPUT_SOFTMAX -> new OutputLayer.Builder(LossFunction.MCXENT).nOut(CLASSES)
                    .activation(Activation.SOFTMAX).build();
            case CENTER_LOSS -> new CenterLossOutputLayer.Builder(LossFunction.MCXENT).nOut(CLASSES)
                    .activation(Activation.SOFTMAX).lambda(0.1).build();
            // Of any other activation DL4J's loss layer computes the score twice over, in place.
            case LOSS -> new LossLayer.Builder(LossFunction.MSE).activation(Activation.IDENTITY).build();
            case RNN_OUTPUT -> new RnnOutputLayer.Builder(LossFunction.MSE).nOut(CLASSES).activation(Activation.IDENTITY)
                    .dataFormat(format).build();
            case RNN_OUTPUT_SIGMOID -> new RnnOutputLayer.Builder(LossFunction.XENT).nOut(CLASSES).activation(Activation.SIGMOID)
                    .dataFormat(format).build();
            case RNN_LOSS -> new RnnLossLayer.Builder(LossFunction.MSE).activation(Activation.IDENTITY)
                    .dataFormat(format).build();
        };
    }

    boolean isForSequences() {
        return this == RNN_OUTPUT || this == RNN_OUTPUT_SIGMOID || this == RNN_LOSS;
    }

    boolean hasParameters() {
        return this != LOSS && this != RNN_LOSS;
    }

    /** What computes it if it is adapted. */
    Settings.By by() {
        return this == CENTER_LOSS ? Settings.By.EFFECTIVE_WEIGHTS : Settings.By.PRODUCT;
    }

    /** One for the same labels whose weights take all settings. */
    Head adaptable() {
        return switch (this) {
            case CENTER_LOSS -> OUTPUT_SOFTMAX;
            case LOSS -> OUTPUT;
            case RNN_LOSS -> RNN_OUTPUT;
            default -> this;
        };
    }

    /** One for the same labels where the signal is flat. */
    Head flat() {
        return switch (this) {
            case RNN_OUTPUT, RNN_OUTPUT_SIGMOID -> OUTPUT;
            case RNN_LOSS -> LOSS;
            default -> this;
        };
    }

    /** Overwrites numbers with labels of the kind this loss wants. */
    void makeLabels(INDArray numbers) {
        switch (this) {
            case OUTPUT_SOFTMAX, CENTER_LOSS -> {
                for (long i = 0; i < numbers.rows(); i++) {
                    double first = numbers.getDouble(i, 0) > 0 ? 1 : 0;
                    numbers.putScalar(i, 0, first);
                    numbers.putScalar(i, 1, 1 - first);
                }
            }
            case RNN_OUTPUT_SIGMOID -> numbers.assign(numbers.gt(0).castTo(numbers.dataType()));
            default -> numbers.muli(0.7);
        }
    }
}
