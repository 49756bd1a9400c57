package io.github.dl4jlora.property;

import org.deeplearning4j.nn.conf.ConvolutionMode;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.dropout.AlphaDropout;
import org.deeplearning4j.nn.conf.dropout.Dropout;
import org.deeplearning4j.nn.conf.dropout.GaussianDropout;
import org.deeplearning4j.nn.conf.dropout.GaussianNoise;
import org.deeplearning4j.nn.conf.layers.ActivationLayer;
import org.deeplearning4j.nn.conf.layers.AutoEncoder;
import org.deeplearning4j.nn.conf.layers.BatchNormalization;
import org.deeplearning4j.nn.conf.layers.Convolution1DLayer;
import org.deeplearning4j.nn.conf.layers.Convolution3D;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.Deconvolution2D;
import org.deeplearning4j.nn.conf.layers.Deconvolution3D;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.DepthwiseConvolution2D;
import org.deeplearning4j.nn.conf.layers.DropoutLayer;
import org.deeplearning4j.nn.conf.layers.EmbeddingLayer;
import org.deeplearning4j.nn.conf.layers.EmbeddingSequenceLayer;
import org.deeplearning4j.nn.conf.layers.GlobalPoolingLayer;
import org.deeplearning4j.nn.conf.layers.GravesLSTM;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.LocalResponseNormalization;
import org.deeplearning4j.nn.conf.layers.LocallyConnected1D;
import org.deeplearning4j.nn.conf.layers.LocallyConnected2D;
import org.deeplearning4j.nn.conf.layers.PReLULayer;
import org.deeplearning4j.nn.conf.layers.PoolingType;
import org.deeplearning4j.nn.conf.layers.RecurrentAttentionLayer;
import org.deeplearning4j.nn.conf.layers.SelfAttentionLayer;
import org.deeplearning4j.nn.conf.layers.SeparableConvolution2D;
import org.deeplearning4j.nn.conf.layers.Subsampling1DLayer;
import org.deeplearning4j.nn.conf.layers.Subsampling3DLayer;
import org.deeplearning4j.nn.conf.layers.SubsamplingLayer;
import org.deeplearning4j.nn.conf.layers.Upsampling1D;
import org.deeplearning4j.nn.conf.layers.Upsampling2D;
import org.deeplearning4j.nn.conf.layers.Upsampling3D;
import org.deeplearning4j.nn.conf.layers.ZeroPadding1DLayer;
import org.deeplearning4j.nn.conf.layers.ZeroPadding3DLayer;
import org.deeplearning4j.nn.conf.layers.ZeroPaddingLayer;
import org.deeplearning4j.nn.conf.layers.convolutional.Cropping1D;
import org.deeplearning4j.nn.conf.layers.convolutional.Cropping2D;
import org.deeplearning4j.nn.conf.layers.misc.ElementWiseMultiplicationLayer;
import org.deeplearning4j.nn.conf.layers.recurrent.Bidirectional;
import org.deeplearning4j.nn.conf.layers.recurrent.SimpleRnn;
import org.deeplearning4j.nn.conf.layers.recurrent.TimeDistributed;
import org.deeplearning4j.nn.conf.layers.util.MaskLayer;
import org.deeplearning4j.nn.conf.layers.variational.GaussianReconstructionDistribution;
import org.deeplearning4j.nn.conf.layers.variational.VariationalAutoencoder;
import org.nd4j.linalg.activations.Activation;

import java.util.Arrays;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import java.util.function.Function;
import java.util.stream.Stream;

/** Layers of DL4J: where each can stand, and how a number chooses its details. */
@SuppressWarnings("deprecation")
enum Kind {
    DENSE(Trait.MATRIX, form -> new DenseLayer.Builder().nOut(Input.SIZE).hasBias(!form.yes()).hasLayerNorm(form.yes()).build(),
            Signal.FLAT, Signal.SEQUENCE, Signal.IMAGE),
    LSTM(Trait.MATRIX, form -> new LSTM.Builder().nOut(Input.SIZE).build(), Signal.SEQUENCE),
    CONVOLUTION_1D(Trait.MATRIX, form -> new Convolution1DLayer.Builder().nOut(Input.SIZE).hasBias(!form.yes())
            .convolutionMode(form.of(ConvolutionMode.Same, ConvolutionMode.Causal, ConvolutionMode.Truncate))
            .kernelSize(form.of(1, 2, 3)).stride(form.of(1, 1, 2, 3)).dilation(form.of(1, 2)).padding(form.of(0, 1)).build(),
            Signal.SEQUENCE),
    CONVOLUTION_2D(Trait.MATRIX, form -> new ConvolutionLayer.Builder(form.of(1, 2, 3), form.of(1, 2, 3)).nOut(Input.SIZE)
            .hasBias(!form.yes()).convolutionMode(form.of(ConvolutionMode.Same, ConvolutionMode.Truncate))
            .stride(form.of(1, 1, 2, 4), form.of(1, 2)).dilation(form.of(1, 2), 1).padding(form.of(0, 1), form.of(0, 2)).build(),
            Signal.IMAGE),
    CONVOLUTION_3D(Trait.MATRIX, form -> new Convolution3D.Builder(form.of(1, 2), form.of(1, 2), form.of(1, 2)).nOut(Input.SIZE)
            .hasBias(!form.yes()).convolutionMode(form.of(ConvolutionMode.Same, ConvolutionMode.Truncate))
            .stride(form.of(1, 1, 4), form.of(1, 2), 1).padding(form.of(0, 1), 0, form.of(0, 1)).build(), Signal.VOLUME),
    SIMPLE_RNN(Trait.MATRIX, form -> new SimpleRnn.Builder().nOut(Input.SIZE).build(), Signal.SEQUENCE),
    GRAVES_LSTM(Trait.MATRIX, form -> new GravesLSTM.Builder().nOut(Input.SIZE).build(), Signal.SEQUENCE),
    BIDIRECTIONAL(Trait.MATRIX, form -> new Bidirectional(
            form.of(Bidirectional.Mode.ADD, Bidirectional.Mode.CONCAT, Bidirectional.Mode.MUL, Bidirectional.Mode.AVERAGE),
            form.yes() ? new SimpleRnn.Builder().nOut(Input.SIZE).build() : new LSTM.Builder().nOut(Input.SIZE).build()),
            Signal.SEQUENCE),
    SEPARABLE(Trait.MATRIX, form -> new SeparableConvolution2D.Builder(2, form.of(2, 3)).nOut(Input.SIZE).hasBias(!form.yes())
            .depthMultiplier(form.of(1, 2)).convolutionMode(form.of(ConvolutionMode.Same, ConvolutionMode.Truncate)).build(),
            Signal.IMAGE),
    DEPTHWISE(Trait.MATRIX, form -> new DepthwiseConvolution2D.Builder(2, form.of(2, 3)).hasBias(!form.yes())
            .depthMultiplier(form.of(1, 2)).convolutionMode(form.of(ConvolutionMode.Same, ConvolutionMode.Truncate)).build(),
            Signal.IMAGE),
    DECONVOLUTION_2D(Trait.MATRIX, form -> new Deconvolution2D.Builder(2, form.of(2, 3)).nOut(Input.SIZE).hasBias(!form.yes())
            .convolutionMode(form.of(ConvolutionMode.Same, ConvolutionMode.Truncate)).stride(1, form.of(1, 2)).build(),
            Signal.IMAGE),
    DECONVOLUTION_3D(Trait.MATRIX, form -> deconvolution(new Deconvolution3D.Builder().nOut(Input.SIZE).hasBias(!form.yes())),
            Signal.VOLUME),
    LOCALLY_CONNECTED_1D(Trait.SAME_DIFF, form -> new LocallyConnected1D.Builder().kernelSize(form.of(1, 2)).nOut(Input.SIZE)
            .hasBias(!form.yes()).build(), Signal.SEQUENCE),
    LOCALLY_CONNECTED_2D(Trait.SAME_DIFF, form -> new LocallyConnected2D.Builder().kernelSize(2, form.of(1, 2)).nOut(Input.SIZE)
            .hasBias(!form.yes()).build(), Signal.IMAGE),
    SELF_ATTENTION(Trait.SAME_DIFF, form -> new SelfAttentionLayer.Builder().nIn(Input.SIZE).nOut(Input.SIZE).nHeads(1)
            .projectInput(true).build(), Signal.SEQUENCE),
    RECURRENT_ATTENTION(Trait.SAME_DIFF, form -> new RecurrentAttentionLayer.Builder().nOut(Input.SIZE).nHeads(1)
            .projectInput(true).build(), Signal.SEQUENCE),
    AUTO_ENCODER(Trait.MATRIX, form -> new AutoEncoder.Builder().nOut(Input.SIZE).build(), Signal.FLAT),
    VARIATIONAL_AUTO_ENCODER(Trait.MATRIX, form -> new VariationalAutoencoder.Builder().encoderLayerSizes(form.of(2, 4))
            .decoderLayerSizes(2).reconstructionDistribution(new GaussianReconstructionDistribution(Activation.TANH))
            .nOut(Input.SIZE).build(), Signal.FLAT),
    BATCH_NORM(Trait.VECTORS, form -> new BatchNormalization.Builder().lockGammaBeta(form.yes()).useLogStd(form.yes()).build(),
            Signal.FLAT, Signal.IMAGE),
    BATCH_NORM_OVER_TIME(Trait.VECTORS, form -> new TimeDistributed(
            new BatchNormalization.Builder().useLogStd(form.yes()).build(), RNNFormat.NCW), Signal.SEQUENCE),
    PRELU(Trait.VECTORS, form -> new PReLULayer.Builder().inputShape(Input.SIZE).build(), Signal.FLAT),
    PRELU_OF_CHANNELS(Trait.VECTORS, form -> new PReLULayer.Builder().inputShape(Input.SIZE, 1, 1).sharedAxes(2, 3).build(),
            Signal.IMAGE),
    ELEMENT_WISE(Trait.VECTORS, form -> new ElementWiseMultiplicationLayer.Builder().nOut(Input.SIZE).build(), Signal.FLAT),
    ACTIVATION(Trait.NOTHING, form -> new ActivationLayer(form.of(Activation.TANH, Activation.RELU, Activation.IDENTITY,
            Activation.LEAKYRELU)), Signal.values()),
    DROPOUT(Trait.NOTHING, form -> new DropoutLayer.Builder(form.of(new Dropout(0.7), new GaussianNoise(0.3),
            new AlphaDropout(0.7), new GaussianDropout(0.3))).build(), Signal.values()),
    NO_DROPOUT(Trait.NOTHING, form -> new DropoutLayer.Builder(1.0).build(), Signal.values()),
    MASK(Trait.NOTHING, form -> new MaskLayer(), Signal.SEQUENCE),
    SUBSAMPLING_1D(Trait.NOTHING, form -> new Subsampling1DLayer.Builder(form.of(PoolingType.AVG, PoolingType.MAX)).kernelSize(2)
            .stride(form.of(1, 2)).build(), Signal.SEQUENCE),
    SUBSAMPLING_2D(Trait.NOTHING, form -> new SubsamplingLayer.Builder(form.of(PoolingType.AVG, PoolingType.MAX)).kernelSize(2, 2)
            .stride(form.of(1, 2), 1).build(), Signal.IMAGE),
    SUBSAMPLING_3D(Trait.NOTHING, form -> new Subsampling3DLayer.Builder(form.of(PoolingType.AVG, PoolingType.MAX))
            .kernelSize(2, 1, 2).stride(1, 1, 1).build(), Signal.VOLUME),
    UPSAMPLING_1D(Trait.NOTHING, form -> new Upsampling1D.Builder(2).build(), Signal.SEQUENCE),
    UPSAMPLING_2D(Trait.NOTHING, form -> new Upsampling2D.Builder(2).build(), Signal.IMAGE),
    UPSAMPLING_3D(Trait.NOTHING, form -> new Upsampling3D.Builder(2).build(), Signal.VOLUME),
    ZERO_PADDING_1D(Trait.NOTHING, form -> new ZeroPadding1DLayer.Builder(1, form.of(0, 1)).build(), Signal.SEQUENCE),
    ZERO_PADDING_2D(Trait.NOTHING, form -> new ZeroPaddingLayer.Builder(1, form.of(0, 1)).build(), Signal.IMAGE),
    ZERO_PADDING_3D(Trait.NOTHING, form -> new ZeroPadding3DLayer.Builder(1, 0, form.of(0, 1)).build(), Signal.VOLUME),
    CROPPING_1D(Trait.NOTHING, form -> new Cropping1D.Builder(1, 0).build(), Signal.SEQUENCE),
    CROPPING_2D(Trait.NOTHING, form -> new Cropping2D.Builder(1, 0, 0, form.of(0, 1)).build(), Signal.IMAGE),
    RESPONSE_NORM(Trait.NOTHING, form -> new LocalResponseNormalization.Builder().build(), Signal.IMAGE),
    GLOBAL_POOLING(Trait.NOTHING, form -> new GlobalPoolingLayer.Builder(
            form.of(PoolingType.AVG, PoolingType.MAX, PoolingType.SUM, PoolingType.PNORM)).build(), Signal.SEQUENCE,
            Signal.IMAGE, Signal.VOLUME),
    /** Chosen by {@link Input#isWords()} alone. */
    EMBEDDING(Trait.MATRIX, form -> new EmbeddingLayer.Builder().nIn(Input.WORDS).nOut(Input.SIZE).hasBias(!form.yes()).build()),
    /** Chosen by {@link Input#isWords()} alone. */
    EMBEDDING_SEQUENCE(Trait.MATRIX, form -> new EmbeddingSequenceLayer.Builder().nIn(Input.WORDS).nOut(Input.SIZE)
            .inferInputLength(true).hasBias(form.yes()).build());

    /** What parameters a kind has. */
    private enum Trait { MATRIX, SAME_DIFF, VECTORS, NOTHING }

    /** Layers of sequences that take channels first only. */
    private static final Set<Kind> NOT_CHANNELS_LAST = EnumSet.of(LOCALLY_CONNECTED_1D, SELF_ATTENTION, RECURRENT_ATTENTION,
            SUBSAMPLING_1D, UPSAMPLING_1D, ZERO_PADDING_1D, CROPPING_1D, BATCH_NORM_OVER_TIME, GLOBAL_POOLING);

    private final Trait trait;
    private final Function<Form, Layer> make;
    private final Set<Signal> signals = EnumSet.noneOf(Signal.class);

    Kind(Trait trait, Function<Form, Layer> make, Signal... signals) {
        this.trait = trait;
        this.make = make;
        this.signals.addAll(Arrays.asList(signals));
    }

    private static Layer deconvolution(Deconvolution3D.Builder builder) {
        builder.setKernelSize(new int[]{2, 1, 2});
        return builder.build();
    }

    static List<Kind> on(Input input) {
        return Stream.of(values()).filter(kind -> kind.fits(input, input.signal)).toList();
    }

    Layer layer(int form) {
        return make.apply(new Form(form));
    }

    /** Whether DL4J's own layer of this kind works there. */
    boolean fits(Input input, Signal signal) {
        return signals.contains(signal) && switch (input) {
            case SEQUENCE_CHANNELS_LAST -> !NOT_CHANNELS_LAST.contains(this);
            case VOLUME_CHANNELS_LAST -> this == CONVOLUTION_3D || this == ACTIVATION || this == DROPOUT || this == NO_DROPOUT;
            case IMAGE_CHANNELS_LAST -> this != PRELU_OF_CHANNELS;
            default -> true;
        };
    }

    boolean isBatchNorm() {
        return this == BATCH_NORM || this == BATCH_NORM_OVER_TIME;
    }

    boolean hasParameters() {
        return trait != Trait.NOTHING;
    }

    boolean hasMatrix() {
        return trait == Trait.MATRIX || trait == Trait.SAME_DIFF;
    }

    /** What computes it if it is adapted. */
    Settings.By by() {
        return switch (this) {
            case DENSE -> Settings.By.PRODUCT;
            case CONVOLUTION_1D, CONVOLUTION_2D, CONVOLUTION_3D, EMBEDDING, EMBEDDING_SEQUENCE -> Settings.By.KERNEL;
            default -> Settings.By.EFFECTIVE_WEIGHTS;
        };
    }

    /** Whether DL4J computes it by SameDiff, whose gradients and epsilons it doubles. */
    boolean isSameDiff() {
        return trait == Trait.SAME_DIFF;
    }

    boolean isRecurrent() {
        return this == LSTM || this == SIMPLE_RNN || this == GRAVES_LSTM || this == BIDIRECTIONAL;
    }

    /** Whether two training passes differ. */
    boolean isRandom() {
        return this == DROPOUT;
    }

    /** Whether DL4J's own layer writes its output over its input in test mode, which a neighbour on the same input then gets. */
    boolean overwritesInput() {
        return this == ACTIVATION || this == PRELU || this == PRELU_OF_CHANNELS;
    }

    /** What comes out where a signal goes in. */
    Signal after(Signal signal) {
        return this == GLOBAL_POOLING || this == DENSE && signal != Signal.SEQUENCE ? Signal.FLAT : signal;
    }

    /** Whether output and input are of one shape, whatever the details. */
    boolean keepsShape(Signal signal) {
        return switch (this) {
            case DENSE -> signal == Signal.FLAT || signal == Signal.SEQUENCE;
            case LSTM, SIMPLE_RNN, GRAVES_LSTM, SELF_ATTENTION, RECURRENT_ATTENTION, AUTO_ENCODER, VARIATIONAL_AUTO_ENCODER,
                 BATCH_NORM, BATCH_NORM_OVER_TIME, PRELU, PRELU_OF_CHANNELS, ELEMENT_WISE, ACTIVATION, DROPOUT,
                 NO_DROPOUT, MASK, RESPONSE_NORM -> true;
            default -> false;
        };
    }
}
