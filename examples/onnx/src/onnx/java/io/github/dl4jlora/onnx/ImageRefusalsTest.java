package io.github.dl4jlora.onnx;

import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.BatchNormalization;
import org.deeplearning4j.nn.conf.layers.Convolution3D;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.GlobalPoolingLayer;
import org.deeplearning4j.nn.conf.layers.PoolingType;
import org.deeplearning4j.nn.conf.layers.PrimaryCapsules;
import org.deeplearning4j.nn.conf.layers.Subsampling1DLayer;
import org.deeplearning4j.nn.conf.layers.SubsamplingLayer;
import org.deeplearning4j.nn.conf.layers.objdetect.Yolo2OutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Named;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.factory.Nd4j;

import java.nio.file.Path;
import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

class ImageRefusalsTest {

    @TempDir
    Path folder;

    @ParameterizedTest
    @MethodSource
    void whatDl4jItselfCannotComputeIsRefused(Trial trial) {
        MultiLayerNetwork network = trial.network();
        assertThatThrownBy(() -> network.output(Samples.input(trial.type(), 2))).isInstanceOf(RuntimeException.class);
        refused(network, trial.type(), "DL4J");
    }

    static List<Named<Trial>> whatDl4jItselfCannotComputeIsRefused() {
        return List.of(
                Trial.of("volumes normalised", InputType.convolutional3D(Convolution3D.DataFormat.NCDHW, 4, 5, 6, 3),
                        new BatchNormalization()),
                Trial.of("sequences normalised", InputType.recurrent(3, 7), new BatchNormalization()),
                Trial.of("sequences padded", InputType.recurrent(3, 7), new Subsampling1DLayer.Builder(2, 1, 1).build()),
                Trial.of("sums of windows", InputType.convolutional(4, 4, 3),
                        new SubsamplingLayer.Builder(PoolingType.SUM, new int[]{2, 2}).build()),
                Trial.of("sequences pooled, dimensions kept", InputType.recurrent(3, 7, RNNFormat.NWC),
                        new GlobalPoolingLayer.Builder(PoolingType.MAX).poolingDimensions(1).collapseDimensions(false).build()));
    }

    @Test
    void decodingOfBoxesIsRefused() {
        Trial trial = new Trial(InputType.convolutional(4, 4, 14),
                List.of(new Yolo2OutputLayer.Builder().boundingBoxPriors(Nd4j.rand(2, 2)).build()));
        refused(trial.network(), trial.type(), "the decoding of YOLO's boxes");
    }

    @Test
    void windowsLargerThanTheImageAreRefused() {
        Trial trial = new Trial(InputType.convolutional(2, 2, 3), List.of(new ConvolutionLayer.Builder(1, 1).nOut(2).build(),
                new SubsamplingLayer.Builder(PoolingType.MAX, new int[]{3, 3}).stride(2, 2).build()));
        refused(trial.network(), trial.type(), "its window is larger than its image of 2 by 2, beyond which DL4J reads. "
                + "Give larger images with OnnxExport.inputTypes(...)");
    }

    @Test
    void capsulesAreRefused() {
        Trial trial = new Trial(InputType.convolutional(8, 8, 3),
                List.of(new PrimaryCapsules.Builder(4, 2).kernelSize(3, 3).stride(2, 2).build()));
        refused(trial.network(), trial.type(), "the routing of capsules (PrimaryCapsules)");
    }

    private void refused(MultiLayerNetwork network, InputType type, String reason) {
        Path file = folder.resolve("network.onnx");
        assertThatThrownBy(() -> OnnxExport.of(network).inputTypes(type).write(file)).isInstanceOf(OnnxExportException.class)
                .hasMessageContaining("Layer \"").hasMessageContaining(reason);
        assertThat(file).doesNotExist();
    }
}
