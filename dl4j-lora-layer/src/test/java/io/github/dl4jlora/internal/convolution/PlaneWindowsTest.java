package io.github.dl4jlora.internal.convolution;

import io.github.dl4jlora.Networks;
import io.github.dl4jlora.internal.common.Views;
import org.deeplearning4j.nn.conf.ConvolutionMode;
import org.deeplearning4j.nn.conf.layers.Convolution1DLayer;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.junit.jupiter.api.Test;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;

/** Windows that are copied by way of Java arrays, and their sums, are those of ND4J's operations, which DOUBLE is left to. */
class PlaneWindowsTest {

    private static final double UNTOUCHED = 7;

    /** Of all examples, and of all but the first. */
    private static void assertSame(ConvolutionLayer conf, INDArray x) {
        INDArray wide = x.castTo(DataType.DOUBLE);
        Windows windows = Windows.of(conf, x);
        for (long from = 0; from < x.size(0); from++) {
            long[] shape = {x.size(0) - from, windows.size(), windows.positions()};
            INDArray expected = Nd4j.create(DataType.DOUBLE, shape, 'c');
            windows.unfold(wide, from, expected);
            INDArray actual = Nd4j.valueArrayOf(shape, Float.NaN);

            windows.unfold(x, from, actual);

            assertThat(actual.castTo(DataType.DOUBLE)).as(windows.toString()).isEqualTo(expected);
            assertSameSums(windows, x.shape(), from, Networks.random(DataType.FLOAT, 5, shape));
        }
    }

    private static void assertSameSums(Windows windows, long[] shape, long from, INDArray copies) {
        INDArray expected = Nd4j.valueArrayOf(shape, UNTOUCHED, DataType.DOUBLE);
        windows.fold(copies.castTo(DataType.DOUBLE), expected, from, ArrayType.BP_WORKING_MEM, LayerWorkspaceMgr.noWorkspaces());
        INDArray actual = Nd4j.valueArrayOf(shape, UNTOUCHED, DataType.FLOAT);

        windows.fold(copies, actual, from, ArrayType.BP_WORKING_MEM, LayerWorkspaceMgr.noWorkspaces());

        assertThat(Networks.difference(actual.castTo(DataType.DOUBLE), expected)).as(windows.toString())
                .isLessThanOrEqualTo(1e-5);
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

    @Test
    void ofMoreThanIsFetchedTogether() {
        assertSame(new ConvolutionLayer.Builder(3, 3).convolutionMode(ConvolutionMode.Same).nIn(70).nOut(2).build(),
                Networks.random(DataType.FLOAT, 3, 2, 70, 9, 9));
        assertSame(new ConvolutionLayer.Builder(2, 2).convolutionMode(ConvolutionMode.Truncate).nIn(2).nOut(2).build(),
                Networks.random(DataType.FLOAT, 3, 2, 2, 80, 70));
    }

    @Test
    void ofExamplesThatAreAView() {
        assertSame(new ConvolutionLayer.Builder(3, 3).convolutionMode(ConvolutionMode.Same).nIn(3).nOut(2).build(),
                Views.rows(Networks.random(DataType.FLOAT, 3, 5, 3, 6, 7), 2, 4));
    }
}
