package io.github.dl4jlora.internal.convolution;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.internal.onednn.OneDnn;
import org.deeplearning4j.nn.conf.ConvolutionMode;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.BatchNormalization;
import org.deeplearning4j.nn.conf.layers.Convolution1DLayer;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.Random;
import java.util.stream.IntStream;

import static org.assertj.core.api.Assertions.assertThat;

/**
 * Images and sequences so small that a layer has one window in some dimension, or sees nothing but padding: what oneDNN 3.11
 * computes otherwise than it should. Frozen networks are as their base, adapted ones as merged ones, which are
 * stock.
 */
class NarrowImagesTest {

    @BeforeEach
    void sameNumbersEachTime() {
        Nd4j.getRandom().setSeed(5);
    }

    @AfterEach
    void computeAsUsual() {
        OneDnn.use(OneDnn.Use.WHERE_IT_GAINS);
    }

    private static void assertAsBase(MultiLayerNetwork base, INDArray x, String description) {
        assertThat(Networks.difference(LoRA.freeze(base).output(x), base.output(x))).as(description).isLessThan(1e-5);
        MultiLayerNetwork adapted = LoRA.apply(base, LoRAConfig.builder().rank(2).targets("layer0").build());
        adapted.params().addi(Nd4j.randn(DataType.FLOAT, adapted.params().shape()).muli(0.1));
        assertThat(Networks.difference(adapted.output(x), LoRA.merge(adapted).output(x))).as(description).isLessThan(1e-5);
    }

    private static MultiLayerNetwork images(long height, long width, long channels, Layer... layers) {
        NeuralNetConfiguration.ListBuilder list = new NeuralNetConfiguration.Builder().seed(2).list();
        for (Layer layer : layers) {
            list.layer(layer);
        }
        return Networks.of(list.layer(new OutputLayer.Builder().nOut(3).activation(Activation.SOFTMAX).build())
                .setInputType(InputType.convolutional(height, width, channels)).build());
    }

    /** All channels got the first one's shift. */
    @ParameterizedTest
    @CsvSource({"4,4", "4,3", "3,4", "9,4"})
    void aBatchNormalizationOfSinglePixels(int height, int width) {
        ConvolutionLayer whole = new ConvolutionLayer.Builder(height > 4 ? 4 : height, width).stride(3, 3).nOut(8)
                .activation(Activation.TANH).build();
        MultiLayerNetwork base = images(height, width, 2, whole, new BatchNormalization());
        for (String parameter : new String[] {"1_gamma", "1_beta", "1_mean"}) {
            INDArray values = base.getParam(parameter);
            values.assign(Nd4j.randn(DataType.FLOAT, values.shape()));
        }

        assertAsBase(base, Nd4j.randn(DataType.FLOAT, 3, 2, height, width), height + " by " + width);
    }

    /** The forward pass of one channel took numbers from elsewhere. */
    @ParameterizedTest
    @CsvSource({"28,5,5,4,1,3,2,0", "31,2,5,3,1,2,0,1", "28,28,5,5,1,24,0,0", "64,6,3,4,1,3,0,0", "28,5,5,4,3,3,2,0"})
    void oneChannelAndOneWindowInARow(int height, int width, int high, int wide, int down, int across, int above, int beside) {
        ConvolutionLayer layer = new ConvolutionLayer.Builder(high, wide).stride(down, across).padding(above, beside).nOut(128)
                .activation(Activation.RELU).build();

        assertAsBase(images(height, width, 1, layer), Nd4j.randn(DataType.FLOAT, 32, 1, height, width), "");
    }

    /** The process ended. */
    @ParameterizedTest
    @EnumSource(OneDnn.Use.class)
    void windowsThatSeeNothing(OneDnn.Use use) {
        OneDnn.use(use);
        MultiLayerNetwork base = Networks.of(new NeuralNetConfiguration.Builder().seed(1).list()
                .layer(new Convolution1DLayer.Builder().kernelSize(2).stride(2).padding(3).dilation(2).nOut(128)
                        .convolutionMode(ConvolutionMode.Truncate).activation(Activation.TANH).build())
                .layer(new RnnOutputLayer.Builder().nOut(3).activation(Activation.SOFTMAX).build())
                .setInputType(InputType.recurrent(128)).build());
        base.getParam("0_b").assign(Nd4j.randn(1, 128));
        for (int steps = 3; steps > 0; steps--) {
            assertAsBase(base, Nd4j.randn(DataType.FLOAT, 64, 128, steps), steps + " steps");
        }
    }

    @Test
    void anyGeometry() {
        OneDnn.use(OneDnn.Use.ALWAYS);
        Random random = new Random(3);
        int built = 0;
        for (int i = 0; i < 400; i++) {
            int[] in = {1 + random.nextInt(7), 1 + random.nextInt(7)};
            int[] kernel = {1 + random.nextInt(4), 1 + random.nextInt(4)};
            int[] stride = {1 + random.nextInt(3), 1 + random.nextInt(3)};
            int[] padding = {random.nextInt(3), random.nextInt(3)};
            int[] dilation = {1 + random.nextInt(2), 1 + random.nextInt(2)};
            int channels = 1 + random.nextInt(3);
            ConvolutionLayer layer = new ConvolutionLayer.Builder(kernel[0], kernel[1]).stride(stride).padding(padding)
                    .dilation(dilation[0], dilation[1]).nOut(1 + random.nextInt(5)).hasBias(random.nextBoolean())
                    .activation(random.nextBoolean() ? Activation.RELU : Activation.IDENTITY).build();
            if (IntStream.range(0, 2).allMatch(d -> in[d] + 2 * padding[d] > (kernel[d] - 1) * dilation[d])) {
                INDArray x = Nd4j.randn(DataType.FLOAT, 1 + random.nextInt(3), channels, in[0], in[1]);
                assertAsBase(images(in[0], in[1], channels, layer, new BatchNormalization()), x, i + ": " + layer);
                built++;
            }
        }
        assertThat(built).isGreaterThan(250);
    }
}
