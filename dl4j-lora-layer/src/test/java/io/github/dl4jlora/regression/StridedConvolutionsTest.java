package io.github.dl4jlora.regression;

import io.github.dl4jlora.DoublePrecision;
import io.github.dl4jlora.Gradients;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.ConvolutionMode;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.Convolution1DLayer;
import org.deeplearning4j.nn.conf.layers.Convolution3D;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.GlobalPoolingLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.PoolingType;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.learning.config.Sgd;

import static org.assertj.core.api.Assertions.assertThat;

/**
 * Convolutions of mode Same whose windows lie so far apart that values between them belong to none: where the stride
 * divides the length, what would be padding, (out - 1) * stride + kernel - length, is negative.
 */
@ExtendWith(DoublePrecision.class)
class StridedConvolutionsTest {

    private static final Layer[] HEAD = {new GlobalPoolingLayer.Builder(PoolingType.SUM).name("pool").build(), Stacks.head()};

    @ParameterizedTest(name = "kernel {0}, stride {1}, {2} steps")
    @CsvSource({"1, 2, 8", "1, 3, 8", "1, 3, 9", "1, 4, 9", "1, 4, 12", "2, 4, 9", "2, 4, 12", "2, 5, 8",
            "2, 5, 12", "3, 5, 8", "3, 5, 9"})
    void sequenceConvolutionComputesAndDifferentiatesAsDl4jDoes(int kernel, int stride, int steps) {
        Layer conv = new Convolution1DLayer.Builder().kernelSize(kernel).stride(stride)
                .convolutionMode(ConvolutionMode.Same).nOut(4).name("conv").build();
        check(InputType.recurrent(3, steps), conv, 2, 3, steps);
    }

    /** Where the padding would be negative DL4J itself refuses images. */
    @ParameterizedTest(name = "kernel {0}, stride {1}, width {2}")
    @CsvSource({"1, 3, 8", "1, 4, 9", "2, 4, 9", "2, 5, 12", "3, 5, 9"})
    void imageConvolutionComputesAndDifferentiatesAsDl4jDoes(int kernel, int stride, int width) {
        Layer conv = new ConvolutionLayer.Builder(kernel, kernel).stride(stride, stride)
                .convolutionMode(ConvolutionMode.Same).nOut(4).name("conv").build();
        check(InputType.convolutional(width, width, 3), conv, 2, 3, width, width);
    }

    @ParameterizedTest(name = "kernel {0}, stride {1}, width {2}")
    @CsvSource({"1, 3, 4", "1, 3, 6", "1, 4, 8", "2, 4, 8", "2, 5, 6"})
    void volumeConvolutionComputesAndDifferentiatesAsDl4jDoes(int kernel, int stride, int width) {
        Layer conv = new Convolution3D.Builder(kernel, kernel, kernel).stride(stride, stride, stride)
                .convolutionMode(ConvolutionMode.Same).nOut(4).name("conv").build();
        check(InputType.convolutional3D(width, width, width, 3), conv, 2, 3, width, width, width);
    }

    private static void check(InputType input, Layer conv, long... shape) {
        Model base = Stacks.of(false, DataType.DOUBLE, input, conv, HEAD[0].clone(), HEAD[1].clone());
        MultiDataSet data = Stacks.data(DataType.DOUBLE, shape, new long[]{2, 2});
        INDArray expected = Models.output(base, data.getFeatures(0)).dup();
        Model tuned = Models.apply(base, LoRAConfig.builder().rank(2).targets("conv").updater(new Sgd(0.1)).build());

        assertThat(Networks.difference(Models.output(tuned, data.getFeatures(0)), expected)).as("fresh").isLessThan(1e-10);

        Networks.randomizeAdapters(tuned.paramTable(), 3);
        Model merged = Models.merge(tuned);
        assertThat(Networks.difference(Models.output(tuned, data.getFeatures(0)), Models.output(merged, data.getFeatures(0))))
                .as("trained against merged").isLessThan(1e-10);
        Gradients.assertEqualFiniteDifferences(tuned, data);
        Gradients.assertProjections(tuned, Gradients.of(tuned, data), Gradients.of(merged, data));
    }
}
