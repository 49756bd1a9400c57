package io.github.dl4jlora.onnx;

import ai.onnxruntime.OrtSession;
import io.github.dl4jlora.onnx.SequenceRuns.Mask;
import org.deeplearning4j.nn.conf.ConvolutionMode;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.Convolution1DLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.GravesBidirectionalLSTM;
import org.deeplearning4j.nn.conf.layers.GravesLSTM;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.PoolingType;
import org.deeplearning4j.nn.conf.layers.RnnLossLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.conf.layers.Subsampling1DLayer;
import org.deeplearning4j.nn.conf.layers.recurrent.Bidirectional;
import org.deeplearning4j.nn.conf.layers.recurrent.LastTimeStep;
import org.deeplearning4j.nn.conf.layers.recurrent.SimpleRnn;
import org.deeplearning4j.nn.conf.layers.recurrent.TimeDistributed;
import org.deeplearning4j.nn.conf.layers.util.MaskLayer;
import org.deeplearning4j.nn.conf.layers.util.MaskZeroLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.weights.WeightInit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.lossfunctions.LossFunctions;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

@SuppressWarnings("deprecation")
class RecurrentLayersTest {

    private static final int UNITS = 4;

    private static Layer lstm(RNNFormat format) {
        return lstm(format, Activation.TANH, Activation.SIGMOID);
    }

    private static Layer lstm(RNNFormat format, Activation activation, Activation gate) {
        return new LSTM.Builder().nOut(UNITS).weightInit(WeightInit.XAVIER).biasInit(0)
                .activation(activation).gateActivationFunction(gate).dataFormat(format).build();
    }

    private static Layer graves(RNNFormat format, Activation activation, Activation gate) {
        return new GravesLSTM.Builder().nOut(UNITS).weightInit(WeightInit.XAVIER).biasInit(0)
                .activation(activation).gateActivationFunction(gate).dataFormat(format).build();
    }

    private static Layer bothWays(RNNFormat format, Activation activation, Activation gate) {
        return new GravesBidirectionalLSTM.Builder().nOut(UNITS).weightInit(WeightInit.XAVIER).biasInit(0)
                .activation(activation).gateActivationFunction(gate).dataFormat(format).build();
    }

    private static Layer simple(RNNFormat format, Activation activation) {
        return new SimpleRnn.Builder().nOut(UNITS).weightInit(WeightInit.XAVIER).biasInit(0)
                .activation(activation).dataFormat(format).build();
    }

    private static Layer output(RNNFormat format) {
        return new RnnOutputLayer.Builder(LossFunctions.LossFunction.MCXENT).nOut(3).activation(Activation.SOFTMAX)
                .dataFormat(format).build();
    }

    private static void agrees(RNNFormat format, Mask mask, Layer... layers) throws IOException {
        InputType type = InputType.recurrent(3, format);
        SequenceRuns.agrees(SequenceRuns.chain(type, layers), mask, type);
    }

    static Stream<Arguments> activations() {
        List<Activation> cells = List.of(Activation.TANH, Activation.SIGMOID, Activation.SOFTSIGN, Activation.IDENTITY,
                Activation.RELU, Activation.HARDSIGMOID);
        return cells.stream().flatMap(cell -> Stream.of(Activation.SIGMOID, Activation.HARDSIGMOID, Activation.TANH)
                .map(gate -> Arguments.of(cell, gate)));
    }

    @ParameterizedTest
    @MethodSource("activations")
    void lstmsComputeTheSameWithAnyActivation(Activation cell, Activation gate) throws IOException {
        agrees(RNNFormat.NCW, Mask.NONE, lstm(RNNFormat.NCW, cell, gate));
        agrees(RNNFormat.NCW, Mask.NONE, graves(RNNFormat.NCW, cell, gate));
        agrees(RNNFormat.NCW, Mask.NONE, bothWays(RNNFormat.NCW, cell, gate));
        agrees(RNNFormat.NCW, Mask.NONE, simple(RNNFormat.NCW, cell));
    }

    static Stream<Arguments> masks() {
        return Arrays.stream(RNNFormat.values()).flatMap(format -> Arrays.stream(Mask.values())
                .map(mask -> Arguments.of(format, mask)));
    }

    @ParameterizedTest
    @MethodSource("masks")
    void layersOfAllFormatsTreatMasksAsTheNetworkDoes(RNNFormat format, Mask mask) throws IOException {
        agrees(format, mask, lstm(format), output(format));
        agrees(format, mask, graves(format, Activation.TANH, Activation.HARDSIGMOID), output(format));
        agrees(format, mask, bothWays(format, Activation.TANH, Activation.SIGMOID), output(format));
        agrees(format, mask, bothWays(format, Activation.TANH, Activation.TANH), output(format));
        agrees(format, mask, simple(format, Activation.TANH), output(format));
    }

    @ParameterizedTest
    @MethodSource("masks")
    void wrappersOfAllFormatsTreatMasksAsTheNetworkDoes(RNNFormat format, Mask mask) throws IOException {
        for (Bidirectional.Mode mode : Bidirectional.Mode.values()) {
            agrees(format, mask, new Bidirectional(mode, lstm(format)), output(format));
            agrees(format, mask, new Bidirectional(mode, new LastTimeStep(lstm(format))));
        }
        for (Layer inner : List.of(lstm(format), graves(format, Activation.TANH, Activation.TANH),
                simple(format, Activation.SIGMOID))) {
            agrees(format, mask, new Bidirectional(inner.clone()), output(format));
            agrees(format, mask, new LastTimeStep(new Bidirectional(Bidirectional.Mode.ADD, inner.clone())));
            agrees(format, mask, new LastTimeStep(inner.clone()));
        }
        agrees(format, mask, new TimeDistributed(new DenseLayer.Builder().nOut(5).activation(Activation.TANH).build()),
                lstm(format), output(format));
    }

    @ParameterizedTest
    @MethodSource("masks")
    void stepsOfNothingButAMaskingValueAreMasked(RNNFormat format, Mask mask) throws IOException {
        for (Layer inner : List.of(lstm(format), graves(format, Activation.TANH, Activation.SIGMOID),
                simple(format, Activation.SIGMOID))) {
            Layer zero = new MaskZeroLayer.Builder().underlying(inner).maskValue(-2).build();
            zerosAgree(format, mask, zero);
            zerosAgree(format, mask, new LastTimeStep(zero.clone()));
        }
    }

    /** On inputs with steps that are nothing but -2. */
    private static void zerosAgree(RNNFormat format, Mask mask, Layer layer) throws IOException {
        InputType type = InputType.recurrent(3, format);
        SequenceRuns.agrees(SequenceRuns.chain(type, layer), mask, export -> export.inputTypes(type), (batch, time) -> {
            INDArray values = SequenceRuns.values(type, batch, time);
            INDArray present = SequenceRuns.mask(mask == Mask.NONE ? Mask.START : mask, batch, time);
            INDArray wide = present.reshape(format == RNNFormat.NCW ? new long[]{batch, 1, time}
                    : new long[]{batch, time, 1}).broadcast(values.shape());
            return new INDArray[]{values.mul(wide).subi(wide.rsub(1).muli(2))};
        }, type);
    }

    @ParameterizedTest
    @EnumSource(Mask.class)
    void rowsOfStepsComeInTheOrderOfTheNetwork(Mask mask) throws IOException {
        for (RNNFormat format : RNNFormat.values()) {
            Layer dense = new DenseLayer.Builder().nOut(5).activation(Activation.TANH).build();
            agrees(format, mask, dense, lstm(format), output(format));
            agrees(format, mask, lstm(format), dense.clone());
        }
    }

    @ParameterizedTest
    @EnumSource(Mask.class)
    void lossAndMaskLayersComputeTheSame(Mask mask) throws IOException {
        for (RNNFormat format : RNNFormat.values()) {
            agrees(format, mask, simple(format, Activation.TANH), new RnnLossLayer.Builder(LossFunctions.LossFunction.MCXENT)
                    .activation(Activation.SOFTMAX).dataFormat(format).build());
        }
        agrees(RNNFormat.NCW, mask, lstm(RNNFormat.NCW), new MaskLayer());
    }

    @ParameterizedTest
    @EnumSource(value = Activation.class, names = {"CUBE", "RATIONALTANH", "SWISH", "SOFTMAX", "HARDTANH", "ELU"})
    void cellsWithActivationsThatOnnxLacksAreLoops(Activation activation) throws IOException {
        agrees(RNNFormat.NCW, Mask.NONE, lstm(RNNFormat.NCW, activation, Activation.SIGMOID));
        agrees(RNNFormat.NCW, Mask.BETWEEN, new LastTimeStep(graves(RNNFormat.NCW, activation, Activation.SIGMOID)));
        agrees(RNNFormat.NCW, Mask.NONE, simple(RNNFormat.NCW, activation));
    }

    @ParameterizedTest
    @EnumSource(Mask.class)
    void wrappersInWrappersTreatMasksAsTheNetworkDoes(Mask mask) throws IOException {
        for (RNNFormat format : RNNFormat.values()) {
            for (Layer inner : List.of(lstm(format), simple(format, Activation.TANH))) {
                Layer zeros = new MaskZeroLayer.Builder().underlying(inner).maskValue(-2).build();
                zerosAgree(format, mask, new Bidirectional(Bidirectional.Mode.ADD, new LastTimeStep(zeros)));
                zerosAgree(format, mask, new LastTimeStep(new Bidirectional(Bidirectional.Mode.ADD, zeros.clone())));
                zerosAgree(format, mask, new Bidirectional(Bidirectional.Mode.MUL, zeros.clone()));
            }
        }
        Layer lstm = lstm(RNNFormat.NCW);
        for (Layer inner : List.of(new Bidirectional(lstm.clone()), new Bidirectional(new LastTimeStep(lstm.clone())),
                new LastTimeStep(lstm.clone()), new Convolution1DLayer.Builder().kernelSize(2).nOut(3).activation(Activation.TANH)
                        .convolutionMode(ConvolutionMode.Same).weightInit(WeightInit.XAVIER).biasInit(0).build(),
                new Subsampling1DLayer.Builder(PoolingType.MAX).kernelSize(2).stride(2).convolutionMode(ConvolutionMode.Same)
                        .build())) {
            zerosAgree(RNNFormat.NCW, mask, new MaskZeroLayer.Builder().maskValue(-2).underlying(inner).build());
        }
        zerosAgree(RNNFormat.NCW, mask, new LastTimeStep(new MaskZeroLayer.Builder().maskValue(-2)
                .underlying(new Bidirectional(lstm(RNNFormat.NCW))).build()));
    }

    @Test
    void maskedStepsInTheWrongDimensionAreRefused() {
        Layer layer = new LastTimeStep(new MaskZeroLayer.Builder().maskValue(-2)
                .underlying(new Bidirectional(lstm(RNNFormat.NWC))).build());

        assertThatExceptionOfType(OnnxExportException.class).isThrownBy(() -> agrees(RNNFormat.NWC, Mask.NONE, layer))
                .withMessageContaining("wrong dimension");
    }

    @Test
    void layerNormalisationIsRefused() {
        Layer layer = new SimpleRnn.Builder().nOut(UNITS).hasLayerNorm(true).build();

        assertThatExceptionOfType(OnnxExportException.class).isThrownBy(() -> agrees(RNNFormat.NCW, Mask.NONE, layer))
                .withMessageContaining("DL4J itself cannot compute");
    }

    @ParameterizedTest
    @ValueSource(ints = {18, 19, 20, 21})
    void laterOperatorsComputeTheSame(int opset) throws IOException {
        InputType type = InputType.recurrent(3);
        SequenceRuns.agrees(SequenceRuns.chain(type, new Bidirectional(lstm(RNNFormat.NCW)),
                simple(RNNFormat.NCW, Activation.TANH), lstm(RNNFormat.NCW, Activation.TANH, Activation.TANH),
                new LastTimeStep(new MaskZeroLayer.Builder().maskValue(-2)
                        .underlying(graves(RNNFormat.NCW, Activation.TANH, Activation.SIGMOID)).build())), Mask.BETWEEN,
                export -> export.opset(opset), type);
    }

    @Test
    void weightsInEightBitsComputeAboutTheSame() throws IOException {
        InputType type = InputType.recurrent(3);
        MultiLayerNetwork network = (MultiLayerNetwork) SequenceRuns.chain(type, lstm(RNNFormat.NCW),
                simple(RNNFormat.NCW, Activation.TANH), graves(RNNFormat.NCW, Activation.TANH, Activation.TANH),
                output(RNNFormat.NCW)).get();
        INDArray values = SequenceRuns.values(type, 2, 5);
        Path file = InMemory.file();
        OnnxExport.of(network).inputTypes(type).weights(WeightType.INT8).write(file);

        INDArray output = InRuntime.run(file, OrtSession.SessionOptions.OptLevel.ALL_OPT, values).get(0);

        assertThat(InRuntime.difference(network.output(values), output)).isBetween(1e-5, 0.02);
    }

    @ParameterizedTest
    @EnumSource(RNNFormat.class)
    void nothingButOnesIsAsGoodAsNoMask(RNNFormat format) throws IOException {
        InputType type = InputType.recurrent(3, format);
        INDArray ones = Nd4j.ones(DataType.FLOAT, 2, 5);
        INDArray values = SequenceRuns.values(type, 2, 5);
        MultiLayerNetwork network = (MultiLayerNetwork) SequenceRuns.chain(type, new LastTimeStep(lstm(format))).get();
        Path file = InMemory.file();
        OnnxExport.of(network).inputTypes(type).masks(true).write(file);
        InRuntime.agrees(List.of(network.output(values)), file, values, ones);
    }
}
