package io.github.dl4jlora.onnx;

import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.ActivationLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.activations.BaseActivationFunction;
import org.nd4j.linalg.activations.IActivation;
import org.nd4j.linalg.activations.impl.ActivationELU;
import org.nd4j.linalg.activations.impl.ActivationGELU;
import org.nd4j.linalg.activations.impl.ActivationLReLU;
import org.nd4j.linalg.activations.impl.ActivationRReLU;
import org.nd4j.linalg.activations.impl.ActivationReLU;
import org.nd4j.linalg.activations.impl.ActivationThresholdedReLU;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.common.primitives.Pair;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;

import static org.assertj.core.api.Assertions.assertThatThrownBy;

class ActivationsTest {

    @ParameterizedTest
    @EnumSource
    void everyActivationComputesTheSame(Activation activation) throws IOException {
        agrees(activation.getActivationFunction());
    }

    static List<IActivation> withSettings() {
        return List.of(new ActivationELU(0.3), new ActivationGELU(true), new ActivationGELU(false), new ActivationLReLU(0.2),
                new ActivationRReLU(0.1, 0.7), new ActivationThresholdedReLU(0.4), new ActivationReLU(1.5, null, null),
                new ActivationReLU(null, null, 0.3), new ActivationReLU(2.0, 0.5, 0.1), new ActivationReLU(null, -0.5, null),
                new ActivationReLU(0.7, 0.0, 0.2));
    }

    @ParameterizedTest
    @MethodSource("withSettings")
    void settingsOfActivationsCount(IActivation activation) throws IOException {
        agrees(activation);
    }

    static List<InputType> shapes() {
        return List.of(InputType.feedForward(3), InputType.recurrent(3, 5, RNNFormat.NCW),
                InputType.recurrent(3, 5, RNNFormat.NWC), InputType.convolutional(4, 5, 3),
                InputType.convolutional3D(2, 4, 5, 3));
    }

    @ParameterizedTest
    @MethodSource("shapes")
    void softmaxOfAnActivationLayerTakesTheSameDimensionInEachShape(InputType type) throws IOException {
        MultiLayerNetwork network = Samples.network(1, type, new ActivationLayer(Activation.SOFTMAX));
        for (int batch : new int[]{3, 1}) {
            InRuntime.agrees(network, OnnxExport.of(network).inputTypes(type), Samples.input(type, batch));
        }
    }

    @Test
    void anotherActivationIsRefused() {
        MultiLayerNetwork network = Samples.network(1, InputType.feedForward(3), new ActivationLayer(new Sine()));

        assertThatThrownBy(() -> OnnxExport.of(network).inputTypes(InputType.feedForward(3)).write(Path.of("never.onnx")))
                .isInstanceOf(OnnxExportException.class).hasMessageContaining("Layer \"layer0\"").hasMessageContaining("Sine");
    }

    private static void agrees(IActivation activation) throws IOException {
        InputType type = InputType.feedForward(61);
        MultiLayerNetwork network = Samples.network(1, type, new ActivationLayer(activation));
        INDArray input = Nd4j.linspace(DataType.FLOAT, -6, 0.1, 2 * 61).reshape(2, 61);
        InRuntime.agrees(network, OnnxExport.of(network).inputTypes(type), input);

        MultiLayerNetwork dense = Samples.network(2, type, new DenseLayer.Builder().nOut(7).activation(activation).build());
        InRuntime.agrees(dense, OnnxExport.of(dense).inputTypes(type), input);
    }

    /** Not one of DL4J's. */
    private static final class Sine extends BaseActivationFunction {

        private static final long serialVersionUID = 1;

        @Override
        public INDArray getActivation(INDArray in, boolean training) {
            return in;
        }

        @Override
        public Pair<INDArray, INDArray> backprop(INDArray in, INDArray epsilon) {
            return Pair.of(epsilon, null);
        }
    }
}
