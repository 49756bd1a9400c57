package io.github.dl4jlora.internal.convolution;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.internal.kernel.FrozenMatrix;
import io.github.dl4jlora.internal.kernel.PackedMatrix;
import io.github.dl4jlora.internal.kernel.PlainMatrix;
import io.github.dl4jlora.internal.onednn.Convolutions;
import io.github.dl4jlora.internal.onednn.Finish;
import io.github.dl4jlora.internal.onednn.OneDnn;
import io.github.dl4jlora.internal.onednn.PackedCopies;
import io.github.dl4jlora.internal.onednn.Weights;
import org.deeplearning4j.nn.conf.ConvolutionMode;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.Convolution1DLayer;
import org.deeplearning4j.nn.conf.layers.Convolution3D;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.conf.layers.SeparableConvolution2D;
import org.deeplearning4j.nn.conf.layers.util.MaskZeroLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.NullSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

/** Convolutions with packed copies of W compute what they compute without. */
class PackedConvolutionTest {

    private static final LayerWorkspaceMgr NO_WORKSPACES = LayerWorkspaceMgr.noWorkspaces();
    private static final int CHANNELS = 128;
    private static final int SIDE = 7;
    private static final InputType IMAGES = InputType.convolutional(SIDE, SIDE, CHANNELS);

    @BeforeEach
    void oneDnnIsHere() {
        assumeTrue(OneDnn.isPresent(), "oneDNN is not on the class path");
        OneDnn.use(OneDnn.Use.ALWAYS);
        Nd4j.getRandom().setSeed(3);
    }

    @AfterEach
    void computeAsUsual() {
        OneDnn.use(OneDnn.Use.WHERE_IT_GAINS);
    }

    private static void assertAlike(INDArray actual, INDArray expected) {
        double size = expected.amaxNumber().doubleValue();
        assertThat(Networks.difference(actual, expected)).isLessThanOrEqualTo(5e-6 * size);
    }

    /** Sides on both sides of where a kernel of one becomes a product, and sizes of a batch that change. */
    @ParameterizedTest
    @CsvSource({"3,1,7,Same", "3,1,4,Truncate", "3,2,9,Same", "1,1,4,Truncate", "1,1,7,Same", "1,1,9,Truncate", "1,2,7,Same",
            "1,2,8,Truncate", "1,2,20,Same", "1,3,11,Truncate", "5,1,12,Same", "2,2,6,Truncate"})
    void withPackedCopiesTheyAreTheSame(int kernel, int stride, int side, ConvolutionMode mode) {
        ConvolutionLayer conf = new ConvolutionLayer.Builder(kernel, kernel).stride(stride, stride).nIn(130).nOut(70)
                .convolutionMode(mode).build();
        // By column, as DL4J has the weights of two dimensions, and by row.
        for (char order : new char[] {'f', 'c'}) {
            FrozenMatrix plain = new PlainMatrix(Nd4j.randn(DataType.FLOAT, 130L * kernel * kernel, 70).dup(order));
            FrozenMatrix packed = new PackedMatrix(plain, () -> true, new PackedCopies());
            INDArray bias = Nd4j.randn(DataType.FLOAT, 1, 70);
            for (int examples : new int[] {1, 6, 1, 33}) {
                for (boolean rectifies : new boolean[] {false, true}) {
                    Finish finish = new Finish(rectifies ? bias : null, rectifies);
                    INDArray x = Nd4j.randn(DataType.FLOAT, examples, 130, side, side);
                    assertAlike(forward(conf, packed, x, finish), forward(conf, plain, x, finish));
                    assertAlike(backward(conf, packed, x), backward(conf, plain, x));
                }
            }
        }
    }

    private static INDArray forward(ConvolutionLayer conf, FrozenMatrix w, INDArray x, Finish finish) {
        Windows windows = Windows.of(conf, x);
        INDArray z = Nd4j.valueArrayOf(windows.outputShape(x.size(0), w.columns(), x.rank()), Double.NaN, DataType.FLOAT);
        FrozenConvolution.of(windows, w, DataType.FLOAT, x.size(0)).forward(x, finish, z, NO_WORKSPACES);
        return z;
    }

    private static INDArray backward(ConvolutionLayer conf, FrozenMatrix w, INDArray x) {
        Windows windows = Windows.of(conf, x);
        INDArray dz = Nd4j.linspace(DataType.FLOAT, -1, 1e-4, Nd4j.createUninitialized(
                windows.outputShape(x.size(0), w.columns(), x.rank())).length())
                .reshape(windows.outputShape(x.size(0), w.columns(), x.rank()));
        INDArray dx = Nd4j.valueArrayOf(x.shape(), Double.NaN, DataType.FLOAT);
        FrozenConvolution.of(windows, w, DataType.FLOAT, x.size(0)).backward(dz, dx, ArrayType.BP_WORKING_MEM, NO_WORKSPACES);
        return dx;
    }

    @Test
    void aKernelOfOneThatSeesManyPlacesReadsWWhereItLies() {
        ConvolutionLayer conf = new ConvolutionLayer.Builder(1, 1).nIn(CHANNELS).nOut(CHANNELS).build();
        PackedCopies copies = new PackedCopies();
        FrozenMatrix packed = new PackedMatrix(new PlainMatrix(Nd4j.randn(DataType.FLOAT, CHANNELS, CHANNELS).dup('f')),
                () -> true, copies);

        forward(conf, packed, Nd4j.randn(DataType.FLOAT, 2, CHANNELS, 9, 9), Finish.NOTHING);
        boolean isCopied = Convolutions.usePacked(Weights.Type.FLOAT, (long) CHANNELS * CHANNELS, true, 2, 9 * 9);
        assertThat(copies.bytes() > 0).isEqualTo(isCopied);

        forward(conf, packed, Nd4j.randn(DataType.FLOAT, 2, CHANNELS, 5, 5), Finish.NOTHING);
        assertThat(copies.bytes()).isEqualTo((long) CHANNELS * CHANNELS * Float.BYTES);
    }

    private static MultiLayerNetwork base(int seed) {
        return base(seed, new ConvolutionLayer.Builder(3, 3).nOut(CHANNELS).build());
    }

    private static MultiLayerNetwork base(int seed, Layer second) {
        return Networks.of(new NeuralNetConfiguration.Builder().seed(seed).updater(new Adam(1e-3)).activation(Activation.TANH)
                .convolutionMode(ConvolutionMode.Same).list()
                .layer(new ConvolutionLayer.Builder(1, 1).nOut(CHANNELS).build())
                .layer(second)
                .layer(new ConvolutionLayer.Builder(1, 1).stride(2, 2).nOut(CHANNELS).build())
                .layer(new OutputLayer.Builder(LossFunction.MSE).nOut(4).activation(Activation.IDENTITY).build())
                .setInputType(IMAGES).build());
    }

    private static DataSet data() {
        return new DataSet(Networks.random(DataType.FLOAT, 1, 4, CHANNELS, SIDE, SIDE), Networks.random(DataType.FLOAT, 2, 4, 4));
    }

    private static LoRAConfig.Builder config() {
        return LoRAConfig.builder().rank(2).seed(3L).trainable("layer3");
    }

    @ParameterizedTest
    @NullSource
    @EnumSource(Quantization.class)
    void networksTrainAndComputeAsWithoutPacking(Quantization scheme) {
        for (String targets : new String[] {"layer0", "layer0,layer1,layer2"}) {
            LoRAConfig.Builder config = config().quantize(scheme).targets(targets.split(","));
            MultiLayerNetwork plain = LoRA.apply(base(5), config.build());
            MultiLayerNetwork packed = LoRA.apply(base(5), config.pack(true).build());
            for (int step = 0; step < 3; step++) {
                plain.fit(data());
                packed.fit(data());
            }

            assertThat(Networks.difference(packed.output(data().getFeatures()), plain.output(data().getFeatures())))
                    .as(targets).isLessThanOrEqualTo(scheme == null ? 1e-5 : 2e-2);
            assertThat(Networks.difference(LoRA.merge(packed).params(), LoRA.merge(plain).params()))
                    .as(targets).isLessThanOrEqualTo(scheme == null ? 1e-5 : 2e-2);
        }
    }

    @ParameterizedTest
    @NullSource
    @EnumSource(Quantization.class)
    void summaryAndPlanCountTheCopies(Quantization scheme) {
        for (String targets : new String[] {"layer0", "layer0,layer1,layer2"}) {
            LoRAConfig config = config().quantize(scheme).targets(targets.split(",")).pack(true).build();
            // Quantised weights of the same values would be those of a network before, with its copies.
            MultiLayerNetwork base = base(targets.length());
            long planned = LoRA.plan(base, config, 4, IMAGES).adapted().frozen()
                    - LoRA.plan(base, config.toBuilder().pack(false).build(), 4, IMAGES).adapted().frozen();
            MultiLayerNetwork packed = LoRA.apply(base, config);
            long before = LoRA.summary(packed).frozenBytes();

            packed.fit(data());

            // Some layouts add zeros, so that channels fill whole blocks. They are not planned.
            assertThat(LoRA.summary(packed).frozenBytes() - before).as(targets).isBetween(planned, planned * 5 / 4);
            boolean none = scheme == Quantization.NF4 || scheme == Quantization.INT8
                    || scheme == Quantization.BF16 && !OneDnn.multipliesBf16();
            assertThat(planned > 0).as("%s: %s", targets, planned).isEqualTo(!none);
        }
    }

    /** oneDNN does not compute what is small; layers of bfloat16 are judged by one example. */
    @ParameterizedTest
    @CsvSource({"1,4", "3,2", "3,7", "1,16"})
    void thePlanKnowsWhatIsTooSmall(int kernel, int side) {
        OneDnn.use(OneDnn.Use.WHERE_IT_GAINS);
        InputType images = InputType.convolutional(side, side, CHANNELS);
        for (Quantization scheme : new Quantization[] {null, Quantization.BF16}) {
            MultiLayerNetwork base = Networks.of(new NeuralNetConfiguration.Builder().seed(kernel * 100 + side)
                    .updater(new Adam(1e-3)).convolutionMode(ConvolutionMode.Same).list()
                    .layer(new ConvolutionLayer.Builder(kernel, kernel).nOut(CHANNELS).build())
                    .layer(new OutputLayer.Builder(LossFunction.MSE).nOut(4).activation(Activation.IDENTITY).build())
                    .setInputType(images).build());
            LoRAConfig config = LoRAConfig.builder().rank(2).targets("layer1").quantize(scheme).pack(true).build();
            MultiLayerNetwork packed = LoRA.apply(base, config);
            long before = LoRA.summary(packed).frozenBytes();

            packed.fit(new DataSet(Networks.random(DataType.FLOAT, 1, 2, CHANNELS, side, side),
                    Networks.random(DataType.FLOAT, 2, 2, 4)));

            long planned = LoRA.plan(base, config, 2, images).adapted().frozen()
                    - LoRA.plan(base, config.toBuilder().pack(false).build(), 2, images).adapted().frozen();
            assertThat(LoRA.summary(packed).frozenBytes() - before).as("%s", scheme).isBetween(planned, planned * 5 / 4);
        }
    }

    @Test
    void wrappedAndSeparableConvolutionsArePlanned() {
        Layer sequence = new MaskZeroLayer(new Convolution1DLayer.Builder(3).nIn(CHANNELS).nOut(CHANNELS).build(), 0);
        MultiLayerNetwork sequences = Networks.of(new NeuralNetConfiguration.Builder().seed(9).list().layer(sequence)
                .layer(new RnnOutputLayer.Builder(LossFunction.MSE).nOut(4).activation(Activation.IDENTITY).build())
                .setInputType(InputType.recurrent(CHANNELS, 20)).build());
        LoRAConfig last = LoRAConfig.builder().rank(2).targets("layer1").pack(true).build();
        assertThat(LoRA.plan(sequences, last, 4, InputType.recurrent(CHANNELS, 20)).adapted().frozen()).isPositive();

        MultiLayerNetwork base = base(11, new SeparableConvolution2D.Builder(3, 3).nOut(CHANNELS).build());
        LoRAConfig config = config().targets("layer0").pack(true).build();
        long planned = LoRA.plan(base, config, 4, IMAGES).adapted().frozen()
                - LoRA.plan(base, config.toBuilder().pack(false).build(), 4, IMAGES).adapted().frozen();
        MultiLayerNetwork packed = LoRA.apply(base, config);
        long before = LoRA.summary(packed).frozenBytes();

        packed.fit(data());

        assertThat(LoRA.summary(packed).frozenBytes() - before).isBetween(planned, planned * 5 / 4);
    }

    @Test
    void volumesArePackedToo() {
        MultiLayerNetwork base = Networks.of(new NeuralNetConfiguration.Builder().seed(21).convolutionMode(ConvolutionMode.Same)
                .list().layer(new Convolution3D.Builder(3, 3, 3).nOut(32).activation(Activation.TANH).build())
                .layer(new OutputLayer.Builder(LossFunction.MSE).nOut(4).activation(Activation.IDENTITY).build())
                .setInputType(InputType.convolutional3D(Convolution3D.DataFormat.NCDHW, 3, 4, 5, 32)).build());
        INDArray x = Networks.random(DataType.FLOAT, 1, 2, 32, 3, 4, 5);
        INDArray expected = LoRA.freeze(base).output(x).dup();
        MultiLayerNetwork packed = LoRA.freeze(base);
        LoRA.pack(packed);
        long before = LoRA.summary(packed).frozenBytes();

        assertAlike(packed.output(x), expected);

        assertThat(LoRA.summary(packed).frozenBytes()).isGreaterThanOrEqualTo(before + 27 * 32 * 32 * Float.BYTES);
    }
}
