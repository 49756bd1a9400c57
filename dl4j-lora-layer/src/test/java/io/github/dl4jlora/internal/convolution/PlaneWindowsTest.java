package io.github.dl4jlora.internal.convolution;

import io.github.dl4jlora.Networks;
import org.deeplearning4j.nn.conf.ConvolutionMode;
import org.deeplearning4j.nn.conf.layers.Convolution1DLayer;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.junit.jupiter.api.Test;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;

/** Windows that are copied by way of Java arrays are those of ND4J's im2col. */
class PlaneWindowsTest {

    private static void assertSame(ConvolutionLayer conf, INDArray x) {
        Windows windows = Windows.of(conf, x);
        INDArray expected = Nd4j.create(DataType.FLOAT, new long[] {x.size(0), windows.size(), windows.positions()}, 'c');
        windows.unfold(x, 0, expected);
        INDArray actual = Nd4j.valueArrayOf(expected.shape(), Float.NaN);

        windows.unfoldAll(x, actual);

        assertThat(actual).as(windows.toString()).isEqualTo(expected);
    }

    @Test
    void ofImagesWithAnyKernelStridePaddingAndDilation() {
        INDArray x = Networks.random(DataType.FLOAT, 3, 2, 3, 7, 6);
        for (int kernel = 1; kernel <= 4; kernel++) {
            for (int stride = 1; stride <= 3; stride++) {
                for (int dilation = 1; dilation <= 2; dilation++) {
                    ConvolutionLayer.Builder layer = new ConvolutionLayer.Builder(kernel, Math.min(kernel, 3))
                            .stride(stride, Math.min(stride, 2)).dilation(dilation, dilation).nIn(3).nOut(2);
                    assertSame(layer.convolutionMode(ConvolutionMode.Truncate).padding(2, 3).build(), x);
                    if (stride <= kernel) {
                        assertSame(layer.convolutionMode(ConvolutionMode.Same).padding(0, 0).build(), x);
                    }
                }
            }
        }
    }

    @Test
    void wherePaddingIsWiderThanWhatComesOut() {
        INDArray image = Networks.random(DataType.FLOAT, 3, 2, 3, 2, 2);
        assertSame(new ConvolutionLayer.Builder(3, 3).dilation(6, 6).convolutionMode(ConvolutionMode.Same).nIn(3).nOut(2).build(),
                image);
        assertSame(new ConvolutionLayer.Builder(5, 5).convolutionMode(ConvolutionMode.Same).nIn(3).nOut(2).build(),
                Networks.random(DataType.FLOAT, 3, 2, 3, 1, 1));
        INDArray steps = Networks.random(DataType.FLOAT, 3, 2, 3, 4);
        for (ConvolutionMode mode : List.of(ConvolutionMode.Same, ConvolutionMode.Causal)) {
            assertSame(new Convolution1DLayer.Builder().kernelSize(3).dilation(6).convolutionMode(mode).nIn(3).nOut(2).build(),
                    steps);
        }
    }

    @Test
    void ofSequences() {
        INDArray x = Networks.random(DataType.FLOAT, 3, 2, 3, 9);
        for (ConvolutionMode mode : List.of(ConvolutionMode.Same, ConvolutionMode.Causal, ConvolutionMode.Truncate)) {
            assertSame(new Convolution1DLayer.Builder().kernelSize(3).stride(2).convolutionMode(mode).nIn(3).nOut(2).build(), x);
        }
    }
}
