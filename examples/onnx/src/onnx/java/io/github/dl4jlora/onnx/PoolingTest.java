package io.github.dl4jlora.onnx;

import org.deeplearning4j.nn.conf.CNN2DFormat;
import org.deeplearning4j.nn.conf.ConvolutionMode;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.Convolution3D;
import org.deeplearning4j.nn.conf.layers.GlobalPoolingLayer;
import org.deeplearning4j.nn.conf.layers.PoolingType;
import org.deeplearning4j.nn.conf.layers.Subsampling1DLayer;
import org.deeplearning4j.nn.conf.layers.Subsampling3DLayer;
import org.deeplearning4j.nn.conf.layers.SubsamplingLayer;
import org.junit.jupiter.api.Named;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

import static org.assertj.core.api.Assertions.assertThatThrownBy;

class PoolingTest {

    /** Kernel, stride, padding (for Truncate), dilation. */
    private static final int[][] WINDOWS = {{1, 1, 0, 1}, {2, 1, 0, 1}, {3, 1, 1, 1}, {3, 2, 1, 1}, {2, 2, 0, 1}, {4, 3, 2, 1},
            {3, 1, 1, 2}, {2, 2, 1, 2}, {3, 3, 0, 2}, {1, 2, 0, 1}, {1, 3, 0, 1}};

    private static final List<ConvolutionMode> MODES = List.of(ConvolutionMode.Same, ConvolutionMode.Truncate);
    private static final List<PoolingType> TYPES = List.of(PoolingType.MAX, PoolingType.AVG, PoolingType.PNORM);

    @ParameterizedTest
    @MethodSource
    void windowsOfImagesArePooled(Trial trial) throws IOException {
        trial.agrees();
    }

    static List<Named<Trial>> windowsOfImagesArePooled() {
        List<Named<Trial>> trials = new ArrayList<>();
        for (CNN2DFormat format : CNN2DFormat.values()) {
            for (ConvolutionMode mode : MODES) {
                for (PoolingType pooling : TYPES) {
                    for (int[] w : WINDOWS) {
                        for (boolean padding : pooling == PoolingType.AVG ? new boolean[]{true, false} : new boolean[]{false}) {
                            trials.add(Trial.of(format + " " + mode + " " + pooling + " " + padding + " " + Arrays.toString(w),
                                    InputType.convolutional(10, 9, 3, format),
                                    new SubsamplingLayer.Builder(pooling).kernelSize(w[0], w[0]).stride(w[1], w[1])
                                            .padding(padding(mode, w), padding(mode, w)).dilation(w[3], w[3]).pnorm(3)
                                            .avgPoolIncludePadInDivisor(padding).convolutionMode(mode).dataFormat(format)
                                            .build()));
                        }
                    }
                }
            }
        }
        return trials;
    }

    @ParameterizedTest
    @MethodSource
    void paddingThatCountsMayDifferBetweenHeightAndWidth(Trial trial) throws IOException {
        for (int opset : new int[] {17, 19, 20, 21}) {
            InRuntime.agrees(trial.network(), OnnxExport.of(trial.network()).inputTypes(trial.type()).opset(opset),
                    Trial.input(trial.type(), 2));
        }
    }

    /** Kernel, then padding, which is for Truncate. */
    static List<Named<Trial>> paddingThatCountsMayDifferBetweenHeightAndWidth() {
        List<Named<Trial>> trials = new ArrayList<>();
        for (CNN2DFormat format : CNN2DFormat.values()) {
            for (ConvolutionMode mode : MODES) {
                for (int[] w : new int[][] {{3, 3, 1, 0}, {3, 3, 0, 1}, {3, 3, 2, 1}, {3, 1, 1, 0}, {5, 3, 2, 1}, {3, 3, 1, 1}}) {
                    boolean same = mode == ConvolutionMode.Same;
                    trials.add(Trial.of(format + " " + mode + " " + Arrays.toString(w), InputType.convolutional(6, 8, 2, format),
                            new SubsamplingLayer.Builder(PoolingType.AVG).kernelSize(w[0], w[1]).stride(1, 1)
                                    .padding(same ? 0 : w[2], same ? 0 : w[3]).avgPoolIncludePadInDivisor(true)
                                    .convolutionMode(mode).dataFormat(format).build()));
                }
            }
        }
        return trials;
    }

    @Test
    void aWindowOnNothingButPaddingHasAMeanOfZero() throws IOException {
        SubsamplingLayer.Builder pooling = new SubsamplingLayer.Builder(PoolingType.AVG).kernelSize(2, 2)
                .avgPoolIncludePadInDivisor(false);
        new Trial(InputType.convolutional(1, 3, 2), List.of(pooling.stride(3, 1).dilation(2, 2)
                .convolutionMode(ConvolutionMode.Same).build())).agrees();

        Trial without = new Trial(InputType.convolutional(6, 6, 2), List.of(pooling.stride(1, 1).dilation(1, 1).padding(2, 2)
                .convolutionMode(ConvolutionMode.Truncate).build()));
        assertThatThrownBy(without::agrees).hasMessageContaining("is as wide as its window")
                .hasMessageContaining("Use a smaller padding");
    }

    @ParameterizedTest
    @MethodSource
    void windowsOfSequencesArePooled(Trial trial) throws IOException {
        trial.agrees();
    }

    static List<Named<Trial>> windowsOfSequencesArePooled() {
        List<Named<Trial>> trials = new ArrayList<>();
        for (RNNFormat format : RNNFormat.values()) {
            for (ConvolutionMode mode : MODES) {
                for (PoolingType pooling : TYPES) {
                    for (int[] w : WINDOWS) {
                        if (w[3] == 1) {
                            trials.add(Trial.of(format + " " + mode + " " + pooling + " " + Arrays.toString(w),
                                    InputType.recurrent(3, 10, format), new Subsampling1DLayer.Builder(pooling).kernelSize(w[0])
                                            .stride(w[1]).pnorm(2).convolutionMode(mode)
                                            .dataFormat(format == RNNFormat.NCW ? CNN2DFormat.NCHW : CNN2DFormat.NHWC).build()));
                        }
                    }
                }
            }
        }
        return trials;
    }

    @ParameterizedTest
    @MethodSource
    void windowsOfVolumesArePooled(Trial trial) throws IOException {
        trial.agrees();
    }

    static List<Named<Trial>> windowsOfVolumesArePooled() {
        List<Named<Trial>> trials = new ArrayList<>();
        for (Convolution3D.DataFormat format : Convolution3D.DataFormat.values()) {
            for (ConvolutionMode mode : MODES) {
                for (PoolingType pooling : List.of(PoolingType.MAX, PoolingType.AVG)) {
                    for (int[] w : WINDOWS) {
                        trials.add(Trial.of(format + " " + mode + " " + pooling + " " + Arrays.toString(w),
                                InputType.convolutional3D(format, 8, 7, 6, 3), new Subsampling3DLayer.Builder(pooling)
                                        .kernelSize(w[0], w[0], 2).stride(w[1], w[1], 1)
                                        .padding(padding(mode, w), padding(mode, w), 0)
                                        .dilation(w[3], w[3], 1).convolutionMode(mode).dataFormat(format).build()));
                    }
                }
            }
        }
        return trials;
    }

    @ParameterizedTest
    @MethodSource
    void wholeDimensionsArePooled(Trial trial) throws IOException {
        trial.agrees();
    }

    static List<Named<Trial>> wholeDimensionsArePooled() {
        List<Named<Trial>> trials = new ArrayList<>();
        for (PoolingType pooling : PoolingType.values()) {
            for (InputType type : List.of(InputType.recurrent(3, 7, RNNFormat.NCW), InputType.recurrent(3, 7, RNNFormat.NWC),
                    InputType.convolutional(5, 4, 3, CNN2DFormat.NCHW), InputType.convolutional(5, 4, 3, CNN2DFormat.NHWC),
                    InputType.convolutional3D(Convolution3D.DataFormat.NCDHW, 5, 4, 2, 3),
                    InputType.convolutional3D(Convolution3D.DataFormat.NDHWC, 5, 4, 2, 3))) {
                trials.add(Trial.of(pooling + " " + type, type, new GlobalPoolingLayer.Builder(pooling).pnorm(3).build()));
                if (!type.toString().contains("NWC") && !type.toString().contains("HWC")) {
                    trials.add(Trial.of(pooling + " without collapse " + type, type,
                            new GlobalPoolingLayer.Builder(pooling).pnorm(3).collapseDimensions(false).build()));
                }
            }
            trials.add(Trial.of(pooling + " of one dimension", InputType.convolutional(5, 4, 3),
                    new GlobalPoolingLayer.Builder(pooling).poolingDimensions(2, 3).build()));
        }
        return trials;
    }

    private static int padding(ConvolutionMode mode, int[] window) {
        return mode == ConvolutionMode.Same ? 0 : window[2];
    }
}
