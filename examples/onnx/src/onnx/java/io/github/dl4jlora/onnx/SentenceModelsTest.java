package io.github.dl4jlora.onnx;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.transformers.Head;
import io.github.dl4jlora.transformers.Pooling;
import io.github.dl4jlora.transformers.Transformer;
import io.github.dl4jlora.transformers.TransformerShape;
import io.github.dl4jlora.transformers.layer.ErfGelu;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration.GraphBuilder;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.L2NormalizeVertex;
import org.deeplearning4j.nn.conf.graph.MergeVertex;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.activations.IActivation;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;

/** What sentence-transformers has on top of a transformer: every pooling, dense layers, normalisation. */
class SentenceModelsTest {

    private static final TransformerShape BERT = TransformerShape.bert(20, 9, 8, 12, 1, 2);
    private static final TransformerShape GPT2 = TransformerShape.gpt2(20, 9, 8, 1, 2);

    @TempDir
    private Path folder;

    static Stream<Arguments> models() {
        List<IActivation> activations = List.of(Activation.TANH.getActivationFunction(), new ErfGelu(),
                Activation.IDENTITY.getActivationFunction(), Activation.SIGMOID.getActivationFunction(),
                Activation.SWISH.getActivationFunction(), Activation.RELU.getActivationFunction());
        return Stream.concat(Arrays.stream(Pooling.values()).flatMap(mode -> Stream.of(BERT, GPT2).map(shape ->
                        Arguments.of(shape, activations.get(mode.ordinal()), List.of(mode)))),
                Stream.of(Arguments.of(BERT, activations.get(0), List.of(Pooling.values()))));
    }

    private static ComputationGraph network(TransformerShape shape, IActivation activation, List<Pooling> modes) {
        GraphBuilder graph = Transformer.addTo(new NeuralNetConfiguration.Builder().seed(7).graphBuilder(), shape,
                Head.tokenVectors());
        String pooled = Pooling.addTo(graph, shape, Transformer.output(shape, Head.tokenVectors()),
                modes.toArray(Pooling[]::new));
        graph.addLayer("2_Dense.linear", new DenseLayer.Builder().nIn((long) modes.size() * shape.hidden()).nOut(5)
                        .activation(activation).build(), pooled)
                .addVertex("sentence", new L2NormalizeVertex(), "2_Dense.linear").setOutputs("sentence");
        return Samples.shaken(Initialised.of(graph.build()), 5);
    }

    private static INDArray ids(TransformerShape shape) {
        int padding = shape.padding();
        return Nd4j.createFromArray(new float[][] {{5, 7, 9, 3}, {6, 8, padding, padding}, {4, padding, padding, padding}});
    }

    @ParameterizedTest
    @MethodSource("models")
    void everyPoolingUnderADenseLayerComputesTheSame(TransformerShape shape, IActivation activation, List<Pooling> modes)
            throws IOException {
        ComputationGraph network = network(shape, activation, modes);
        InRuntime.agrees(network, OnnxExport.of(network), ids(shape));
    }

    @Test
    @Timeout(value = 10, unit = TimeUnit.MINUTES, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
    void numbersBesideASentenceOfManyBlocksComputeTheSame() throws IOException {
        TransformerShape shape = TransformerShape.bert(20, 9, 8, 12, 12, 2);
        ComputationGraph network = Initialised.of(Transformer.addTo(new NeuralNetConfiguration.Builder().seed(7)
                .graphBuilder(), shape, Head.meanPooling()).addInputs("numbers").addVertex("both", new MergeVertex(),
                Transformer.POOLING, "numbers").addLayer("dense", new DenseLayer.Builder().nIn(8 + 5).nOut(3).build(), "both")
                .setOutputs("dense").build());

        InRuntime.agrees(Samples.shaken(network, 5), OnnxExport.of(network), ids(shape), Samples.normal(3, 5));
    }

    @ParameterizedTest
    @MethodSource("models")
    void inTheFormOfTextsItsOutputIsTheSentencesEmbedding(TransformerShape shape, IActivation activation, List<Pooling> modes)
            throws IOException, OrtException {
        ComputationGraph network = network(shape, activation, modes);
        OnnxExport.of(network).forText().write(folder.resolve("model.onnx"));
        OrtEnvironment environment = OrtEnvironment.getEnvironment();
        try (OrtSession session = environment.createSession(folder.resolve("model.onnx").toString());
                OnnxTensor ids = OnnxTensor.createTensor(environment, new long[][] {{5, 7, 9, 3}, {6, 8, 2, 2}, {4, 2, 2, 2}});
                OnnxTensor mask = OnnxTensor.createTensor(environment, new long[][] {{1, 1, 1, 1}, {1, 1, 0, 0}, {1, 0, 0, 0}});
                OnnxTensor types = OnnxTensor.createTensor(environment, new long[3][4])) {
            Map<String, OnnxTensor> inputs = shape == GPT2 ? Map.of("input_ids", ids, "attention_mask", mask)
                    : Map.of("input_ids", ids, "attention_mask", mask, "token_type_ids", types);
            try (OrtSession.Result result = session.run(inputs)) {
                assertThat(session.getOutputNames()).containsExactly("last_hidden_state", "sentence_embedding");
                assertThat(InRuntime.difference(network.outputSingle(ids(shape)),
                        InRuntime.array(result.get("sentence_embedding").orElseThrow())))
                        .isLessThanOrEqualTo(InRuntime.TOLERANCE);
            }
        }
    }

    @Test
    void anAdaptedDenseLayerIsWritten() throws IOException {
        ComputationGraph network = network(BERT, Activation.TANH.getActivationFunction(), List.of(Pooling.MAXIMUM));
        ComputationGraph adapted = Samples.shaken(LoRA.apply(network, TransformersTest.adapter().targets("2_Dense.linear")
                .build()), 2);
        InRuntime.agrees(adapted, OnnxExport.of(adapted), ids(BERT));
    }
}
