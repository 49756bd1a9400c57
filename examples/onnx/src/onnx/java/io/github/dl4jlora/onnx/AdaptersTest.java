package io.github.dl4jlora.onnx;

import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtLoggingLevel;
import ai.onnxruntime.OrtLoraAdapter;
import ai.onnxruntime.OrtSession;
import ai.onnxruntime.OrtSession.SessionOptions.OptLevel;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.BiasTraining;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.LoRAInit;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.transformers.Head;
import io.github.dl4jlora.transformers.Transformer;
import io.github.dl4jlora.transformers.TransformerShape;
import io.github.dl4jlora.variant.DoRA;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.CNN2DFormat;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration.GraphBuilder;
import org.deeplearning4j.nn.conf.ConvolutionMode;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration.ListBuilder;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.Convolution1D;
import org.deeplearning4j.nn.conf.layers.Convolution3D;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.Deconvolution2D;
import org.deeplearning4j.nn.conf.layers.Deconvolution3D;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.DepthwiseConvolution2D;
import org.deeplearning4j.nn.conf.layers.EmbeddingLayer;
import org.deeplearning4j.nn.conf.layers.EmbeddingSequenceLayer;
import org.deeplearning4j.nn.conf.layers.GravesLSTM;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.LocallyConnected2D;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.conf.layers.SelfAttentionLayer;
import org.deeplearning4j.nn.conf.layers.SeparableConvolution2D;
import org.deeplearning4j.nn.conf.layers.recurrent.Bidirectional;
import org.deeplearning4j.nn.conf.layers.recurrent.LastTimeStep;
import org.deeplearning4j.nn.conf.layers.recurrent.SimpleRnn;
import org.deeplearning4j.nn.conf.layers.recurrent.TimeDistributed;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;
import org.nd4j.linalg.ops.transforms.Transforms;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

class AdaptersTest {

    @TempDir
    Path folder;

    @Test
    void adaptersOfOtherRanksTakeTurnsInOneSession() throws IOException, OrtException {
        MultiLayerNetwork base = dense();
        MultiLayerNetwork small = tuned(base, LoRAConfig.builder().rank(2).alpha(3).targets("first", "last"));
        MultiLayerNetwork large = tuned(base, LoRAConfig.builder().rank(5).alpha(4).scaling(Scaling.ALPHA_OVER_SQRT_RANK)
                .targets(".*"));
        write(base, large, InputType.feedForward(4));

        requireAgreement(base, List.of(small, large), Nd4j.rand(DataType.FLOAT, 7, 4));
    }

    @Test
    void trainedBiasesAreInputs() throws IOException, OrtException {
        for (BiasTraining training : List.of(BiasTraining.LORA_ONLY, BiasTraining.ALL)) {
            MultiLayerNetwork base = dense();
            MultiLayerNetwork tuned = tuned(base, LoRAConfig.builder().rank(2).targets("first").bias(training));
            write(base, tuned, InputType.feedForward(4));

            requireAgreement(base, List.of(tuned), Nd4j.rand(DataType.FLOAT, 7, 4));
        }
    }

    @Test
    void layersTrainedInFullAreInputs() throws IOException, OrtException {
        MultiLayerNetwork base = dense();
        MultiLayerNetwork tuned = tuned(base, LoRAConfig.builder().rank(2).targets("first").trainable("last"));
        write(base, tuned, InputType.feedForward(4));

        requireAgreement(base, List.of(tuned), Nd4j.rand(DataType.FLOAT, 7, 4));
    }

    @Test
    void startsTakenFromTheBaseAreSubtracted() throws IOException, OrtException {
        MultiLayerNetwork base = dense();
        MultiLayerNetwork tuned = tuned(base, LoRAConfig.builder().rank(2).loraInit(LoRAInit.PISSA));
        write(base, tuned, InputType.feedForward(4));

        requireAgreement(base, List.of(tuned), Nd4j.rand(DataType.FLOAT, 7, 4));
    }

    @Test
    void layersThatNoOutputNeedsAskForNothing() throws IOException, OrtException {
        ComputationGraph base = Initialised.of(new NeuralNetConfiguration.Builder().seed(1).graphBuilder().addInputs("in")
                .addLayer("first", new DenseLayer.Builder().nIn(4).nOut(5).build(), "in")
                .addLayer("unread", new DenseLayer.Builder().nIn(5).nOut(5).build(), "first")
                .addLayer("last", new OutputLayer.Builder(LossFunction.MSE).nIn(5).nOut(3).build(), "first")
                .setOutputs("last").allowDisconnected(true).build());
        filled(base.params(), 2);
        ComputationGraph tuned = tuned(base, LoRAConfig.builder().rank(2).targets(".*"));
        OnnxExport.of(base).adapters(LoRAAdapter.of(tuned)).write(folder.resolve("base.onnx"));

        try (OrtSession session = session(OptLevel.ALL_OPT)) {
            assertThat(session.getInputNames()).containsExactly("in");
        }
        requireAgreement(base, List.of(tuned), Nd4j.rand(DataType.FLOAT, 7, 4));
    }

    @Test
    void doraScalesOutputs() throws IOException, OrtException {
        MultiLayerNetwork base = dense();
        MultiLayerNetwork dora = tuned(base, LoRAConfig.builder().rank(2).variant(new DoRA()));
        MultiLayerNetwork plain = tuned(base, LoRAConfig.builder().rank(3));
        write(base, dora, InputType.feedForward(4));

        requireAgreement(base, List.of(dora, plain), Nd4j.rand(DataType.FLOAT, 7, 4));
        assertThatThrownBy(() -> OnnxAdapter.write(LoRAAdapter.of(dora), folder.resolve("dora")))
                .isInstanceOf(OnnxExportException.class).hasMessageContaining("first").hasMessageContaining("DoRA");
    }

    @Test
    void transformersTakeAdaptersWithTheirHeads() throws IOException, OrtException {
        for (Head head : List.of(Head.meanPooling(), Head.classifier(3))) {
            GraphBuilder graph = new NeuralNetConfiguration.Builder().seed(5).graphBuilder();
            ComputationGraph base = Initialised.of(Transformer.addTo(graph, TransformerShape.bert(40, 14, 12, 20, 2, 3), head)
                    .build());
            filled(base.params(), 2);
            LoRAConfig.Builder config = LoRAConfig.builder().rank(2).targets(".*query", ".*value", ".*dense");
            ComputationGraph tuned = tuned(base, head.kind() == Head.Kind.CLASSIFIER ? config.trainable("classifier") : config);
            OnnxExport.of(base).adapters(LoRAAdapter.of(tuned)).write(folder.resolve("base.onnx"));

            requireAgreement(base, List.of(tuned), Nd4j.createFromArray(new float[][]{{4, 9, 7, 0}, {5, 6, 0, 0}}));
        }
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("layers")
    void everyAdaptableLayerTakesAdapters(String name, Layer layer, InputType type)
            throws IOException, OrtException {
        for (boolean all : new boolean[]{false, true}) {
            MultiLayerNetwork base = chain(type, layer);
            LoRAConfig.Builder config = LoRAConfig.builder().targets("adapted");
            MultiLayerNetwork small = tuned(base, config.rank(1));
            MultiLayerNetwork large = tuned(base, config.rank(3).alpha(2).bias(all ? BiasTraining.ALL : BiasTraining.NONE));
            write(base, large, type);

            requireAgreement(base, all ? List.of(large) : List.of(small, large), example(type, layer));
        }
    }

    @ParameterizedTest
    @EnumSource(WeightType.class)
    void lowRankPathsStayFloatHoweverWeightsAreStored(WeightType stored) throws IOException, OrtException {
        MultiLayerNetwork base = Initialised.of(new NeuralNetConfiguration.Builder().seed(1).list()
                .layer(new OutputLayer.Builder(LossFunction.MSE).name("only").nIn(4).nOut(3).activation(Activation.IDENTITY)
                        .build())
                .build());
        filled(base.params(), 2);
        MultiLayerNetwork tuned = tuned(base, LoRAConfig.builder().rank(2).targets("only"));
        OnnxExport.of(base).adapters(LoRAAdapter.of(tuned)).weights(stored).opset(21).write(folder.resolve("base.onnx"));
        OnnxAdapter.write(LoRAAdapter.of(tuned), folder.resolve("adapter"));
        INDArray input = Nd4j.rand(DataType.FLOAT, 7, 4);

        try (OrtSession session = session(OptLevel.ALL_OPT)) {
            INDArray added = run(session, folder.resolve("adapter"), input).get(0).sub(run(session, null, input).get(0));
            assertThat(InRuntime.difference(tuned.output(input).sub(base.output(input)), added)).isLessThan(InRuntime.TOLERANCE);
        }
    }

    @Test
    void frozenAndMappedBasesTakeAdapters() throws IOException, OrtException {
        LoRA.writeBase(dense(), folder.resolve("written"), null);
        for (MultiLayerNetwork base : List.of(LoRA.freeze(dense(), Quantization.INT8),
                LoRA.openMultiLayerNetworkBase(folder.resolve("written")))) {
            MultiLayerNetwork tuned = tuned(base, LoRAConfig.builder().rank(2).targets(".*"));
            OnnxExport.write(base, LoRAAdapter.of(tuned), folder.resolve("base.onnx"));

            requireAgreement(base, List.of(tuned), Nd4j.rand(DataType.FLOAT, 7, 4));
        }
    }

    @Test
    void layersOfAllKindsTrainedInFullAreInputs() throws IOException, OrtException {
        for (Layer layer : List.of(new LSTM.Builder().nIn(4).nOut(3).build(), new GravesLSTM.Builder().nIn(4).nOut(3).build(),
                new Bidirectional(new SimpleRnn.Builder().nIn(4).nOut(3).build()),
                new Convolution1D.Builder(2).nIn(4).nOut(3).build())) {
            layer.setLayerName("full");
            MultiLayerNetwork base = Initialised.of(new NeuralNetConfiguration.Builder().seed(1).list()
                    .layer(new LSTM.Builder().name("adapted").nIn(4).nOut(4).build()).layer(layer)
                    .setInputType(InputType.recurrent(4)).build());
            filled(base.params(), 2);
            MultiLayerNetwork tuned = tuned(base, LoRAConfig.builder().rank(2).targets("adapted").trainable("full"));
            write(base, tuned, InputType.recurrent(4));

            requireAgreement(base, List.of(tuned), example(InputType.recurrent(4), layer));
        }
    }

    @Test
    void doraScalesConvolutionsAndEmbeddings() throws IOException, OrtException {
        InputType image = InputType.convolutional(7, 6, 3);
        for (Layer layer : List.of(new ConvolutionLayer.Builder(3, 2).nIn(3).nOut(4).build(),
                new EmbeddingSequenceLayer.Builder().nIn(7).nOut(3).build())) {
            InputType type = layer instanceof ConvolutionLayer ? image : InputType.feedForward(5);
            MultiLayerNetwork base = chain(type, layer);
            MultiLayerNetwork tuned = tuned(base, LoRAConfig.builder().rank(2).targets("adapted").variant(new DoRA()));
            write(base, tuned, type);

            requireAgreement(base, List.of(tuned), example(type, layer));
        }
    }

    @Test
    void adaptersFromFilesHaveTheSameNames() throws IOException, OrtException {
        MultiLayerNetwork base = dense();
        MultiLayerNetwork tuned = tuned(base, LoRAConfig.builder().rank(2).targets("first").trainable("last")
                .bias(BiasTraining.ALL));
        write(base, tuned, InputType.feedForward(4));
        LoRAAdapter.of(tuned).save(folder.resolve("saved"));
        OnnxAdapter.write(LoRAAdapter.load(folder.resolve("saved")), folder.resolve("loaded.onnx_adapter"));
        INDArray input = Nd4j.rand(DataType.FLOAT, 7, 4);

        try (OrtSession session = session(OptLevel.ALL_OPT)) {
            requireSame(InRuntime.outputs(tuned, input), session, folder.resolve("loaded.onnx_adapter"), input);
        }
    }

    static Stream<Arguments> layers() {
        InputType sequence = InputType.recurrent(4);
        InputType image = InputType.convolutional(7, 6, 3);
        InputType volume = InputType.convolutional3D(Convolution3D.DataFormat.NCDHW, 4, 5, 6, 2);
        return Stream.of(
                Arguments.of("convolution", new ConvolutionLayer.Builder(3, 2).nIn(3).nOut(4).stride(2, 1).padding(1, 0).build(),
                        image),
                Arguments.of("convolution with Same and dilation", new ConvolutionLayer.Builder(3, 3).nIn(3).nOut(4)
                        .convolutionMode(ConvolutionMode.Same).dilation(2, 1).build(), image),
                Arguments.of("NHWC", new ConvolutionLayer.Builder(2, 2).nIn(3).nOut(4).dataFormat(CNN2DFormat.NHWC).build(),
                        InputType.convolutional(7, 6, 3, CNN2DFormat.NHWC)),
                Arguments.of("pointwise", new ConvolutionLayer.Builder(1, 1).nIn(3).nOut(4).build(), image),
                Arguments.of("causal", new Convolution1D.Builder(3).nIn(4).nOut(5).convolutionMode(ConvolutionMode.Causal)
                        .build(), sequence),
                Arguments.of("volume", new Convolution3D.Builder(2, 3, 2).nIn(2).nOut(3).build(),
                        volume),
                Arguments.of("deconvolution", new Deconvolution2D.Builder(2, 2).nIn(3).nOut(4).stride(2, 2).build(), image),
                Arguments.of("deconvolution of volumes", new Deconvolution3D.Builder().kernelSize(2, 2, 2).nIn(2).nOut(3).build(),
                        volume),
                Arguments.of("depthwise", new DepthwiseConvolution2D.Builder(2, 2).nIn(3).nOut(6).depthMultiplier(2).build(),
                        image),
                Arguments.of("separable", new SeparableConvolution2D.Builder(2, 2).nIn(3).nOut(4).depthMultiplier(2).build(),
                        image),
                Arguments.of("locally connected", new LocallyConnected2D.Builder().kernelSize(2, 2).stride(1, 1).nIn(3).nOut(4)
                        .setInputSize(7, 6).build(), image),
                Arguments.of("LSTM", new LSTM.Builder().nIn(4).nOut(3).build(), sequence),
                Arguments.of("GravesLSTM", new GravesLSTM.Builder().nIn(4).nOut(3).build(), sequence),
                Arguments.of("SimpleRnn", new SimpleRnn.Builder().nIn(4).nOut(3).build(), sequence),
                Arguments.of("Bidirectional", new Bidirectional(new LSTM.Builder().nIn(4).nOut(3).build()), sequence),
                Arguments.of("LastTimeStep", new LastTimeStep(new SimpleRnn.Builder().nIn(4).nOut(3).build()), sequence),
                Arguments.of("attention", new SelfAttentionLayer.Builder().nIn(4).nOut(6).nHeads(2).projectInput(true).build(),
                        sequence),
                Arguments.of("RnnOutputLayer", new RnnOutputLayer.Builder().nIn(4).nOut(3).activation(Activation.SOFTMAX)
                        .build(), sequence),
                Arguments.of("TimeDistributed", new TimeDistributed(new DenseLayer.Builder().nIn(4).nOut(3).build()), sequence),
                Arguments.of("embedding", new EmbeddingLayer.Builder().nIn(7).nOut(3).build(), InputType.feedForward(1)),
                Arguments.of("sequence embedding", new EmbeddingSequenceLayer.Builder().nIn(7).nOut(3).build(),
                        InputType.feedForward(5)));
    }

    private static MultiLayerNetwork chain(InputType type, Layer layer) {
        layer.setLayerName("adapted");
        ListBuilder list = new NeuralNetConfiguration.Builder().seed(1).list().layer(layer);
        MultiLayerNetwork network = Initialised.of(
                (type instanceof InputType.InputTypeFeedForward ? list : list.setInputType(type)).build());
        filled(network.params(), 2);
        return network;
    }

    private static INDArray example(InputType type, Layer layer) {
        Nd4j.getRandom().setSeed(4);
        long words = layer instanceof EmbeddingLayer ? 1 : 5;
        return layer instanceof EmbeddingLayer || layer instanceof EmbeddingSequenceLayer
                ? Transforms.floor(Nd4j.rand(DataType.FLOAT, 6, words).muli(7))
                : type instanceof InputType.InputTypeRecurrent ? Nd4j.rand(DataType.FLOAT, 6, 4, 5)
                : Nd4j.rand(DataType.FLOAT, sized(type));
    }

    private static long[] sized(InputType type) {
        long[] shape = type.getShape(true);
        shape[0] = 6;
        return shape;
    }

    private void write(MultiLayerNetwork base, MultiLayerNetwork tuned, InputType type) throws IOException {
        OnnxExport.of(base).inputTypes(type).adapters(LoRAAdapter.of(tuned)).write(folder.resolve("base.onnx"));
    }

    private static MultiLayerNetwork dense() {
        MultiLayerNetwork network = Initialised.of(new NeuralNetConfiguration.Builder().seed(1).list()
                .layer(new DenseLayer.Builder().name("first").nIn(4).nOut(5).activation(Activation.TANH).build())
                .layer(new DenseLayer.Builder().name("second").nIn(5).nOut(6).activation(Activation.RELU).build())
                .layer(new OutputLayer.Builder().name("last").nIn(6).nOut(3).activation(Activation.SOFTMAX).build())
                .build());
        filled(network.params(), 2);
        return network;
    }

    private static void filled(INDArray values, long seed) {
        Nd4j.getRandom().setSeed(seed);
        values.assign(Nd4j.rand(DataType.FLOAT, values.shape()).subi(0.5).muli(1.2));
    }

    /** An adapted network as if it had been trained. */
    private static MultiLayerNetwork tuned(MultiLayerNetwork base, LoRAConfig.Builder config) {
        MultiLayerNetwork tuned = LoRA.apply(base, config.build());
        move(tuned);
        return tuned;
    }

    private static ComputationGraph tuned(ComputationGraph base, LoRAConfig.Builder config) {
        ComputationGraph tuned = LoRA.apply(base, config.build());
        move(tuned);
        return tuned;
    }

    private static void move(Model tuned) {
        INDArray before = tuned.params().dup();
        filled(tuned.params(), 3);
        tuned.params().addi(before);
        // Some layers keep what they computed of their parameters until they are told.
        LoRAAdapter.of(tuned).applyTo(tuned);
    }

    /** The file "base.onnx" with each adapter, and with none between them, in one session. */
    private <M extends Model> void requireAgreement(M base, List<M> tuned, INDArray... inputs)
            throws IOException, OrtException {
        for (OptLevel level : List.of(OptLevel.ALL_OPT, OptLevel.NO_OPT)) {
            try (OrtSession session = session(level)) {
                for (M network : tuned) {
                    requireSame(InRuntime.outputs(base, inputs), session, null, inputs);
                    Path file = folder.resolve("adapter.onnx_adapter");
                    OnnxAdapter.write(LoRAAdapter.of(network), base, file);
                    List<INDArray> expected = InRuntime.outputs(network, inputs);
                    assertThat(InRuntime.difference(InRuntime.outputs(base, inputs).get(0), expected.get(0)))
                            .isGreaterThan(1e-2);
                    requireSame(expected, session, file, inputs);
                    requireSame(InRuntime.outputs(LoRA.merging(network).merge(), inputs), session, file, inputs);
                }
                requireSame(InRuntime.outputs(base, inputs), session, null, inputs);
            }
        }
    }

    private OrtSession session(OptLevel level) throws OrtException {
        try (OrtSession.SessionOptions options = new OrtSession.SessionOptions()) {
            options.setOptimizationLevel(level);
            // It warns that inputs with defaults are no constants.
            options.setSessionLogLevel(OrtLoggingLevel.ORT_LOGGING_LEVEL_ERROR);
            return OrtEnvironment.getEnvironment().createSession(folder.resolve("base.onnx").toString(), options);
        }
    }

    private static void requireSame(List<INDArray> expected, OrtSession session, @Nullable Path adapter, INDArray... inputs)
            throws OrtException {
        List<INDArray> actual = run(session, adapter, inputs);
        assertThat(actual).hasSameSizeAs(expected);
        for (int i = 0; i < actual.size(); i++) {
            assertThat(InRuntime.difference(expected.get(i), actual.get(i))).isLessThanOrEqualTo(InRuntime.TOLERANCE);
        }
    }

    private static List<INDArray> run(OrtSession session, @Nullable Path adapter, INDArray... inputs) throws OrtException {
        try (OrtSession.RunOptions options = new OrtSession.RunOptions()) {
            if (adapter == null) {
                return InRuntime.run(session, options, inputs);
            }
            try (OrtLoraAdapter active = OrtLoraAdapter.create(adapter.toString())) {
                options.addActiveLoraAdapter(active);
                return InRuntime.run(session, options, inputs);
            }
        }
    }
}
