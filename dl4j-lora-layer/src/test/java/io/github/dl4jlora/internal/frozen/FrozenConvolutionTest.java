package io.github.dl4jlora.internal.frozen;

import io.github.dl4jlora.DoublePrecision;
import io.github.dl4jlora.Gradients;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.FrozenStorage;
import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.nn.conf.CNN2DFormat;
import org.deeplearning4j.nn.conf.ConvolutionMode;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.WorkspaceMode;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.Convolution1DLayer;
import org.deeplearning4j.nn.conf.layers.Convolution3D;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer.BaseConvBuilder;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.Deconvolution2D;
import org.deeplearning4j.nn.conf.layers.DepthwiseConvolution2D;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.conf.layers.SeparableConvolution2D;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.linalg.learning.config.NoOp;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

/** A frozen convolution above an adapted layer passes right gradients, whatever its dimensions and the place of its channels. */
@ExtendWith(DoublePrecision.class)
class FrozenConvolutionTest {

    private static final int FROZEN = 1;
    private static final int ROWS = 3;
    private static final int STEPS = 9;

    enum Case {
        SEQUENCES, SEQUENCES_CHANNELS_LAST, SEQUENCES_CHANNELS_LAST_CAUSAL, SEQUENCES_WITH_STEPS_LEFT_OUT,
        IMAGES, IMAGES_CHANNELS_LAST, VOLUMES, VOLUMES_CHANNELS_LAST,
        TRANSPOSED_IMAGES, TRANSPOSED_IMAGES_CHANNELS_LAST, DEPTHWISE_IMAGES, DEPTHWISE_IMAGES_CHANNELS_LAST,
        SEPARABLE_IMAGES, SEPARABLE_IMAGES_CHANNELS_LAST;

        RNNFormat sequences() {
            return name().contains("SEQUENCES") ? name().contains("LAST") ? RNNFormat.NWC : RNNFormat.NCW : null;
        }

        private Layer convolution(String name, int nOut, boolean isFrozen, Activation activation) {
            BaseConvBuilder<?> builder = switch (this) {
                case SEQUENCES, SEQUENCES_CHANNELS_LAST -> sequence(isFrozen ? 3 : 1, 1, 1, ConvolutionMode.Same);
                case SEQUENCES_CHANNELS_LAST_CAUSAL -> sequence(2, 1, isFrozen ? 2 : 1, ConvolutionMode.Causal);
                case SEQUENCES_WITH_STEPS_LEFT_OUT -> sequence(1, isFrozen ? 3 : 1, 1, ConvolutionMode.Same);
                case IMAGES -> isFrozen ? new ConvolutionLayer.Builder(3, 2).stride(2, 1).padding(1, 0)
                        : new ConvolutionLayer.Builder(1, 1);
                case IMAGES_CHANNELS_LAST -> new ConvolutionLayer.Builder(isFrozen ? 3 : 1, 2)
                        .convolutionMode(ConvolutionMode.Same).dataFormat(CNN2DFormat.NHWC);
                case VOLUMES, VOLUMES_CHANNELS_LAST -> new Convolution3D.Builder(isFrozen ? 2 : 1, 1, 2)
                        .convolutionMode(ConvolutionMode.Same).dataFormat(volumes());
                case TRANSPOSED_IMAGES -> new Deconvolution2D.Builder(isFrozen ? 3 : 1, 2).stride(2, 1)
                        .padding(isFrozen ? 1 : 0, 0);
                case TRANSPOSED_IMAGES_CHANNELS_LAST -> new Deconvolution2D.Builder(isFrozen ? 3 : 1, 2)
                        .convolutionMode(ConvolutionMode.Same).dataFormat(CNN2DFormat.NHWC);
                case DEPTHWISE_IMAGES -> new DepthwiseConvolution2D.Builder(isFrozen ? 3 : 1, 2).depthMultiplier(2).stride(2, 1)
                        .padding(1, 0);
                case DEPTHWISE_IMAGES_CHANNELS_LAST -> new DepthwiseConvolution2D.Builder(isFrozen ? 3 : 1, 2)
                        .convolutionMode(ConvolutionMode.Same).dataFormat(CNN2DFormat.NHWC);
                // DL4J's own backward pass disagrees with finite differences, so another kind is adapted below.
                case SEPARABLE_IMAGES -> isFrozen ? new SeparableConvolution2D.Builder(3, 2).depthMultiplier(2).stride(2, 1)
                        .padding(1, 0) : new ConvolutionLayer.Builder(1, 1);
                case SEPARABLE_IMAGES_CHANNELS_LAST -> isFrozen ? new SeparableConvolution2D.Builder(3, 2)
                        .convolutionMode(ConvolutionMode.Same).dataFormat(CNN2DFormat.NHWC)
                        : new ConvolutionLayer.Builder(1, 1).dataFormat(CNN2DFormat.NHWC);
            };
            return builder.nOut(nOut).activation(activation).name(name).build();
        }

        private BaseConvBuilder<?> sequence(int kernel, int stride, int dilation, ConvolutionMode mode) {
            return new Convolution1DLayer.Builder().kernelSize(kernel).stride(stride).dilation(dilation).convolutionMode(mode)
                    .rnnDataFormat(sequences());
        }

        private Convolution3D.DataFormat volumes() {
            return this == VOLUMES ? Convolution3D.DataFormat.NCDHW : Convolution3D.DataFormat.NDHWC;
        }

        private InputType input() {
            return switch (this) {
                case IMAGES, TRANSPOSED_IMAGES, DEPTHWISE_IMAGES, SEPARABLE_IMAGES -> InputType.convolutional(5, 4, 2);
                case IMAGES_CHANNELS_LAST, TRANSPOSED_IMAGES_CHANNELS_LAST, DEPTHWISE_IMAGES_CHANNELS_LAST,
                        SEPARABLE_IMAGES_CHANNELS_LAST -> InputType.convolutional(5, 4, 2, CNN2DFormat.NHWC);
                case VOLUMES, VOLUMES_CHANNELS_LAST -> InputType.convolutional3D(volumes(), 3, 2, 4, 2);
                default -> InputType.recurrent(2, STEPS, sequences());
            };
        }

        INDArray features() {
            long[] shape = switch (this) {
                case IMAGES, TRANSPOSED_IMAGES, DEPTHWISE_IMAGES, SEPARABLE_IMAGES -> new long[] {ROWS, 2, 5, 4};
                case IMAGES_CHANNELS_LAST, TRANSPOSED_IMAGES_CHANNELS_LAST, DEPTHWISE_IMAGES_CHANNELS_LAST,
                        SEPARABLE_IMAGES_CHANNELS_LAST -> new long[] {ROWS, 5, 4, 2};
                case VOLUMES -> new long[] {ROWS, 2, 3, 2, 4};
                case VOLUMES_CHANNELS_LAST -> new long[] {ROWS, 3, 2, 4, 2};
                default -> sequences() == RNNFormat.NWC ? new long[] {ROWS, STEPS, 2} : new long[] {ROWS, 2, STEPS};
            };
            return Networks.random(DataType.DOUBLE, 1, shape);
        }

        /** Convolution to adapt, convolution to freeze, output. */
        MultiLayerNetwork base(Activation activation, WorkspaceMode mode) {
            Layer output = sequences() == null
                    ? new OutputLayer.Builder(LossFunction.MSE).nOut(2).activation(Activation.IDENTITY).build()
                    : new RnnOutputLayer.Builder(LossFunction.MSE).nOut(2).activation(Activation.IDENTITY)
                            .dataFormat(sequences()).build();
            MultiLayerNetwork base = Networks.of(new NeuralNetConfiguration.Builder().seed(5).dataType(DataType.DOUBLE)
                    .trainingWorkspaceMode(mode).updater(new NoOp()).list()
                    .layer(convolution("below", 3, false, Activation.TANH))
                    .layer(convolution("frozen", 4, true, activation))
                    .layer(output).setInputType(input()).build());
            base.params().assign(Networks.random(DataType.DOUBLE, 9, base.params().shape()).muli(0.5));
            return base;
        }
    }

    private static MultiLayerNetwork adapted(MultiLayerNetwork base, FrozenStorage storage) {
        MultiLayerNetwork adapted = LoRA.apply(base,
                LoRAConfig.builder().rank(2).targets("below").updater(new NoOp()).storage(storage).build());
        Networks.randomizeAdapters(adapted.paramTable(), 4);
        return adapted;
    }

    private static MultiDataSet data(Case geometry, MultiLayerNetwork network) {
        INDArray features = geometry.features();
        return new MultiDataSet(features, Networks.random(DataType.DOUBLE, 2, network.output(features).shape()));
    }

    @ParameterizedTest
    @EnumSource
    void gradientsBelowEqualFiniteDifferences(Case geometry) {
        for (Activation activation : new Activation[] {Activation.TANH, Activation.SOFTPLUS, Activation.IDENTITY}) {
            for (WorkspaceMode mode : new WorkspaceMode[] {WorkspaceMode.ENABLED, WorkspaceMode.NONE}) {
                MultiLayerNetwork adapted = adapted(geometry.base(activation, mode), FrozenStorage.SHARED);
                assertThat(((FrozenRuntime) adapted.getLayer(FROZEN)).part().arithmetic()).isInstanceOf(FrozenKernel.class);

                Gradients.assertEqualFiniteDifferences(adapted, data(geometry, adapted));
            }
        }
    }

    @ParameterizedTest
    @EnumSource
    void itComputesWhatTheBaseComputesServingAndTraining(Case geometry) {
        MultiLayerNetwork base = geometry.base(Activation.TANH, WorkspaceMode.ENABLED);
        INDArray x = geometry.features();
        MultiLayerNetwork fresh = LoRA.apply(base, LoRAConfig.builder().rank(2).targets("below").build());

        assertThat(Networks.difference(fresh.output(x), base.output(x))).isLessThan(1e-12);
        assertThat(Networks.difference(fresh.output(x, true), base.output(x))).isLessThan(1e-12);
    }

    @ParameterizedTest
    @EnumSource
    void insideTheVectorItFollowsWhatTheVectorIsSetTo(Case geometry) {
        MultiLayerNetwork adapted = adapted(geometry.base(Activation.TANH, WorkspaceMode.ENABLED), FrozenStorage.EMBEDDED);
        INDArray x = geometry.features();
        adapted.output(x, true);

        adapted.setParams(adapted.params().mul(0.7));

        assertThat(Networks.difference(adapted.output(x, true), LoRA.merge(adapted).output(x))).isLessThan(1e-12);
    }

    /** The sum of y ⊙ epsilon is a function of x whose slope in any direction is that of dx. */
    @ParameterizedTest
    @EnumSource(names = "SEQUENCES.*", mode = EnumSource.Mode.MATCH_ALL)
    void itMasksSequencesForwardAndBackward(Case geometry) {
        org.deeplearning4j.nn.api.Layer frozen =
                adapted(geometry.base(Activation.TANH, WorkspaceMode.NONE), FrozenStorage.SHARED).getLayer(FROZEN);
        boolean channelsLast = geometry.sequences() == RNNFormat.NWC;
        long[] shape = channelsLast ? new long[] {ROWS, STEPS, 3} : new long[] {ROWS, 3, STEPS};
        INDArray x = Networks.random(DataType.DOUBLE, 1, shape);
        INDArray direction = Networks.random(DataType.DOUBLE, 2, shape).muli(1e-5);
        INDArray unmasked = activate(frozen, x, null).dup();
        INDArray epsilon = Networks.random(DataType.DOUBLE, 3, unmasked.shape());
        INDArray mask = Nd4j.ones(DataType.DOUBLE, ROWS, STEPS);
        mask.putScalar(0, STEPS - 1, 0).putScalar(0, STEPS - 2, 0).putScalar(0, STEPS - 3, 0);

        INDArray y = activate(frozen, x, mask).dup();
        INDArray dx = frozen.backpropGradient(epsilon.dup(), LayerWorkspaceMgr.noWorkspaces()).getSecond().dup();

        INDArray stepsLast = channelsLast ? y.permute(0, 2, 1) : y;
        INDArray last = stepsLast.get(NDArrayIndex.point(0), NDArrayIndex.all(), NDArrayIndex.point(stepsLast.size(2) - 1));
        assertThat(last.amaxNumber().doubleValue()).isZero();
        assertThat(Networks.difference(y, unmasked)).isPositive();
        double slope = loss(frozen, x.add(direction), mask, epsilon) - loss(frozen, x.sub(direction), mask, epsilon);
        assertThat(2 * dx.mul(direction).sumNumber().doubleValue()).isCloseTo(slope, within(1e-12));
    }

    private static INDArray activate(org.deeplearning4j.nn.api.Layer layer, INDArray x, INDArray mask) {
        layer.setMaskArray(mask);
        return layer.activate(x, true, LayerWorkspaceMgr.noWorkspaces());
    }

    private static double loss(org.deeplearning4j.nn.api.Layer layer, INDArray x, INDArray mask, INDArray epsilon) {
        return activate(layer, x, mask).mul(epsilon).sumNumber().doubleValue();
    }
}
