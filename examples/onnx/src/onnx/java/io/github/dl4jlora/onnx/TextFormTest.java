package io.github.dl4jlora.onnx;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OnnxValue;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.transformers.Head;
import io.github.dl4jlora.transformers.TransformerShape;
import io.github.dl4jlora.transformers.layer.TokenEmbeddings;
import onnx.Onnx.ModelProto;
import onnx.Onnx.ValueInfoProto;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.ShiftVertex;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.within;

/** Files that programs can run which run Hugging Face's. */
class TextFormTest {

    private static final String IDS = "input_ids";
    private static final String MASK = "attention_mask";
    private static final String TYPES = "token_type_ids";
    private static final String HIDDEN = "last_hidden_state";
    private static final TransformerShape BERT = TransformerShape.bert(20, 9, 8, 12, 2, 2);
    private static final TransformerShape ROBERTA = TransformerShape.roberta(20, 9, 8, 12, 1, 2);
    private static final TransformerShape DISTILBERT = TransformerShape.distilBert(20, 9, 8, 12, 1, 2);
    private static final TransformerShape GPT2 = TransformerShape.gpt2(20, 9, 8, 1, 2);

    /** Two texts, of 3 tokens and 1; what the mask leaves out is no padding by its id. */
    private static final long[][] TOKENS = {{5, 7, 9}, {6, 8, 4}};
    private static final long[][] ATTENDED = {{1, 1, 1}, {1, 0, 0}};

    @TempDir
    private Path folder;

    static Stream<Arguments> forms() {
        return Stream.of(
                Arguments.of(BERT, Head.tokenVectors(), List.of(IDS, MASK, TYPES), List.of(HIDDEN)),
                Arguments.of(BERT, Head.meanPooling(), List.of(IDS, MASK, TYPES), List.of(HIDDEN, "sentence_embedding")),
                Arguments.of(BERT, Head.firstToken(), List.of(IDS, MASK, TYPES), List.of(HIDDEN, "sentence_embedding")),
                Arguments.of(BERT, Head.maxPooling(), List.of(IDS, MASK, TYPES), List.of(HIDDEN, "sentence_embedding")),
                Arguments.of(BERT, Head.pooler(), List.of(IDS, MASK, TYPES), List.of(HIDDEN, "sentence_embedding")),
                Arguments.of(BERT, Head.classifier(3), List.of(IDS, MASK, TYPES), List.of("classifier")),
                Arguments.of(BERT, Head.maskedWords(), List.of(IDS, MASK, TYPES), List.of("logits")),
                Arguments.of(ROBERTA, Head.meanPooling(), List.of(IDS, MASK), List.of(HIDDEN, "sentence_embedding")),
                Arguments.of(DISTILBERT, Head.tokenVectors(), List.of(IDS, MASK), List.of(HIDDEN)),
                Arguments.of(GPT2, Head.classifier(2), List.of(IDS, MASK), List.of("score")),
                Arguments.of(GPT2, Head.nextWord(), List.of(IDS, MASK), List.of("logits")));
    }

    @ParameterizedTest
    @MethodSource("forms")
    void inputsAndOutputsHaveTheNamesOfHuggingFace(TransformerShape shape, Head head, List<String> inputs, List<String> outputs)
            throws IOException, OrtException {
        ComputationGraph network = TransformersTest.network(shape, head);
        Path file = file(network);

        Map<String, INDArray> actual = run(file, feed(TOKENS, ATTENDED, inputs));

        assertThat(actual.keySet()).containsExactlyElementsOf(outputs);
        int padding = shape.padding();
        INDArray expected = network.outputSingle(Nd4j.createFromArray(new float[][]{{5, 7, 9}, {6, padding, padding}}));
        INDArray last = actual.get(outputs.get(outputs.size() - 1));
        if (last.rank() == 2) {
            assertThat(InRuntime.difference(expected, last)).isLessThanOrEqualTo(InRuntime.TOLERANCE);
        } else {
            // Of the second text, only the first token counts; the ids of the others differ.
            assertThat(last.shape()).startsWith(2, 3);
            INDArray rows = last.reshape('c', 6, last.size(2));
            int[] tokens = {0, 1, 2, 3};
            assertThat(InRuntime.difference(Nd4j.pullRows(expected, 1, tokens), Nd4j.pullRows(rows, 1, tokens)))
                    .isLessThanOrEqualTo(InRuntime.TOLERANCE);
        }
    }

    @Test
    void vectorsPooledByWhoeverRunsThemAreTheNetworksEmbedding() throws IOException, OrtException {
        ComputationGraph network = TransformersTest.network(BERT, Head.meanPooling());

        Map<String, INDArray> actual = run(file(network), feed(TOKENS, ATTENDED, List.of(IDS, MASK, TYPES)));

        INDArray vectors = actual.get(HIDDEN);
        INDArray embedding = actual.get("sentence_embedding");
        assertThat(InRuntime.difference(embedding.getRow(0), vectors.slice(0).mean(0))).isLessThan(InRuntime.TOLERANCE);
        assertThat(InRuntime.difference(embedding.getRow(1), vectors.slice(1).getRow(0))).isLessThan(InRuntime.TOLERANCE);
    }

    @Test
    void tokensAreOfTheTypesThatAreGiven() throws IOException, OrtException {
        ComputationGraph network = TransformersTest.network(BERT, Head.tokenVectors());
        Path file = file(network);
        INDArray types = network.getLayer("embeddings").getParam("T");
        types.getRow(0).assign(types.getRow(1));
        INDArray expected = network.outputSingle(Nd4j.createFromArray(new float[][]{{5, 7, 9}}));

        Map<String, long[][]> inputs = feed(new long[][]{{5, 7, 9}}, new long[][]{{1, 1, 1}}, List.of(IDS, MASK));
        inputs.put(TYPES, new long[][]{{1, 1, 1}});
        INDArray actual = run(file, inputs).get(HIDDEN);

        assertThat(InRuntime.difference(expected, actual.reshape('c', 3, 8))).isLessThanOrEqualTo(InRuntime.TOLERANCE);
    }

    static Stream<TransformerShape> readers() {
        return Stream.of(BERT, ROBERTA, DISTILBERT);
    }

    @ParameterizedTest
    @MethodSource("readers")
    void answersHaveAStartAndAnEnd(TransformerShape shape) throws IOException, OrtException {
        ComputationGraph network = TransformersTest.network(shape, Head.questionAnswering());
        Path file = file(network);
        long[][] types = {{0, 1, 1}, {0, 1, 1}};
        INDArray ids = Nd4j.createFromArray(new float[][]{{5, 7, 9}, {6, 8, 4}});
        INDArray[] features = shape.hasTextTypes() ? new INDArray[]{ids, Nd4j.createFromArray(types).castTo(ids.dataType())}
                : new INDArray[]{ids};
        INDArray expected = network.output(features)[0];

        Map<String, long[][]> inputs = feed(TOKENS, new long[][]{{1, 1, 1}, {1, 1, 1}},
                shape.hasTextTypes() ? List.of(IDS, TYPES, MASK) : List.of(IDS, MASK));
        inputs.computeIfPresent(TYPES, (name, zeros) -> types);
        Map<String, INDArray> actual = run(file, inputs);
        assertThat(actual.keySet()).containsExactly("start_logits", "end_logits");
        assertThat(InRuntime.difference(expected, Nd4j.concat(1, actual.get("start_logits"), actual.get("end_logits"))))
                .isLessThanOrEqualTo(InRuntime.TOLERANCE);

        OnnxExport.of(network).outputs("qa").forText().write(file);
        assertThat(run(file, inputs)).containsOnlyKeys("start_qa", "end_qa");
    }

    @Test
    void paddingIsNoAnswer() throws IOException, OrtException {
        Path file = file(TransformersTest.network(DISTILBERT, Head.questionAnswering()));

        INDArray start = run(file, feed(TOKENS, ATTENDED, List.of(IDS, MASK))).get("start_logits");

        assertThat(start.getRow(1).toFloatVector()).endsWith(-3e4f, -3e4f);
    }

    @Test
    void idsThatTheNetworkMakesAreRefused() {
        ComputationGraph network = Initialised.of(new NeuralNetConfiguration.Builder().seed(1).graphBuilder()
                .addInputs("words").addVertex("next", new ShiftVertex(1), "words")
                .addLayer("embeddings", new TokenEmbeddings.Builder(20, 9, 8).build(), "next").setOutputs("embeddings").build());

        assertThatExceptionOfType(OnnxExportException.class).isThrownBy(() -> OnnxExport.of(network).forText())
                .withMessage("Layer \"embeddings\" cannot be written as ONNX: forText() feeds it ids of tokens, but it reads "
                        + "what layer \"next\" makes of them. Leave out OnnxExport.forText()");
    }

    @Test
    void aTextOfPaddingAloneGivesNumbers() throws IOException, OrtException {
        Path file = file(TransformersTest.network(BERT, Head.meanPooling()));

        Map<String, INDArray> actual = run(file, feed(TOKENS, new long[][]{{1, 1, 1}, {0, 0, 0}}, List.of(IDS, MASK, TYPES)));

        assertThat(actual.get("sentence_embedding").getRow(1).amaxNumber().doubleValue()).isCloseTo(0, within(0.0));
        assertThat(actual.get(HIDDEN).sumNumber().doubleValue()).isFinite();
    }

    @Test
    void aBaseWithAnAdapterApartComputesWhatTheBaseComputes() throws IOException, OrtException {
        ComputationGraph base = TransformersTest.network(DISTILBERT, Head.meanPooling());
        ComputationGraph tuned = LoRA.apply(base, TransformersTest.adapter().build());
        Path file = folder.resolve("model.onnx");
        OnnxExport.of(base).adapters(LoRAAdapter.of(tuned)).forText().write(file);

        Map<String, INDArray> actual = run(file, feed(TOKENS, ATTENDED, List.of(IDS, MASK)));

        INDArray expected = base.outputSingle(Nd4j.createFromArray(new float[][]{{5, 7, 9}, {6, 0, 0}}));
        assertThat(InRuntime.difference(expected, actual.get("sentence_embedding"))).isLessThanOrEqualTo(InRuntime.TOLERANCE);
    }

    @Test
    void idsOfAnotherNameAreInputIds() throws IOException, OrtException {
        ComputationGraph network = Initialised.of(new NeuralNetConfiguration.Builder().seed(1).graphBuilder()
                .addInputs("words").addLayer("embeddings", new TokenEmbeddings.Builder(20, 9, 8).build(), "words")
                .setOutputs("embeddings").build());

        assertThat(run(file(network), feed(TOKENS, ATTENDED, List.of(IDS, MASK)))).containsOnlyKeys(HIDDEN);
        OnnxExport.of(network).inputs("mine").forText().write(folder.resolve("model.onnx"));
        assertThat(ModelProto.parseFrom(Files.readAllBytes(folder.resolve("model.onnx"))).getGraph().getInput(0).getName())
                .isEqualTo("mine");
    }

    /** DJL's translators feed inputs by their places. */
    @Test
    void theTypesOfPairsAreTheLastInputAndAsLongAsTheIds() throws IOException {
        for (Head head : List.of(Head.classifier(3), Head.classifier(3).ofPairs(), Head.questionAnswering())) {
            List<ValueInfoProto> inputs = ModelProto.parseFrom(Files.readAllBytes(file(TransformersTest.network(BERT, head))))
                    .getGraph().getInputList();

            assertThat(inputs).extracting(ValueInfoProto::getName).containsExactly(IDS, MASK, TYPES);
            assertThat(inputs).extracting(input -> input.getType().getTensorType().getShape()).containsOnly(
                    inputs.get(0).getType().getTensorType().getShape());
        }
    }

    @Test
    void aSecondMaskIsRefused() {
        OnnxExport export = OnnxExport.of(TransformersTest.network(BERT, Head.tokenVectors())).forText().masks(true);

        assertThatExceptionOfType(OnnxExportException.class).isThrownBy(() -> export.write(folder.resolve("never")))
                .withMessage("masks(true) and forText(): a text's mask is attention_mask already. Leave masks(true) out");
        assertThat(folder).isEmptyDirectory();
    }

    @Test
    void aNetworkWithoutTokensIsRefused() {
        MultiLayerNetwork network = Initialised.of(new NeuralNetConfiguration.Builder().seed(1).list()
                .layer(new OutputLayer.Builder().nIn(5).nOut(3).activation(Activation.SOFTMAX).build()).build());

        assertThatExceptionOfType(OnnxExportException.class).isThrownBy(() -> OnnxExport.of(network).forText())
                .withMessage("forText(): the network has no TokenEmbeddings, the layer of transformers that reads ids of tokens. "
                        + "Leave the call out");
    }

    private Path file(org.deeplearning4j.nn.api.Model network) throws IOException {
        Path file = folder.resolve("model.onnx");
        OnnxExport.of(network).forText().write(file);
        return file;
    }

    private static Map<String, long[][]> feed(long[][] ids, long[][] mask, List<String> inputs) {
        Map<String, long[][]> all = Map.of(IDS, ids, MASK, mask, TYPES, new long[ids.length][ids[0].length]);
        Map<String, long[][]> fed = new HashMap<>();
        inputs.forEach(name -> fed.put(name, all.get(name)));
        return fed;
    }

    private static Map<String, INDArray> run(Path file, Map<String, long[][]> inputs) throws OrtException {
        OrtEnvironment environment = OrtEnvironment.getEnvironment();
        Map<String, OnnxTensor> tensors = new HashMap<>();
        try (OrtSession session = environment.createSession(file.toString())) {
            assertThat(session.getInputNames()).containsExactlyInAnyOrderElementsOf(inputs.keySet());
            for (Map.Entry<String, long[][]> input : inputs.entrySet()) {
                tensors.put(input.getKey(), OnnxTensor.createTensor(environment, input.getValue()));
            }
            Map<String, INDArray> outputs = new LinkedHashMap<>();
            try (OrtSession.Result result = session.run(tensors)) {
                for (Map.Entry<String, OnnxValue> output : result) {
                    outputs.put(output.getKey(), InRuntime.array(output.getValue()));
                }
            }
            return outputs;
        } finally {
            tensors.values().forEach(OnnxTensor::close);
        }
    }
}
