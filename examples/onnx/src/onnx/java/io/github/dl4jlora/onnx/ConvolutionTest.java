package io.github.dl4jlora.onnx;

import ai.onnxruntime.OrtSession;
import io.github.dl4jlora.onnx.SequenceRuns.Mask;
import org.deeplearning4j.nn.conf.CNN2DFormat;
import org.deeplearning4j.nn.conf.ConvolutionMode;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.Convolution1DLayer;
import org.deeplearning4j.nn.conf.layers.Convolution3D;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.Deconvolution2D;
import org.deeplearning4j.nn.conf.layers.Deconvolution3D;
import org.deeplearning4j.nn.conf.layers.DepthwiseConvolution2D;
import org.deeplearning4j.nn.conf.layers.GlobalPoolingLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.PoolingType;
import org.deeplearning4j.nn.conf.layers.SeparableConvolution2D;
import org.deeplearning4j.nn.conf.layers.recurrent.LastTimeStep;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Named;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;

class ConvolutionTest {

    @TempDir
    Path folder;

    /** Kernel, stride, padding (for Truncate), dilation. */
    private static final int[][] WINDOWS = {{1, 1, 0, 1}, {2, 1, 0, 1}, {3, 1, 1, 1}, {3, 2, 1, 1}, {2, 2, 0, 1}, {4, 3, 2, 1},
            {3, 1, 2, 2}, {2, 2, 1, 2}, {3, 3, 0, 2}, {1, 2, 0, 1}};

    private static final List<ConvolutionMode> MODES = List.of(ConvolutionMode.Same, ConvolutionMode.Truncate);

    @ParameterizedTest
    @MethodSource
    void imagesAreConvolved(Trial trial) throws IOException {
        trial.agrees();
    }

    static List<Named<Trial>> imagesAreConvolved() {
        List<Named<Trial>> trials = new ArrayList<>();
        for (CNN2DFormat format : CNN2DFormat.values()) {
            for (ConvolutionMode mode : MODES) {
                for (int[] w : WINDOWS) {
                    trials.add(image(format, mode, w, w));
                    trials.add(Trial.of("depthwise " + name(format, mode, w, w), InputType.convolutional(9, 8, 3, format),
                            new DepthwiseConvolution2D.Builder().depthMultiplier(2).nOut(6).kernelSize(w[0], w[0])
                                    .stride(w[1], w[1]).padding(padding(mode, w), padding(mode, w)).dilation(w[3], w[3])
                                    .convolutionMode(mode).dataFormat(format).activation(Activation.TANH).build()));
                    trials.add(Trial.of("separable " + name(format, mode, w, w), InputType.convolutional(9, 8, 3, format),
                            new SeparableConvolution2D.Builder().depthMultiplier(2).nOut(5).kernelSize(w[0], w[0])
                                    .stride(w[1], w[1]).padding(padding(mode, w), padding(mode, w)).dilation(w[3], w[3])
                                    .convolutionMode(mode).dataFormat(format).activation(Activation.TANH).build()));
                }
                trials.add(image(format, mode, new int[]{3, 1, 1, 1}, new int[]{2, 3, 0, 1}));
                trials.add(image(format, mode, new int[]{1, 2, 0, 1}, new int[]{3, 2, 0, 1}));
                trials.add(Trial.of("many channels, " + format + " " + mode, InputType.convolutional(8, 6, 32, format),
                        new ConvolutionLayer.Builder(1, 1).nOut(32).stride(2, 2).convolutionMode(mode).dataFormat(format)
                                .build(),
                        new ConvolutionLayer.Builder(2, 2).nOut(32).stride(3, 3).convolutionMode(mode).dataFormat(format)
                                .build()));
                trials.add(image(format, mode, new int[]{3, 2, 1, 2}, new int[]{2, 1, 0, 3}));
            }
            trials.add(image(format, ConvolutionMode.Strict, new int[]{3, 2, 1, 1}, new int[]{2, 1, 0, 1}));
            trials.add(Trial.of("softmax without bias, " + format, InputType.convolutional(5, 4, 3, format),
                    new ConvolutionLayer.Builder(2, 2).nOut(5).hasBias(false).dataFormat(format)
                            .activation(Activation.SOFTMAX).build()));
        }
        return trials;
    }

    private static Named<Trial> image(CNN2DFormat format, ConvolutionMode mode, int[] h, int[] w) {
        return Trial.of(name(format, mode, h, w), InputType.convolutional(9, 8, 3, format),
                new ConvolutionLayer.Builder(h[0], w[0]).nOut(4).stride(h[1], w[1]).padding(padding(mode, h), padding(mode, w))
                        .dilation(h[3], w[3]).convolutionMode(mode).dataFormat(format).activation(Activation.TANH).build());
    }

    @ParameterizedTest
    @MethodSource
    void sequencesAreConvolved(Trial trial) throws IOException {
        trial.agrees();
    }

    static List<Named<Trial>> sequencesAreConvolved() {
        List<Named<Trial>> trials = new ArrayList<>();
        for (RNNFormat format : RNNFormat.values()) {
            for (ConvolutionMode mode : List.of(ConvolutionMode.Same, ConvolutionMode.Truncate, ConvolutionMode.Causal)) {
                for (int[] w : WINDOWS) {
                    trials.add(Trial.of(format + " " + mode + " " + Arrays.toString(w), InputType.recurrent(3, 9, format),
                            new Convolution1DLayer.Builder(w[0]).nOut(4).stride(w[1]).padding(padding(mode, w)).dilation(w[3])
                                    .convolutionMode(mode).rnnDataFormat(format).hasBias(w[0] != 1)
                                    .activation(Activation.TANH).build()));
                }
            }
        }
        return trials;
    }

    /** SequenceRuns has lengths that are no multiples of the strides. */
    @ParameterizedTest
    @EnumSource(value = Mask.class, names = "NONE", mode = EnumSource.Mode.EXCLUDE)
    void masksFollowTheWindowsOfSequences(Mask mask) throws IOException {
        for (int[] w : new int[][]{{1, 3, 1}, {3, 2, 1}, {3, 3, 1}, {2, 2, 1}, {4, 3, 1}, {2, 4, 1}, {3, 2, 2}, {5, 2, 1}}) {
            for (ConvolutionMode mode : List.of(ConvolutionMode.Same, ConvolutionMode.Causal)) {
                for (RNNFormat format : RNNFormat.values()) {
                    InputType type = InputType.recurrent(3, format);
                    SequenceRuns.agrees(SequenceRuns.chain(type, strided(w, mode, format),
                            new LastTimeStep(new LSTM.Builder().nOut(3).dataFormat(format).build())), mask,
                            export -> export.inputTypes(type), type);
                }
                InputType type = InputType.recurrent(3);
                SequenceRuns.agrees(SequenceRuns.chain(type, strided(w, mode, RNNFormat.NCW),
                        new GlobalPoolingLayer(PoolingType.SUM)), mask, export -> export.inputTypes(type), type);
            }
        }
    }

    @Test
    void theMaskOfACausalConvolutionIsPaddedAtBothEnds() throws IOException {
        InputType type = InputType.recurrent(3);
        Path file = folder.resolve("strided.onnx");
        MultiLayerNetwork network = Samples.network(1, type, strided(new int[]{1, 3, 1}, ConvolutionMode.Causal, RNNFormat.NCW),
                new GlobalPoolingLayer(PoolingType.SUM));
        OnnxExport.of(network).masks(true).inputTypes(type).write(file);
        INDArray input = Samples.normal(3, 3, 3);
        INDArray mask = Nd4j.createFromArray(new float[][]{{0, 1, 1}, {0, 1, 0}, {0, 1, 0}});

        InRuntime.agrees(List.of(network.output(input.dup(), false, mask, null)), file, input, mask);
    }

    private static Convolution1DLayer strided(int[] window, ConvolutionMode mode, RNNFormat format) {
        return new Convolution1DLayer.Builder(window[0]).nOut(3).stride(window[1]).dilation(window[2]).convolutionMode(mode)
                .rnnDataFormat(format).activation(Activation.TANH).build();
    }

    @ParameterizedTest
    @MethodSource
    void volumesAreConvolved(Trial trial) throws IOException {
        trial.agrees();
    }

    static List<Named<Trial>> volumesAreConvolved() {
        List<Named<Trial>> trials = new ArrayList<>();
        for (Convolution3D.DataFormat format : Convolution3D.DataFormat.values()) {
            for (ConvolutionMode mode : MODES) {
                for (int[] w : WINDOWS) {
                    trials.add(Trial.of(format + " " + mode + " " + Arrays.toString(w),
                            InputType.convolutional3D(format, 7, 6, 5, 3),
                            new Convolution3D.Builder(w[0], w[0], 2).nOut(4).stride(w[1], w[1], 1)
                                    .padding(padding(mode, w), padding(mode, w), 0).dilation(w[3], w[3], 1).convolutionMode(mode)
                                    .dataFormat(format).hasBias(w[0] != 1).activation(Activation.TANH).build()));
                }
            }
        }
        return trials;
    }

    @ParameterizedTest
    @MethodSource
    void imagesAndVolumesAreConvolvedBackwards(Trial trial) throws IOException {
        trial.agrees();
    }

    static List<Named<Trial>> imagesAndVolumesAreConvolvedBackwards() {
        List<Named<Trial>> trials = new ArrayList<>();
        for (ConvolutionMode mode : MODES) {
            for (int[] w : WINDOWS) {
                for (CNN2DFormat format : CNN2DFormat.values()) {
                    trials.add(Trial.of(name(format, mode, w, w), InputType.convolutional(5, 4, 3, format),
                            new Deconvolution2D.Builder(w[0], w[0]).nOut(4).stride(w[1], w[1])
                                    .padding(padding(mode, w), padding(mode, w)).dilation(w[3], w[3]).convolutionMode(mode)
                                    .dataFormat(format).activation(Activation.TANH).build()));
                }
                for (Convolution3D.DataFormat format : Convolution3D.DataFormat.values()) {
                    trials.add(Trial.of(format + " " + mode + " " + Arrays.toString(w),
                            InputType.convolutional3D(format, 3, 5, 4, 3),
                            new Deconvolution3D.Builder().kernelSize(w[0], w[0], 2).nOut(4).stride(w[1], w[1], 1)
                                    .padding(padding(mode, w), padding(mode, w), 0).dilation(w[3], w[3], 1).convolutionMode(mode)
                                    .dataFormat(format).hasBias(w[0] != 1).activation(Activation.TANH).build()));
                }
            }
        }
        return trials;
    }

    @ParameterizedTest
    @MethodSource({"imagesAreConvolved", "sequencesAreConvolved", "volumesAreConvolved", "imagesAndVolumesAreConvolvedBackwards"})
    void weightsMayBeOfEightBits(Trial trial) throws IOException {
        MultiLayerNetwork network = trial.network();
        Path file = folder.resolve("eight.onnx");
        OnnxExport.of(network).inputTypes(trial.type()).weights(WeightType.INT8).write(file);
        INDArray input = Samples.input(trial.type(), 3);
        assertThat(InRuntime.difference(network.output(input),
                InRuntime.run(file, OrtSession.SessionOptions.OptLevel.ALL_OPT, input).get(0))).isLessThan(0.05);
    }

    private static int padding(ConvolutionMode mode, int[] window) {
        return mode == ConvolutionMode.Same || mode == ConvolutionMode.Causal ? 0 : window[2];
    }

    private static String name(CNN2DFormat format, ConvolutionMode mode, int[] h, int[] w) {
        return format + " " + mode + " " + Arrays.toString(h) + " " + Arrays.toString(w);
    }
}
