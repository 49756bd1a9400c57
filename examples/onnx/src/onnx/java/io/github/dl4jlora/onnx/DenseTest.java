package io.github.dl4jlora.onnx;

import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.layer.LowRankLayer;
import org.deeplearning4j.nn.conf.CNN2DFormat;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.ActivationLayer;
import org.deeplearning4j.nn.conf.layers.AutoEncoder;
import org.deeplearning4j.nn.conf.layers.CenterLossOutputLayer;
import org.deeplearning4j.nn.conf.layers.Convolution3D;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.DropoutLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.LossLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.PReLULayer;
import org.deeplearning4j.nn.conf.layers.misc.ElementWiseMultiplicationLayer;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayer;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayerWithBackprop;
import org.deeplearning4j.nn.conf.layers.misc.RepeatVector;
import org.deeplearning4j.nn.conf.layers.variational.VariationalAutoencoder;
import org.deeplearning4j.nn.conf.ocnn.OCNNOutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.io.IOException;
import java.nio.file.Path;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.params.provider.Arguments.arguments;

class DenseTest {

    private static final InputType ROW = InputType.feedForward(4);

    static Stream<Layer> layersOfRows() {
        return Stream.of(
                new DenseLayer.Builder().nOut(5).activation(Activation.TANH).build(),
                new DenseLayer.Builder().nOut(5).activation(Activation.SOFTMAX).hasBias(false).build(),
                new DenseLayer.Builder().nOut(5).activation(Activation.RELU).hasLayerNorm(true).build(),
                new DenseLayer.Builder().nOut(5).activation(Activation.ELU).hasLayerNorm(true).hasBias(false)
                        .dropOut(0.5).build(),
                new OutputLayer.Builder().nOut(3).activation(Activation.SOFTMAX).build(),
                new OutputLayer.Builder(LossFunction.XENT).nOut(3).activation(Activation.SIGMOID).hasBias(false).build(),
                new CenterLossOutputLayer.Builder().nOut(3).activation(Activation.SOFTMAX).build(),
                new LossLayer.Builder(LossFunction.MCXENT).activation(Activation.SOFTMAX).build(),
                new LossLayer.Builder(LossFunction.MSE).activation(Activation.IDENTITY).build(),
                new DropoutLayer(0.5), new ActivationLayer(Activation.SOFTPLUS),
                new ElementWiseMultiplicationLayer.Builder().nOut(4).activation(Activation.SIGMOID).build(),
                new RepeatVector.Builder(3).nOut(4).build(), repeat(RNNFormat.NWC),
                new AutoEncoder.Builder().nOut(6).activation(Activation.SIGMOID).corruptionLevel(0.3).build(),
                new VariationalAutoencoder.Builder().nOut(2).encoderLayerSizes(5, 7).decoderLayerSizes(3)
                        .activation(Activation.LEAKYRELU).pzxActivationFunction(Activation.TANH).build(),
                new VariationalAutoencoder.Builder().nOut(2).encoderLayerSizes(5).decoderLayerSizes(3)
                        .activation(Activation.SIGMOID).build(),
                new VariationalAutoencoder.Builder().nOut(2).encoderLayerSizes(5).decoderLayerSizes(3)
                        .activation(Activation.RRELU).pzxActivationFunction(Activation.RRELU).build(),
                new LowRankLayer.Builder().nIn(4).nOut(5).rank(2).alpha(6).scaling(Scaling.ALPHA_OVER_RANK).build(),
                new FrozenLayer(new DenseLayer.Builder().nOut(5).activation(Activation.TANH).build()),
                new FrozenLayerWithBackprop(new DenseLayer.Builder().nOut(5).activation(Activation.TANH).build()));
    }

    private static Layer repeat(RNNFormat format) {
        RepeatVector.Builder<?> builder = new RepeatVector.Builder<>(3).nOut(4);
        builder.setDataFormat(format);
        return builder.build();
    }

    @ParameterizedTest
    @MethodSource("layersOfRows")
    void aLayerOfRowsComputesTheSame(Layer layer) throws IOException {
        MultiLayerNetwork network = Samples.network(1, ROW, layer);
        for (int batch : new int[]{3, 1, 8}) {
            agrees(network, ROW, Samples.input(ROW, batch));
        }
    }

    @Test
    void aRowThatDoesNotVaryIsNormalisedToZeros() throws IOException {
        MultiLayerNetwork network = Samples.network(1, ROW, new DenseLayer.Builder().nOut(5).activation(Activation.IDENTITY)
                .hasLayerNorm(true).build());
        INDArray input = Samples.input(ROW, 3);
        input.getRow(1).assign(0);

        agrees(network, ROW, input);
    }

    @ParameterizedTest
    @ValueSource(doubles = {1e-5, 1e-10, 1e-15, 1e5})
    void rowsOfAnyMagnitudeAreNormalised(double scale) throws IOException {
        MultiLayerNetwork network = Samples.network(1, ROW, new DenseLayer.Builder().nOut(5).activation(Activation.IDENTITY)
                .hasLayerNorm(true).build());

        agrees(network, ROW, Samples.input(ROW, 3).mul(scale));
    }

    static Stream<Arguments> slopes() {
        InputType ncw = InputType.recurrent(4, 6, RNNFormat.NCW);
        InputType nwc = InputType.recurrent(4, 6, RNNFormat.NWC);
        InputType nchw = InputType.convolutional(5, 6, 4, CNN2DFormat.NCHW);
        InputType nhwc = InputType.convolutional(5, 6, 4, CNN2DFormat.NHWC);
        InputType ndhwc = InputType.convolutional3D(Convolution3D.DataFormat.NDHWC, 3, 5, 6, 4);
        return Stream.of(arguments(ROW, shape(4), shape()), arguments(ROW, shape(4), shape(1)),
                arguments(ncw, shape(4, 6), shape()), arguments(ncw, shape(4, 6), shape(2)),
                arguments(nwc, shape(6, 4), shape(1)), arguments(nwc, shape(6, 4), shape(1, 2)),
                arguments(nchw, shape(4, 5, 6), shape()), arguments(nchw, shape(4, 5, 6), shape(2, 3)),
                arguments(nhwc, shape(5, 6, 4), shape(1, 2)), arguments(nhwc, shape(5, 6, 4), shape(3)),
                arguments(nchw, shape(4, 5, 6), shape(3)), arguments(ndhwc, shape(3, 5, 6, 4), shape(1, 2, 3)),
                arguments(ndhwc, shape(3, 5, 6, 4), shape()));
    }

    private static long[] shape(long... sizes) {
        return sizes;
    }

    @ParameterizedTest
    @MethodSource("slopes")
    void prelusShareSlopesAsDl4jDoes(InputType type, long[] shape, long[] shared) throws IOException {
        PReLULayer.Builder builder = new PReLULayer.Builder().inputShape(shape.clone());
        MultiLayerNetwork network = Samples.network(1, type, (shared.length == 0 ? builder : builder.sharedAxes(shared)).build());
        assertThat(network.numParams()).isPositive();

        agrees(network, type, Samples.input(type, 3));
    }

    @Test
    void aOneClassOutputIsRefused() {
        MultiLayerNetwork network = Samples.network(1, ROW, new OCNNOutputLayer.Builder().nIn(4).hiddenLayerSize(3).nu(0.1)
                .activation(Activation.SIGMOID).build());

        assertThatThrownBy(() -> OnnxExport.of(network).inputTypes(ROW).write(Path.of("never.onnx")))
                .isInstanceOf(OnnxExportException.class).hasMessageContaining("OCNNOutputLayer");
    }

    private static void agrees(MultiLayerNetwork network, InputType type, INDArray input) throws IOException {
        InRuntime.agrees(network, OnnxExport.of(network).inputTypes(type), input);
    }
}
