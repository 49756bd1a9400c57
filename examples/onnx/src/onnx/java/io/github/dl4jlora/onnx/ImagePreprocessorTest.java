package io.github.dl4jlora.onnx;

import org.deeplearning4j.nn.conf.CNN2DFormat;
import org.deeplearning4j.nn.conf.ConvolutionMode;
import org.deeplearning4j.nn.conf.InputPreProcessor;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.Convolution1DLayer;
import org.deeplearning4j.nn.conf.layers.Convolution3D;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.GlobalPoolingLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.PoolingType;
import org.deeplearning4j.nn.conf.layers.Subsampling1DLayer;
import org.deeplearning4j.nn.conf.layers.SubsamplingLayer;
import org.deeplearning4j.nn.conf.preprocessor.CnnToFeedForwardPreProcessor;
import org.deeplearning4j.nn.conf.preprocessor.CnnToRnnPreProcessor;
import org.deeplearning4j.nn.conf.preprocessor.ComposableInputPreProcessor;
import org.deeplearning4j.nn.conf.preprocessor.FeedForwardToCnn3DPreProcessor;
import org.deeplearning4j.nn.conf.preprocessor.FeedForwardToCnnPreProcessor;
import org.deeplearning4j.nn.conf.preprocessor.RnnToCnnPreProcessor;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.preprocessors.KerasFlattenRnnPreprocessor;
import org.deeplearning4j.preprocessors.PermutePreprocessor;
import org.deeplearning4j.preprocessors.ReshapePreprocessor;
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
import java.util.List;
import java.util.Map;

class ImagePreprocessorTest {

    @TempDir
    Path folder;

    @ParameterizedTest
    @MethodSource
    void imagesAndVolumesBecomeVectors(Trial trial) throws IOException {
        trial.agrees();
    }

    static List<Named<Trial>> imagesAndVolumesBecomeVectors() {
        List<Named<Trial>> trials = new ArrayList<>();
        trials.add(Trial.of("flat images", InputType.convolutionalFlat(5, 4, 3), image(), dense()));
        for (CNN2DFormat format : CNN2DFormat.values()) {
            trials.add(Trial.of("images " + format, InputType.convolutional(5, 4, 3, format),
                    new ConvolutionLayer.Builder(2, 2).nOut(3).dataFormat(format).activation(Activation.TANH).build(), dense()));
        }
        for (Convolution3D.DataFormat format : Convolution3D.DataFormat.values()) {
            trials.add(Trial.of("volumes " + format, InputType.convolutional3D(format, 3, 5, 4, 2), volume(format), dense()));
        }
        return trials;
    }

    @Test
    void vectorsBecomeImages() throws IOException {
        agrees(InputType.feedForward(24), Map.of(0, new FeedForwardToCnnPreProcessor(4, 3, 2)), image());
    }

    @ParameterizedTest
    @EnumSource(Convolution3D.DataFormat.class)
    void vectorsBecomeVolumes(Convolution3D.DataFormat format) throws IOException {
        boolean first = format == Convolution3D.DataFormat.NCDHW;
        agrees(InputType.feedForward(48), Map.of(0, new FeedForwardToCnn3DPreProcessor(2, 4, 3, 2, first)),
                new Convolution3D.Builder(2, 2, 2).nIn(2).nOut(3).dataFormat(format).activation(Activation.TANH).build());
    }

    @ParameterizedTest
    @EnumSource(RNNFormat.class)
    void sequencesBecomeImagesAndImagesSequences(RNNFormat format) throws IOException {
        agrees(InputType.recurrent(24, 5, format), Map.of(0, new RnnToCnnPreProcessor(4, 3, 2, format),
                        1, new CnnToRnnPreProcessor(3, 2, 3, format)),
                image(), new Convolution1DLayer.Builder(2).nIn(18).nOut(3).rnnDataFormat(format).activation(Activation.TANH)
                        .build());
    }

    @Test
    void modelsOfKerasReshapeAnything() throws IOException {
        DenseLayer dense = new DenseLayer.Builder().nIn(15).nOut(3).activation(Activation.TANH).build();
        LSTM lstm = new LSTM.Builder().nIn(4).nOut(3).build();
        agrees(InputType.recurrent(4, 5), Map.of(1, new KerasFlattenRnnPreprocessor(3, 5)), lstm, dense);
        for (boolean hasExamples : new boolean[] {false, true}) {
            ReshapePreprocessor reshaping = new ReshapePreprocessor(hasExamples ? new long[] {1, 24} : new long[] {24},
                    hasExamples ? new long[] {1, 4, 3, 2} : new long[] {4, 3, 2}, hasExamples);
            agrees(InputType.feedForward(24), Map.of(0, reshaping), new ConvolutionLayer.Builder(2, 2).nIn(2).nOut(3)
                    .dataFormat(CNN2DFormat.NHWC).activation(Activation.TANH).build());
        }
        for (int[] axes : new int[][] {{2, 1}, {0, 2, 1}}) {
            agrees(InputType.recurrent(4, 5), Map.of(0, new PermutePreprocessor(axes)), new Convolution1DLayer.Builder(2).nIn(5)
                    .nOut(3).activation(Activation.TANH).build());
        }
    }

    @Test
    void preprocessorsFollowEachOther() throws IOException {
        agrees(InputType.convolutional(5, 4, 3), Map.of(1, new ComposableInputPreProcessor(
                new CnnToFeedForwardPreProcessor(4, 3, 3), new FeedForwardToCnnPreProcessor(2, 6, 3))), image(), image());
    }

    @ParameterizedTest
    @EnumSource(PoolingType.class)
    void masksOfSequencesPassConvolutionsAndPooling(PoolingType pooling) throws IOException {
        for (ConvolutionMode mode : List.of(ConvolutionMode.Same, ConvolutionMode.Truncate, ConvolutionMode.Causal)) {
            for (int stride : new int[]{1, 2}) {
                masked(network(InputType.recurrent(3, 9), Map.of(),
                        new Convolution1DLayer.Builder(3).nOut(4).stride(stride).dilation(stride == 1 ? 2 : 1)
                                .convolutionMode(mode).activation(Activation.TANH).build(),
                        new Subsampling1DLayer.Builder(PoolingType.MAX, 2).stride(stride)
                                .convolutionMode(mode == ConvolutionMode.Causal ? ConvolutionMode.Same : mode).build(),
                        new GlobalPoolingLayer.Builder(pooling).pnorm(3).build()), InputType.recurrent(3, 9));
            }
        }
    }

    @ParameterizedTest
    @EnumSource(PoolingType.class)
    void masksOfSequencesPassTheirImages(PoolingType pooling) throws IOException {
        masked(network(InputType.recurrent(60, 9), Map.of(0, new RnnToCnnPreProcessor(6, 5, 2, RNNFormat.NCW)), image(),
                new SubsamplingLayer.Builder(PoolingType.MAX).kernelSize(2, 2).stride(2, 2).build(),
                new GlobalPoolingLayer.Builder(pooling).pnorm(3).build()), InputType.recurrent(60, 9));
    }

    @Test
    void masksComeBackFromImages() throws IOException {
        masked(network(InputType.recurrent(24, 9), Map.of(0, new RnnToCnnPreProcessor(4, 3, 2, RNNFormat.NCW),
                        1, new CnnToRnnPreProcessor(3, 2, 3, RNNFormat.NCW)), image(),
                new Convolution1DLayer.Builder(1).nIn(18).nOut(3).activation(Activation.TANH).build(),
                new GlobalPoolingLayer.Builder(PoolingType.AVG).build()), InputType.recurrent(24, 9));
    }

    private static void agrees(InputType type, Map<Integer, InputPreProcessor> preprocessors, Layer... layers)
            throws IOException {
        Trial.agrees(network(type, preprocessors, layers), type);
    }

    private void masked(MultiLayerNetwork network, InputType type) throws IOException {
        Path file = folder.resolve("masked.onnx");
        OnnxExport.of(network).inputTypes(type).masks(true).write(file);
        INDArray input = Samples.input(type, 3);
        INDArray mask = Nd4j.createFromArray(new float[][]{{1, 1, 1, 1, 1, 1, 1, 1, 1}, {1, 1, 1, 1, 1, 0, 0, 0, 0},
                {0, 0, 1, 1, 1, 1, 1, 1, 0}});
        InRuntime.agrees(List.of(network.output(input, false, mask, null)), file, input, mask);
    }

    private static MultiLayerNetwork network(InputType type, Map<Integer, InputPreProcessor> preprocessors, Layer... layers) {
        NeuralNetConfiguration.ListBuilder builder = new NeuralNetConfiguration.Builder().seed(1).list(layers);
        preprocessors.forEach(builder::inputPreProcessor);
        return Samples.shaken(Initialised.of(builder.setInputType(type).build()), 1);
    }

    private static Layer image() {
        return new ConvolutionLayer.Builder(2, 2).nOut(3).activation(Activation.TANH).build();
    }

    private static Layer volume(Convolution3D.DataFormat format) {
        return new Convolution3D.Builder(2, 2, 2).nOut(3).dataFormat(format).activation(Activation.TANH).build();
    }

    private static Layer dense() {
        return new DenseLayer.Builder().nOut(4).activation(Activation.TANH).build();
    }
}
