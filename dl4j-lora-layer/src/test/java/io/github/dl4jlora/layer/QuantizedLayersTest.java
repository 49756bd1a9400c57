package io.github.dl4jlora.layer;

import com.sun.management.ThreadMXBean;
import io.github.dl4jlora.Gradients;
import io.github.dl4jlora.LayerChains;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.internal.onednn.OneDnn;
import io.github.dl4jlora.internal.network.BaseValues;
import org.deeplearning4j.exception.DL4JInvalidInputException;
import org.deeplearning4j.nn.conf.CNN2DFormat;
import org.deeplearning4j.nn.conf.ConvolutionMode;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.WorkspaceMode;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.Convolution1DLayer;
import org.deeplearning4j.nn.conf.layers.Convolution3D;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.EmbeddingLayer;
import org.deeplearning4j.nn.conf.layers.EmbeddingSequenceLayer;
import org.deeplearning4j.nn.conf.layers.GlobalPoolingLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.PoolingType;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.conf.layers.recurrent.TimeDistributed;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;
import static org.junit.jupiter.params.provider.Arguments.arguments;

/** Layers whose matrices are in fewer bits, against the same network on an array of what these give back. */
@Tag("heavy")
class QuantizedLayersTest {

    private static final int EXAMPLES = 3;
    private static final int STEPS = 4;
    private static final int WORDS = 11;

    private static MultiLayerNetwork network(WorkspaceMode workspaces, InputType input, Layer... layers) {
        MultiLayerNetwork network = Networks.of(LayerChains.builder().trainingWorkspaceMode(workspaces)
                .inferenceWorkspaceMode(workspaces).list(layers).setInputType(input).build());
        network.params().addi(Networks.random(DataType.DOUBLE, 3, network.params().shape()).muli(0.2));
        return network;
    }

    private static LoRAConfig.Builder config(String targets) {
        return LoRAConfig.builder().rank(2).alpha(1).targets(targets).seed(4L);
    }

    private static MultiLayerNetwork tuned(MultiLayerNetwork base, LoRAConfig config) {
        MultiLayerNetwork tuned = LoRA.apply(base, config);
        Networks.randomizeAdapters(tuned.paramTable(), 8);
        return tuned;
    }

    /** Requires that the layer is in fewer bits, and that this is all. */
    private static void requireRestored(MultiLayerNetwork base, String targets, Quantization scheme, String layer, DataSet data) {
        MultiLayerNetwork quantized = tuned(base, config(targets).quantize(scheme).build());
        MultiLayerNetwork oracle = tuned(LoRA.unload(quantized), config(targets).build());

        assertThat(BaseValues.verified(quantized).get(layer).scheme()).isEqualTo(scheme);
        assertThat(Networks.difference(output(quantized, data), output(oracle, data))).isLessThan(1e-10);
        assertThat(quantized.score(data)).isCloseTo(oracle.score(data), within(1e-10));
        assertThat(Networks.difference(quantized.scoreExamples(data, false), oracle.scoreExamples(data, false)))
                .isLessThan(1e-10);
        MultiDataSet multi = new MultiDataSet(new INDArray[] {data.getFeatures()}, new INDArray[] {data.getLabels()}, null,
                data.getLabelsMaskArray() == null ? null : new INDArray[] {data.getLabelsMaskArray()});
        Map<String, INDArray> gradients = Gradients.of(quantized, multi);
        Gradients.of(oracle, multi).forEach((name, gradient) -> {
            assertThat(gradient.amaxNumber().doubleValue()).as(name).isPositive();
            assertThat(Networks.difference(gradients.get(name), gradient)).as(name).isLessThan(1e-10);
        });
        try (LoRA.Scope scope = LoRA.disabled(quantized)) {
            assertThat(output(quantized, data)).isEqualTo(output(LoRA.unload(quantized), data));
        }
        quantized.fit(data);
        oracle.fit(data);
        assertThat(Networks.difference(quantized.params(), oracle.params())).isLessThan(1e-10);
    }

    private static INDArray output(MultiLayerNetwork network, DataSet data) {
        return network.output(data.getFeatures().dup(), false, data.getFeaturesMaskArray(), data.getLabelsMaskArray());
    }

    /** What is masked, and how labels look. */
    enum Masked {
        NOTHING, STEPS, OUTPUTS
    }

    static Stream<Arguments> outputs() {
        List<Arguments> all = new ArrayList<>();
        for (Masked masked : Masked.values()) {
            for (RNNFormat format : new RNNFormat[] {null, RNNFormat.NCW, RNNFormat.NWC}) {
                all.add(arguments(masked, format, true));
                all.add(arguments(masked, format, false));
            }
        }
        return all.stream();
    }

    @ParameterizedTest
    @MethodSource("outputs")
    void frozenOutputLayersScoreAsDL4Js(Masked masked, RNNFormat format, boolean workspaces) {
        Activation activation = masked == Masked.OUTPUTS ? Activation.SIGMOID : Activation.SOFTMAX;
        LossFunction loss = masked == Masked.OUTPUTS ? LossFunction.XENT : LossFunction.MCXENT;
        Layer below = format == null ? LayerChains.dense(7)
                : new LSTM.Builder().nOut(7).dataFormat(format).build();
        Layer out = format == null ? new OutputLayer.Builder(loss).nOut(3).activation(activation).build()
                : new RnnOutputLayer.Builder(loss).nOut(3).activation(activation).dataFormat(format).build();
        InputType input = format == null ? InputType.feedForward(5) : InputType.recurrent(5, STEPS, format);
        MultiLayerNetwork base = network(workspaces ? WorkspaceMode.ENABLED : WorkspaceMode.NONE, input,
                LayerChains.named(below, "fc1"), LayerChains.named(out, "out"));
        requireRestored(base, "fc1", Quantization.NF4, "out",
                data(format, masked, Networks.random(DataType.DOUBLE, 6, shape(format, 5))));
    }

    @ParameterizedTest
    @EnumSource(Quantization.class)
    void denseLayersMaskStepsOfSequencesWithoutGivingAllOfWBack(Quantization scheme) {
        MultiLayerNetwork base = network(WorkspaceMode.ENABLED, InputType.recurrent(5, STEPS),
                LayerChains.named(new LSTM.Builder().nOut(7).build(), "fc1"), LayerChains.named(LayerChains.dense(6), "fc2"),
                LayerChains.named(LayerChains.dense(500), "d"), LayerChains.named(LayerChains.dense(500), "e"),
                new RnnOutputLayer.Builder(LossFunction.MCXENT).nOut(3).activation(Activation.SOFTMAX).name("out").build());
        DataSet data = data(RNNFormat.NCW, Masked.STEPS, Networks.random(DataType.DOUBLE, 6, EXAMPLES, 5, STEPS));
        data.setFeaturesMaskArray(data.getLabelsMaskArray());
        requireRestored(base, "fc2", scheme, "e", data);

        MultiLayerNetwork frozen = LoRA.freeze(base, scheme).convertDataType(DataType.FLOAT);
        INDArray features = data.getFeatures().castTo(DataType.FLOAT);
        frozen.output(features, false, data.getFeaturesMaskArray(), null);
        long masked = allocated(() -> frozen.output(features, false, data.getFeaturesMaskArray(), null));
        assertThat(masked).as("bytes of Java's heap in a pass; W of \"e\" is %d", 500 * 500 * Float.BYTES).isLessThan(500_000);
    }

    private static long allocated(Runnable work) {
        ThreadMXBean memory = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        long before = memory.getThreadAllocatedBytes(Thread.currentThread().getId());
        work.run();
        return memory.getThreadAllocatedBytes(Thread.currentThread().getId()) - before;
    }

    /** Products in native code would read beyond the end of it. */
    @ParameterizedTest
    @EnumSource(Quantization.class)
    void frozenOutputLayersRefuseInputOfAnotherWidthAsDL4JDoes(Quantization scheme) {
        MultiLayerNetwork rows = LoRA.freeze(network(WorkspaceMode.ENABLED, InputType.feedForward(5), LayerChains.output("out")),
                scheme).convertDataType(DataType.FLOAT);
        MultiLayerNetwork sequences = LoRA.freeze(network(WorkspaceMode.ENABLED, InputType.recurrent(5, STEPS),
                new RnnOutputLayer.Builder(LossFunction.MCXENT).nOut(3).name("out").build()), scheme)
                .convertDataType(DataType.FLOAT);

        for (int width : new int[] {1, 4, 6}) {
            assertThatThrownBy(() -> rows.output(Nd4j.ones(EXAMPLES, width))).isInstanceOf(DL4JInvalidInputException.class)
                    .hasMessageContainingAll("out", width + " columns", "layer # inputs = 5");
            assertThatThrownBy(() -> sequences.output(Nd4j.ones(EXAMPLES, width, STEPS)))
                    .isInstanceOf(DL4JInvalidInputException.class).hasMessageContaining("layer # inputs = 5");
        }
        assertThatThrownBy(() -> rows.output(Nd4j.ones(EXAMPLES, 5, STEPS))).isInstanceOf(DL4JInvalidInputException.class)
                .hasMessageContaining("rank 3");
    }

    private static long[] shape(RNNFormat format, long size) {
        return format == null ? new long[] {EXAMPLES, size} : format == RNNFormat.NCW ? new long[] {EXAMPLES, size, STEPS}
                : new long[] {EXAMPLES, STEPS, size};
    }

    /** Labels of one class each; of the mask a third is zero. */
    private static DataSet data(RNNFormat format, Masked masked, INDArray features) {
        INDArray labels = Nd4j.zeros(DataType.DOUBLE, shape(format, 3));
        for (int i = 0; i < EXAMPLES; i++) {
            for (int t = 0; t < (format == null ? 1 : STEPS); t++) {
                labels.putScalar(format == null ? new long[] {i, i % 3} : format == RNNFormat.NCW ? new long[] {i, (i + t) % 3, t}
                        : new long[] {i, t, (i + t) % 3}, 1);
            }
        }
        long[] shape = switch (masked) {
            case NOTHING -> null;
            case STEPS -> new long[] {EXAMPLES, format == null ? 1 : STEPS};
            // DL4J reads masks of outputs so whatever the format of these.
            case OUTPUTS -> shape(format == null ? null : RNNFormat.NCW, 3);
        };
        INDArray mask = shape == null ? null : Nd4j.ones(DataType.DOUBLE, shape);
        for (long i = 1; mask != null && i < mask.length(); i += 3) {
            mask.putScalar(i, 0);
        }
        return new DataSet(features, labels, null, mask);
    }

    static Stream<Arguments> kernels() {
        InputType sequence = InputType.recurrent(3, 6);
        InputType image = InputType.convolutional(6, 6, 2);
        Layer one = new Convolution1DLayer.Builder().kernelSize(3).nOut(4).build();
        Layer last = new Convolution1DLayer.Builder().kernelSize(3).nOut(4).rnnDataFormat(RNNFormat.NWC).build();
        Layer two = new ConvolutionLayer.Builder(3, 3).nOut(4).convolutionMode(ConvolutionMode.Same).build();
        Layer three = new Convolution3D.Builder(2, 2, 2).nOut(3).build();
        return Stream.of(arguments(one, sequence, new long[] {EXAMPLES, 3, 6}),
                arguments(last, InputType.recurrent(3, 6, RNNFormat.NWC), new long[] {EXAMPLES, 6, 3}),
                arguments(two, image, new long[] {EXAMPLES, 2, 6, 6}),
                arguments(new ConvolutionLayer.Builder(3, 3).nOut(4).dataFormat(CNN2DFormat.NHWC).build(),
                        InputType.convolutional(6, 6, 2, CNN2DFormat.NHWC), new long[] {EXAMPLES, 6, 6, 2}),
                arguments(three, InputType.convolutional3D(Convolution3D.DataFormat.NCDHW, 4, 4, 4, 2),
                        new long[] {EXAMPLES, 2, 4, 4, 4}),
                arguments(new TimeDistributed(LayerChains.dense(4)), sequence, new long[] {EXAMPLES, 3, 6}));
    }

    @ParameterizedTest
    @MethodSource("kernels")
    void kernelsComputeWhatTheirArrayWould(Layer layer, InputType input, long[] shape) {
        GlobalPoolingLayer.Builder pooling = new GlobalPoolingLayer.Builder(PoolingType.AVG).name("p");
        if (shape.length == 3 && shape[1] > shape[2]) {
            // Of channels that come last DL4J takes the first dimension for them.
            pooling.poolingDimensions(1);
        }
        Layer second = layer instanceof TimeDistributed ? new TimeDistributed(LayerChains.dense(2)) : layer.clone();
        MultiLayerNetwork base = network(WorkspaceMode.ENABLED, input, LayerChains.named(layer, "x"),
                LayerChains.named(second, "y"), pooling.build(), LayerChains.output("out"));
        DataSet data = data(null, Masked.NOTHING, Networks.random(DataType.DOUBLE, 9, shape));
        for (Quantization scheme : Quantization.values()) {
            requireRestored(base, "out", scheme, "x", data);
            if (!(layer instanceof TimeDistributed)) {
                requireRestored(base, "x", scheme, "y", data);
                requireRestored(base, "[xy]", scheme, "y", data);
            }
        }
    }

    @ParameterizedTest
    @CsvSource({"false, BF16", "true, BF16", "false, INT8", "true, INT8", "false, NF4", "true, NF4"})
    void embeddingsLookUpWhatTheirArrayWould(boolean sequence, Quantization scheme) {
        Layer embedding = sequence
                ? new EmbeddingSequenceLayer.Builder().nIn(WORDS).nOut(5).name("words").build()
                : new EmbeddingLayer.Builder().nIn(WORDS).nOut(5).name("words").hasBias(true).build();
        List<Layer> layers = new ArrayList<>(List.of(embedding));
        if (sequence) {
            layers.add(new GlobalPoolingLayer.Builder(PoolingType.AVG).name("p").build());
        }
        layers.addAll(List.of(LayerChains.named(LayerChains.dense(6), "fc1"), LayerChains.output("out")));
        MultiLayerNetwork base = network(WorkspaceMode.ENABLED, InputType.feedForward(WORDS), layers.toArray(Layer[]::new));
        INDArray words = sequence ? Nd4j.createFromArray(new double[][] {{1, 10, 4, 1}, {0, 2, 2, 9}, {7, 8, 3, 5}})
                : Nd4j.createFromArray(new double[][] {{1}, {10}, {4}});
        DataSet data = data(null, Masked.NOTHING, words);

        requireRestored(base, "words", scheme, "words", data);
        requireRestored(base, "fc1", scheme, "words", data);
        for (String targets : List.of("words", "fc1")) {
            MultiLayerNetwork quantized = LoRA.apply(base, config(targets).quantize(scheme).build());
            assertThatThrownBy(() -> quantized.output(words.add(1))).as("a word beyond the last of the %s", targets)
                    .isInstanceOf(DL4JInvalidInputException.class).hasMessageContaining("got index 11")
                    .hasMessageContaining("words");
        }
    }

    private static MultiLayerNetwork wide() {
        return Networks.of(new NeuralNetConfiguration.Builder().seed(5).dataType(DataType.FLOAT)
                .updater(new Sgd(0.1)).activation(Activation.TANH).list()
                .layer(new DenseLayer.Builder().nIn(130).nOut(1100).name("fc1").build())
                .layer(new DenseLayer.Builder().nOut(700).name("fc2").build())
                .layer(new OutputLayer.Builder(LossFunction.MSE).activation(Activation.IDENTITY).nOut(600).name("out").build())
                .build());
    }

    private static MultiDataSet wideData(int rows) {
        return new MultiDataSet(Networks.random(DataType.FLOAT, 6, rows, 130), Networks.random(DataType.FLOAT, 7, rows, 600));
    }

    /** More lines than a block of any product has, and rows for both kinds of products. */
    @ParameterizedTest
    @CsvSource({"BF16, 3, fc1|fc2", "INT8, 3, fc1|fc2", "NF4, 3, fc1|fc2", "BF16, 90, .*", "INT8, 90, .*", "NF4, 90, .*",
        "BF16, 3, fc1", "INT8, 90, fc1", "NF4, 3, fc1"})
    void wideLayersComputeWhatTheirArrayWould(Quantization scheme, int rows, String targets) {
        OneDnn.use(OneDnn.Use.NEVER);
        try {
            assertComputeWhatTheirArrayWould(scheme, rows, targets, 1e-5);
        } finally {
            OneDnn.use(OneDnn.Use.WHERE_IT_GAINS);
        }
    }

    /** Inputs and gradients are rounded to bfloat16 where codes are multiplied as they are. */
    @ParameterizedTest
    @CsvSource({"BF16, 3, fc1|fc2", "INT8, 3, fc1|fc2", "BF16, 90, .*", "INT8, 90, .*"})
    void oneDnnComputesNearlyWhatTheirArrayWould(Quantization scheme, int rows, String targets) {
        assertComputeWhatTheirArrayWould(scheme, rows, targets, 0.01);
    }

    private static void assertComputeWhatTheirArrayWould(Quantization scheme, int rows, String targets, double tolerance) {
        MultiLayerNetwork quantized = tuned(wide(), config(targets).quantize(scheme).build());
        MultiLayerNetwork oracle = tuned(LoRA.unload(quantized), config(targets).build());
        MultiDataSet data = wideData(rows);

        Map<String, INDArray> gradients = Gradients.of(quantized, data);
        Gradients.of(oracle, data).forEach((name, gradient) -> assertClose(name, gradients.get(name), gradient, tolerance));
        assertClose("output", quantized.output(data.getFeatures(0)), oracle.output(data.getFeatures(0)), tolerance);
    }

    @Test
    void gradientsOfAdaptersOnBf16AreWithinAPercentOfThoseOnFloat() {
        MultiLayerNetwork base = wide();
        MultiLayerNetwork quantized = tuned(base, config(".*").quantize(Quantization.BF16).build());
        MultiLayerNetwork plain = tuned(base, config(".*").build());
        MultiDataSet data = wideData(32);

        Map<String, INDArray> gradients = Gradients.of(quantized, data);
        Gradients.of(plain, data).forEach((name, expected) -> assertThat(gradients.get(name).distance2(expected)).as(name)
                .isBetween(1e-6 * expected.norm2Number().doubleValue(), 0.01 * expected.norm2Number().doubleValue()));
        assertThat(quantized.output(data.getFeatures(0)).distance2(plain.output(data.getFeatures(0))))
                .isLessThan(0.01 * plain.output(data.getFeatures(0)).norm2Number().doubleValue());
    }

    /** As far as sums of a thousand terms are rounded, three layers deep. */
    private static void assertClose(String what, INDArray actual, INDArray expected, double tolerance) {
        assertThat(Networks.difference(actual, expected) / expected.amaxNumber().doubleValue()).as(what).isLessThan(tolerance);
    }

    @ParameterizedTest
    @EnumSource(Quantization.class)
    void embeddingsGiveBackTheRowsOfTheirWordsAlone(Quantization scheme) {
        int vocabulary = 50_000;
        MultiLayerNetwork base = network(WorkspaceMode.NONE, InputType.feedForward(vocabulary),
                new EmbeddingLayer.Builder().nIn(vocabulary).nOut(16).name("words").build(),
                LayerChains.named(LayerChains.dense(6), "fc1"), LayerChains.output("out"));
        INDArray words = Nd4j.createFromArray(new double[][] {{1}, {40_000}});
        for (String targets : List.of("words", "fc1")) {
            MultiLayerNetwork quantized = LoRA.apply(base, config(targets).quantize(scheme).build());
            quantized.output(words);
            assertThat(allocated(() -> quantized.output(words)))
                    .as("bytes of Java's heap in a pass; all rows are %d", vocabulary * 16 * Float.BYTES)
                    .isLessThan(500_000);
        }
    }
}
