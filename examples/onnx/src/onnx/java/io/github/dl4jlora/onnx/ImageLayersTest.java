package io.github.dl4jlora.onnx;

import onnx.Onnx.ModelProto;
import onnx.Onnx.TensorShapeProto;
import org.deeplearning4j.nn.conf.CNN2DFormat;
import org.deeplearning4j.nn.conf.ConvolutionMode;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.BatchNormalization;
import org.deeplearning4j.nn.conf.layers.Cnn3DLossLayer;
import org.deeplearning4j.nn.conf.layers.CnnLossLayer;
import org.deeplearning4j.nn.conf.layers.Convolution1DLayer;
import org.deeplearning4j.nn.conf.layers.Convolution3D;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.Deconvolution2D;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.GlobalPoolingLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.LocalResponseNormalization;
import org.deeplearning4j.nn.conf.layers.LocallyConnected1D;
import org.deeplearning4j.nn.conf.layers.LocallyConnected2D;
import org.deeplearning4j.nn.conf.layers.PReLULayer;
import org.deeplearning4j.nn.conf.layers.PoolingType;
import org.deeplearning4j.nn.conf.layers.SpaceToBatchLayer;
import org.deeplearning4j.nn.conf.layers.SpaceToDepthLayer;
import org.deeplearning4j.nn.conf.layers.SubsamplingLayer;
import org.deeplearning4j.nn.conf.layers.Upsampling1D;
import org.deeplearning4j.nn.conf.layers.Upsampling2D;
import org.deeplearning4j.nn.conf.layers.Upsampling3D;
import org.deeplearning4j.nn.conf.layers.ZeroPadding1DLayer;
import org.deeplearning4j.nn.conf.layers.ZeroPadding3DLayer;
import org.deeplearning4j.nn.conf.layers.ZeroPaddingLayer;
import org.deeplearning4j.nn.conf.layers.convolutional.Cropping1D;
import org.deeplearning4j.nn.conf.layers.convolutional.Cropping2D;
import org.deeplearning4j.nn.conf.layers.convolutional.Cropping3D;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Named;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.lossfunctions.LossFunctions;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;

class ImageLayersTest {

    @TempDir
    Path folder;

    private static final InputType SEQUENCE = InputType.recurrent(3, 7);
    private static final InputType VOLUME = InputType.convolutional3D(Convolution3D.DataFormat.NCDHW, 4, 5, 6, 3);
    private static final InputType VOLUME_LAST = InputType.convolutional3D(Convolution3D.DataFormat.NDHWC, 4, 5, 6, 3);

    @ParameterizedTest
    @MethodSource
    void sizesChange(Trial trial) throws IOException {
        trial.agrees();
    }

    static List<Named<Trial>> sizesChange() {
        List<Named<Trial>> trials = new ArrayList<>(List.of(
                Trial.of("upsampling 1D", SEQUENCE, new Upsampling1D.Builder(3).build()),
                Trial.of("upsampling 1D before others", SEQUENCE, new Upsampling1D.Builder(2).build(),
                        new Convolution1DLayer.Builder(2).nOut(2).build(), new Upsampling1D.Builder(2).build()),
                Trial.of("cropping 1D", SEQUENCE, new Cropping1D.Builder(1, 2).build()),
                Trial.of("cropping 1D at one end", SEQUENCE, new Cropping1D.Builder(2, 0).build()),
                Trial.of("padding 1D", SEQUENCE, new ZeroPadding1DLayer.Builder(1, 2).build()),
                Trial.of("upsampling 3D", VOLUME, new Upsampling3D.Builder(2).build()),
                Trial.of("upsampling 3D of several sizes", VOLUME, new Upsampling3D.Builder(2).size(new int[]{1, 2, 3}).build()),
                Trial.of("upsampling 3D, channels last", VOLUME_LAST,
                        new Upsampling3D.Builder(Convolution3D.DataFormat.NDHWC, 2).build()),
                Trial.of("cropping 3D", VOLUME, new Cropping3D.Builder(0, 1, 2, 0, 1, 3).build()),
                Trial.of("padding 3D", VOLUME, new ZeroPadding3DLayer.Builder(0, 1, 2, 0, 1, 3).build())));
        for (CNN2DFormat format : CNN2DFormat.values()) {
            InputType image = InputType.convolutional(6, 8, 3, format);
            trials.add(Trial.of("upsampling " + format, image,
                    new Upsampling2D.Builder(2).size(new int[]{2, 3}).dataFormat(format).build()));
            trials.add(Trial.of("cropping " + format, image, new Cropping2D.Builder(1, 2, 0, 3).dataFormat(format).build()));
            trials.add(Trial.of("padding " + format, image, new ZeroPaddingLayer.Builder(1, 2, 0, 3).dataFormat(format).build()));
            trials.add(Trial.of("space to depth " + format, image, new SpaceToDepthLayer.Builder<>(2, format).build()));
            trials.add(Trial.of("space to batch " + format, image, batch(format, new int[]{2, 4}, new int[][]{{0, 0}, {0, 0}})));
            trials.add(Trial.of("space to batch, padded " + format, image,
                    batch(format, new int[]{3, 2}, new int[][]{{1, 2}, {0, 2}})));
        }
        return trials;
    }

    @ParameterizedTest
    @EnumSource(RNNFormat.class)
    void theSizesOfSequencesAreDeclaredAsTheyAre(RNNFormat format) throws IOException {
        Path file = folder.resolve("sizes.onnx");
        for (Layer layer : List.of(new Cropping1D.Builder(1, 1).build(), new ZeroPadding1DLayer.Builder(1, 2).build(),
                new Upsampling1D.Builder(3).build())) {
            for (InputType type : List.of(InputType.recurrent(4, 7, format), InputType.recurrent(4, format))) {
                MultiLayerNetwork network = Samples.network(1, type, layer);
                OnnxExport.of(network).inputTypes(type).write(file);
                INDArray input = format == RNNFormat.NWC ? Samples.normal(2, 7, 4) : Samples.normal(2, 4, 7);
                INDArray output = network.output(input.dup());
                InRuntime.agrees(List.of(output), file, input);

                List<TensorShapeProto.Dimension> declared = ModelProto.parseFrom(Files.readAllBytes(file)).getGraph()
                        .getOutput(0).getType().getTensorType().getShape().getDimList();
                assertThat(declared).hasSize(3);
                for (int i = 0; i < 3; i++) {
                    if (declared.get(i).hasDimValue()) {
                        assertThat(declared.get(i).getDimValue()).as("%s of %s", layer, type).isEqualTo(output.size(i));
                    }
                }
            }
        }
    }

    private static Layer batch(CNN2DFormat format, int[] blocks, int[][] padding) {
        SpaceToBatchLayer.Builder<?> builder = new SpaceToBatchLayer.Builder<>(blocks, padding);
        builder.dataFormat(format);
        return builder.build();
    }

    @Test
    void imagesOfOtherSizesRunInTheSameSession() throws IOException {
        InputType type = InputType.convolutional(16, 16, 3);
        MultiLayerNetwork network = Samples.network(1, type,
                new ConvolutionLayer.Builder(3, 3).nOut(4).stride(2, 2).dilation(2, 2).convolutionMode(ConvolutionMode.Same)
                        .build(),
                new BatchNormalization(),
                new SubsamplingLayer.Builder(PoolingType.AVG).kernelSize(3, 2).stride(2, 1).dilation(2, 1)
                        .convolutionMode(ConvolutionMode.Same).build(),
                new Upsampling2D.Builder(2).build(), new Cropping2D.Builder(1, 0).build(),
                new ZeroPaddingLayer.Builder(2, 1).build(),
                new SpaceToDepthLayer.Builder<>(2, CNN2DFormat.NCHW).build(),
                new LocalResponseNormalization.Builder().build(),
                new Deconvolution2D.Builder(3, 3).stride(2, 2).nOut(3).convolutionMode(ConvolutionMode.Same).build(),
                new GlobalPoolingLayer.Builder(PoolingType.PNORM).build(),
                new DenseLayer.Builder().nOut(2).build());
        Path file = folder.resolve("open.onnx");
        OnnxExport.of(network).inputTypes(type).openImages(true).write(file);
        for (int[] size : new int[][]{{16, 16}, {24, 20}, {32, 17}}) {
            INDArray input = Samples.normal(2, 3, size[0], size[1]);
            InRuntime.agrees(List.of(network.output(input)), file, input);
        }
    }

    @ParameterizedTest
    @MethodSource
    void imagesAreNormalised(Trial trial) throws IOException {
        trial.agrees();
    }

    static List<Named<Trial>> imagesAreNormalised() {
        List<Named<Trial>> trials = new ArrayList<>();
        List<InputType> types = List.of(InputType.feedForward(5), InputType.convolutional(6, 4, 3, CNN2DFormat.NCHW),
                InputType.convolutional(6, 4, 3, CNN2DFormat.NHWC));
        for (InputType type : types) {
            for (boolean logStd : new boolean[]{true, false}) {
                String name = type + (logStd ? " logStd" : "");
                trials.add(Trial.of(name, type, new BatchNormalization.Builder().eps(1e-3).useLogStd(logStd).build()));
                trials.add(Trial.of(name + " locked", type,
                        new BatchNormalization.Builder().useLogStd(logStd).lockGammaBeta(true).build()));
                trials.add(Trial.of(name + " locked at others", type,
                        new BatchNormalization.Builder(2, 0.5, true).useLogStd(logStd).build()));
                trials.add(Trial.of(name + " locked at another gamma", type,
                        new BatchNormalization.Builder(2, 0, true).useLogStd(logStd).build()));
            }
        }
        trials.add(Trial.of("sequences", InputType.recurrent(3, 7, RNNFormat.NWC),
                new BatchNormalization.Builder().dataFormat(CNN2DFormat.NHWC).build()));
        for (CNN2DFormat format : CNN2DFormat.values()) {
            for (double n : new double[]{1, 2, 3, 5}) {
                trials.add(Trial.of("neighbours " + n + " " + format, InputType.convolutional(4, 5, 6, format),
                        new LocalResponseNormalization.Builder(2, n, 0.3, 0.75).dataFormat(format).build()));
            }
        }
        return trials;
    }

    @ParameterizedTest
    @MethodSource
    void imagesHaveLossesAndPReLU(Trial trial) throws IOException {
        trial.agrees();
    }

    static List<Named<Trial>> imagesHaveLossesAndPReLU() {
        List<Named<Trial>> trials = new ArrayList<>();
        for (Activation activation : List.of(Activation.SOFTMAX, Activation.SIGMOID)) {
            for (CNN2DFormat format : CNN2DFormat.values()) {
                trials.add(Trial.of(activation + " " + format, InputType.convolutional(5, 4, 3, format),
                        new CnnLossLayer.Builder(LossFunctions.LossFunction.MSE).format(format).activation(activation).build()));
            }
            for (InputType type : List.of(VOLUME, VOLUME_LAST)) {
                trials.add(Trial.of(activation + " " + type, type,
                        new Cnn3DLossLayer.Builder(((InputType.InputTypeConvolutional3D) type).getDataFormat())
                                .lossFunction(LossFunctions.LossFunction.MSE).activation(activation).build()));
            }
        }
        trials.add(Trial.of("PReLU of vectors", InputType.feedForward(5), new PReLULayer.Builder().inputShape(5).build()));
        trials.add(Trial.of("PReLU of pixels", InputType.convolutional(5, 4, 3),
                new PReLULayer.Builder().inputShape(3, 5, 4).build()));
        trials.add(Trial.of("PReLU of channels", InputType.convolutional(5, 4, 3),
                new PReLULayer.Builder().inputShape(3, 5, 4).sharedAxes(2, 3).build()));
        trials.add(Trial.of("PReLU of last channels", InputType.convolutional(5, 4, 3, CNN2DFormat.NHWC),
                new PReLULayer.Builder().inputShape(5, 4, 3).sharedAxes(1, 2).build()));
        trials.add(Trial.of("PReLU of sequences", SEQUENCE, new PReLULayer.Builder().inputShape(3, 7).sharedAxes(2).build()));
        return trials;
    }

    @ParameterizedTest
    @MethodSource
    void placesHaveTheirOwnWeights(Trial trial) throws IOException {
        trial.agrees();
    }

    static List<Named<Trial>> placesHaveTheirOwnWeights() {
        List<Named<Trial>> trials = new ArrayList<>();
        int[][] windows = {{2, 1, 0}, {3, 2, 1}, {3, 1, 1}, {2, 2, 0}};
        for (ConvolutionMode mode : List.of(ConvolutionMode.Same, ConvolutionMode.Truncate)) {
            for (int[] w : windows) {
                int padding = mode == ConvolutionMode.Same ? 0 : w[2];
                String name = mode + " " + w[0] + " " + w[1];
                trials.add(Trial.of("sequence " + name, SEQUENCE, new LocallyConnected1D.Builder().nOut(4).kernelSize(w[0])
                        .stride(w[1]).padding(padding).convolutionMode(mode).setInputSize(7).activation(Activation.TANH)
                        .hasBias(w[1] == 1).build()));
                for (CNN2DFormat format : CNN2DFormat.values()) {
                    trials.add(Trial.of("image " + name + " " + format, InputType.convolutional(5, 6, 3, format),
                            new LocallyConnected2D.Builder().nOut(4).kernelSize(w[0], w[0]).stride(w[1], w[1])
                                    .padding(padding, padding).convolutionMode(mode).setInputSize(5, 6)
                                    .activation(Activation.TANH).hasBias(w[1] == 1).dataFormat(format).build()));
                }
            }
        }
        return trials;
    }
}
