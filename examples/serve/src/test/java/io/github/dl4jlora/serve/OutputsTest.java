package io.github.dl4jlora.serve;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.bank.AdapterBank;
import io.github.dl4jlora.bank.AdapterMix;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.internal.untrusted.Safetensors;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.SubsetVertex;
import org.deeplearning4j.nn.conf.layers.EmbeddingLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;
import org.nd4j.shade.jackson.databind.JsonNode;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.http.HttpRequest;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

import static io.github.dl4jlora.serve.Running.assertSame;
import static io.github.dl4jlora.serve.Running.outputsOf;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.offset;

/** What is answered is what a single network computes, and what is wrong with a request is said. */
@Tag("serve")
class OutputsTest {

    private static final String BINARY = "application/safetensors";

    @TempDir
    private static Path adapters;
    private static MultiLayerNetwork base;
    private static Running running;

    private final INDArray input = Networks.input(7, 5, Networks.IN);

    @BeforeAll
    static void start() throws IOException {
        base = Networks.dense(1);
        Networks.adapter(base, 1).save(adapters.resolve("spam"));
        Networks.adapter(base, 2).save(adapters.resolve("tone"));
        running = new Running(base, adapters);
    }

    @AfterAll
    static void stop() {
        running.close();
    }

    @Test
    void ofAdaptersAndOfTheBaseAreThoseOfASingleNetwork() throws Exception {
        assertSame(running.outputs("spam", input), Networks.output(base, 1, input));
        assertSame(running.outputs("tone", input), Networks.output(base, 2, input));
        assertSame(running.outputs("__base__", input), base.output(input));
        assertThat(Networks.output(base, 1, input).distance2(Networks.output(base, 2, input))).isGreaterThan(0.1);
    }

    @Test
    void ofAMixAreThoseOfTheSumOfItsChanges() throws Exception {
        JsonNode answer = running.post(outputsOf("spam:0.7 + tone:0.3"), "{\"inputs\": " + Running.json(input) + "}").ok();

        assertThat(answer.get("adapter").asText()).isEqualTo("spam:0.7 + tone:0.3");
        assertSame(Running.array(answer.get("outputs")), mixed());
        assertSame(running.outputs("spam:0", input), base.output(input));
    }

    private INDArray mixed() {
        try (AdapterBank bank = new AdapterBank(base)) {
            bank.add("spam", Networks.adapter(base, 1));
            bank.add("tone", Networks.adapter(base, 2));
            return bank.output(AdapterMix.parse("spam:0.7 + tone:0.3"), input);
        }
    }

    @Test
    void inTheBinaryFormAreTheSame() throws Exception {
        Running.Answer answer = running.post(outputsOf("spam"), BINARY, binary(Map.of("anything", input)));

        assertThat(answer.status()).as(answer.text()).isEqualTo(200);
        assertThat(answer.headers()).containsEntry("content-type", BINARY);
        assertSame(tensors(answer.body()).get("output"), Networks.output(base, 1, input));
        assertSame(tensors(running.post(outputsOf("spam"), BINARY, binary(Map.of("any.mask", input))).body()).get("output"),
                Networks.output(base, 1, input));
    }

    @Test
    void areInTheFormThatIsAskedFor() throws Exception {
        byte[] json = ("{\"inputs\": " + Running.json(input) + "}").getBytes(StandardCharsets.UTF_8);

        assertSame(tensors(running.post(outputsOf("spam"), "application/json; charset=utf-8", json, "Accept", BINARY).body())
                .get("output"), Networks.output(base, 1, input));
        assertSame(Running.array(running.post(outputsOf("spam"), BINARY, binary(Map.of("input", input)), "Accept",
                "application/json").ok().get("outputs")), Networks.output(base, 1, input));
    }

    /** As the guide's ten lines write it, not by this project's own code. */
    @Test
    void theBinaryFormIsEightBytesAHeaderAndTheNumbers() throws Exception {
        byte[] header = ("{\"input\":{\"dtype\":\"F32\",\"shape\":[1," + Networks.IN + "],\"data_offsets\":[0,"
                + 4 * Networks.IN + "]}}").getBytes(StandardCharsets.US_ASCII);
        ByteBuffer body = ByteBuffer.allocate(8 + header.length + 4 * Networks.IN).order(ByteOrder.LITTLE_ENDIAN)
                .putLong(header.length).put(header);
        for (int i = 0; i < Networks.IN; i++) {
            body.putFloat(input.getFloat(0, i));
        }

        ByteBuffer answer = ByteBuffer.wrap(running.post(outputsOf("spam"), BINARY, body.array()).body())
                .order(ByteOrder.LITTLE_ENDIAN);
        int length = (int) answer.getLong();
        JsonNode told = Running.JSON.readTree(answer.array(), 8, length);

        assertThat(told.at("/output/dtype").asText()).isEqualTo("F32");
        assertThat(told.at("/output/shape").toString()).isEqualTo("[1," + Networks.OUT + "]");
        for (int i = 0; i < Networks.OUT; i++) {
            assertThat(answer.getFloat(8 + length + told.at("/output/data_offsets/0").asInt() + 4 * i))
                    .isCloseTo(Networks.output(base, 1, input).getFloat(0, i), offset(1e-5f));
        }
    }

    @Test
    void ofSeveralInputsAndOutputsGoByName(@TempDir Path folder) throws Exception {
        ComputationGraph graph = Networks.twice(3);
        Networks.adapter(graph, 4, "fc1", "fc2").save(folder.resolve("spam"));
        INDArray[] inputs = {input, Networks.input(8, 5, Networks.IN)};
        INDArray[] expected = ((ComputationGraph) Networks.adapted(graph, 4, "fc1", "fc2")).output(inputs);
        try (Running two = new Running(graph, folder)) {
            JsonNode outputs = two.post(outputsOf("spam"), "{\"inputs\": {\"right\": " + Running.json(inputs[1]) + ", \"left\": "
                    + Running.json(inputs[0]) + "}}").ok().get("outputs");
            assertSame(Running.array(outputs.get("sum")), expected[0]);
            assertSame(Running.array(outputs.get("gap")), expected[1]);

            Map<String, INDArray> tensors = tensors(two.post(outputsOf("spam"), BINARY,
                    binary(Map.of("left", inputs[0], "right", inputs[1]))).body());
            assertSame(tensors.get("sum"), expected[0]);
            assertSame(tensors.get("gap"), expected[1]);

            assertThat(two.post(outputsOf("spam"), "{\"inputs\": {\"left\": [[1]]}}").error(400))
                    .contains("left", "[examples, 6]");
            assertThat(two.post(outputsOf("spam"), "{\"inputs\": {\"left\": " + Running.json(input) + "}}").error(400))
                    .contains("\"right\" is missing");
            assertThat(two.post(outputsOf("spam"), "{\"inputs\": {\"left\": " + Running.json(input)
                    + ", \"right\": [[1,2,3,4,5,6]]}}").error(400)).contains("\"right\" has 1 examples", "\"left\" has 5");
        }
    }

    /** HALF has no 2,049. */
    @ParameterizedTest
    @ValueSource(strings = {"stock", "frozen by DL4J", "frozen", "quantized"})
    void ofWordsAreThoseOfTheSameWordsInSixteenBits(String form, @TempDir Path folder) throws Exception {
        Layer words = new EmbeddingLayer.Builder().nIn(3000).nOut(4).build();
        MultiLayerNetwork stock = new MultiLayerNetwork(new NeuralNetConfiguration.Builder().seed(1).dataType(DataType.HALF)
                .list().layer(form.equals("frozen by DL4J") ? new FrozenLayer(words) : words)
                .layer(new OutputLayer.Builder(LossFunction.MSE).activation(Activation.IDENTITY).nIn(4).nOut(2).build()).build());
        stock.init();
        MultiLayerNetwork network = form.equals("frozen") ? LoRA.freeze(stock)
                : form.equals("quantized") ? LoRA.freeze(stock, Quantization.INT8) : stock;
        try (Running halves = new Running(network, folder)) {
            JsonNode outputs = halves.post(outputsOf("__base__"), "{\"inputs\": [[2049]]}").ok().get("outputs");

            assertThat(Running.array(outputs)).isEqualTo(network.output(Nd4j.createFromArray(new float[][] {{2049}}))
                    .castTo(DataType.FLOAT));
        }
    }

    /** As tokenizers for Python give them. */
    @ParameterizedTest
    @CsvSource({"I64, 8, 2049", "I32, 4, 2049", "I16, 2, 2049", "U8, 1, 200", "I8, 1, 100", "BOOL, 1, 1"})
    void ofWordsAsWholeNumbersAreThoseOfTheSameWords(String type, int width, int word, @TempDir Path folder) throws Exception {
        for (DataType of : List.of(DataType.HALF, DataType.FLOAT, DataType.DOUBLE)) {
            MultiLayerNetwork network = new MultiLayerNetwork(new NeuralNetConfiguration.Builder().seed(1).dataType(of).list()
                    .layer(new EmbeddingLayer.Builder().nIn(3000).nOut(4).build())
                    .layer(new OutputLayer.Builder(LossFunction.MSE).activation(Activation.IDENTITY).nIn(4).nOut(2).build())
                    .build());
            network.init();
            byte[] header = ("{\"input\":{\"dtype\":\"" + type + "\",\"shape\":[2,1],\"data_offsets\":[0," + 2 * width + "]}}")
                    .getBytes(StandardCharsets.US_ASCII);
            ByteBuffer body = ByteBuffer.allocate(8 + header.length + 2 * width).order(ByteOrder.LITTLE_ENDIAN)
                    .putLong(header.length).put(header);
            for (int i = 0; i < width; i++) {
                body.put(8 + header.length + i, (byte) ((long) word >> 8 * i));
            }
            try (Running running = new Running(network, folder)) {
                JsonNode outputs = running.post(outputsOf("__base__"), BINARY, body.array(), "Accept", "application/json").ok()
                        .get("outputs");
                assertSame(Running.array(outputs), network.output(Nd4j.createFromArray(new float[][] {{word}, {0}}))
                        .castTo(DataType.FLOAT));
            }
        }
    }

    /** The word comes out of the input by way of a vertex; what is beside it is no word. */
    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void ofWordsBesideOtherNumbersAreThoseOfTheSameWords(boolean isFrozen, @TempDir Path folder) throws Exception {
        ComputationGraph stock = new ComputationGraph(new NeuralNetConfiguration.Builder().seed(1).dataType(DataType.HALF)
                .graphBuilder().addInputs("both").addVertex("word", new SubsetVertex(0, 0), "both")
                .addVertex("rest", new SubsetVertex(1, 2), "both")
                .addLayer("words", new EmbeddingLayer.Builder().nIn(3000).nOut(4).build(), "word")
                .addLayer("out", new OutputLayer.Builder(LossFunction.MSE).activation(Activation.IDENTITY).nIn(6).nOut(2).build(),
                        "words", "rest").setOutputs("out").build());
        stock.init();
        ComputationGraph network = isFrozen ? LoRA.freeze(stock) : stock;
        try (Running halves = new Running(network, folder)) {
            JsonNode outputs = halves.post(outputsOf("__base__"), "{\"inputs\": [[2049, 0.5, -0.5]]}").ok().get("outputs");

            assertThat(Running.array(outputs)).isEqualTo(network
                    .outputSingle(Nd4j.createFromArray(new float[][] {{2049, 0.5f, -0.5f}})).castTo(DataType.FLOAT));
        }
    }

    @Test
    void ofNumbersOnlyDoubleHoldsAreThoseOfTheNetwork(@TempDir Path folder) throws Exception {
        MultiLayerNetwork network = Networks.dense(1).convertDataType(DataType.DOUBLE);
        INDArray large = Nd4j.createFromArray(new double[][] {{1e39, 1, 1, 1, 1, 1}});
        try (Running doubles = new Running(network, folder)) {
            assertSame(Running.array(doubles.post(outputsOf("__base__"), "{\"inputs\": [[1e39, 1, 1, 1, 1, 1]]}").ok()
                    .get("outputs")), network.output(large).castTo(DataType.FLOAT));
            assertThat(doubles.post(outputsOf("__base__"), "{\"inputs\": [[1e309, 1, 1, 1, 1, 1]]}").error(400))
                    .contains("1e309", "the range of DOUBLE");
        }
    }

    @Test
    void ofAnInputThatIsCalledLikeAMaskAreInTheBinaryForm(@TempDir Path folder) throws Exception {
        ComputationGraph network = new ComputationGraph(new NeuralNetConfiguration.Builder().seed(1).graphBuilder()
                .addInputs("image", "image.mask")
                .addLayer("out", new OutputLayer.Builder(LossFunction.MSE).activation(Activation.IDENTITY).nIn(2 * Networks.IN)
                        .nOut(2).build(), "image", "image.mask").setOutputs("out").build());
        network.init();
        INDArray mask = Networks.input(8, 5, Networks.IN);
        try (Running masked = new Running(network, folder)) {
            assertSame(tensors(masked.post(outputsOf("__base__"), BINARY, binary(Map.of("image", input, "image.mask", mask)))
                    .body()).get("out"), network.outputSingle(input, mask));
        }
    }

    @Test
    void ofNumbersBeyondTheNetworksTypeAreAReason(@TempDir Path folder) throws Exception {
        try (Running halves = new Running(Networks.dense(1).convertDataType(DataType.HALF), folder)) {
            assertThat(halves.post(outputsOf("__base__"), "{\"inputs\": [[1, 2, 3, 4, 5, 70000]]}").error(400))
                    .contains("\"input\" contains 70000", "HALF");
        }
    }

    @Test
    void ofMaskedSeriesAreThoseOfTheNetworkWithMasks(@TempDir Path folder) throws Exception {
        MultiLayerNetwork series = Networks.recurrent(3);
        Networks.adapter(series, 4, "lstm").save(folder.resolve("spam"));
        MultiLayerNetwork single = (MultiLayerNetwork) Networks.adapted(series, 4, "lstm");
        INDArray steps = Networks.input(9, 2, Networks.IN, 4);
        INDArray mask = Nd4j.createFromArray(new float[][] {{1, 1, 0, 0}, {1, 1, 1, 1}});
        INDArray expected = single.output(steps, false, mask, null);
        try (Running running = new Running(series, folder)) {
            assertSame(Running.array(running.post(outputsOf("spam"), "{\"inputs\": " + Running.json(steps) + ", \"masks\": "
                    + Running.json(mask) + "}").ok().get("outputs")), expected);
            assertSame(tensors(running.post(outputsOf("spam"), BINARY, binary(Map.of("input", steps, "input.mask", mask))).body())
                    .get("output"), expected);
            assertThat(expected.distance2(single.output(steps))).isGreaterThan(1e-3);

            assertThat(running.post(outputsOf("spam"), "{\"inputs\": [[1,2,3,4,5,6]]}").error(400))
                    .contains("[1, 6]", "[examples, 6, any]");
            assertThat(running.post(outputsOf("spam"), "{\"inputs\": " + Running.json(steps) + ", \"masks\": [[1]]}").error(400))
                    .contains("2 examples");
        }
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '~', textBlock = """
            {"inputs": [[1, 2], [3]]}                   | lists of 2 and of 1 in its dimension 1
            {"inputs": [[1, 2, 3]]}                     | [1, 3], but the network takes [examples, 6]
            {"inputs": [1, 2, 3, 4, 5, 6]}              | [6], but the network takes [examples, 6]
            {"inputs": [[1, 2, 3, 4, 5, "six"]]}        | contains six, but numbers are needed
            {"inputs": [[1, 2, 3, 4, 5, null]]}         | contains null
            {"inputs": [[1, 2, 3, 4, 5, 1e99]]}         | contains 1e99
            {"inputs": [[1, 2, 3, 4, 5, NaN]]}          | not JSON
            {"inputs": [[1, 2], 3]}                     | mixes numbers and lists
            {"inputs": [1, [2]]}                        | mixes numbers and lists
            {"inputs": [[[[[[[[[1]]]]]]]]]}             | more than 8 dimensions
            {"inputs": []}                              | is empty
            {"inputs": [[], []]}                        | list that is empty
            {"inputs": [[], 1]}                         | list that is empty
            {"inputs": [[[]], [1]]}                     | list that is empty
            {"inputs": 5}                               | neither a list of numbers nor an object
            {"inputs": {"input": 5}}                    | "inputs.input" is not a list
            {"inputs": {"other": [[1,2,3,4,5,6]]}}      | no input "other"; the network's are "input"
            {"inputs": [[1,2,3,4,5,6]], "inputs": []}   | Duplicate field
            {"inputs": [[1,2,3,4,5,6]], "more": 1}      | "more" is unknown; known are
            {"inputs": [[1,2,3,4,5,6]]} {}              | ends before the body does
            {"masks": [[1]]}                            | lacks "inputs"
            [[1,2,3,4,5,6]]                             | is not a JSON object
            {"inputs": [[1,2,3,                         | not JSON
            ~~                                          | is not a JSON object
            """)
    void ofBadJsonAreAReason(String json, String reason) throws Exception {
        assertThat(running.post(outputsOf("spam"), json).error(400)).contains(reason);
    }

    @Test
    void ofBadTensorsAreAReason() throws Exception {
        byte[] sound = binary(Map.of("input", input));
        assertThat(running.post(outputsOf("spam"), BINARY, Arrays.copyOf(sound, sound.length - 1)).error(400))
                .contains("The body was cut short");
        assertThat(running.post(outputsOf("spam"), BINARY, new byte[3]).error(400)).contains("3 bytes");
        assertThat(running.post(outputsOf("spam"), "application/json", sound).error(400)).contains("The body is not JSON");
        assertThat(running.post(outputsOf("spam"), BINARY, new byte[] {-1, -1, -1, -1, -1, -1, -1, 127, 0}).error(400))
                .contains("header claims");
        INDArray holes = input.dup();
        holes.putScalar(2, Double.NaN);
        assertThat(running.post(outputsOf("spam"), BINARY, binary(Map.of("input", holes))).error(400)).contains("NaN");
    }

    @Test
    void ofUnknownAdaptersAndNamesThatAreNoneAreAReason() throws Exception {
        String json = "{\"inputs\": " + Running.json(input) + "}";
        Running.Answer unknown = running.post(outputsOf("nobody"), json);
        assertThat(unknown.error(404)).contains("nobody");
        assertThat(unknown.json().at("/error/code").asText()).isEqualTo("model_not_found");
        assertThat(running.post(outputsOf("spam + nobody:0.5"), json).error(404)).contains("nobody");
        assertThat(running.post(outputsOf("spam:NaN"), json).error(400)).contains("NaN");
        assertThat(running.post(outputsOf(".."), json).status()).isBetween(400, 404);
        assertThat(running.post("/v1/adapters/%2e%2e%2fspam/outputs", json).status()).isBetween(400, 404);
    }

    @Test
    void ofOtherTypesAndOfTooMuchAreRefused() throws Exception {
        assertThat(running.post(outputsOf("spam"), "text/plain", new byte[0]).error(415))
                .contains("text/plain", "application/json");
        assertThat(running.post(outputsOf("spam"), "application/json", new byte[0], "Content-Encoding", "gzip").error(415))
                .contains("gzip");
        assertThat(running.post(outputsOf("spam"), "application/json", new byte[(1 << 20) + 1]).error(413))
                .contains("1048577 bytes");
        assertThat(running.send(running.request(outputsOf("spam")).header("Content-Type", BINARY)
                .POST(HttpRequest.BodyPublishers.ofInputStream(() ->
                        new ByteArrayInputStream(new byte[(1 << 20) + 1])))).error(413)).contains("more than 1048576 bytes");
    }

    static byte[] binary(Map<String, INDArray> tensors) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        Safetensors.write(bytes, tensors, Map.of());
        return bytes.toByteArray();
    }

    private static Map<String, INDArray> tensors(byte[] bytes) throws IOException {
        Path file = Files.write(adapters.resolveSibling("answer-" + System.nanoTime()), bytes);
        Map<String, INDArray> read = new LinkedHashMap<>();
        try (Safetensors tensors = Safetensors.open(file)) {
            for (String name : tensors.names()) {
                read.put(name, tensors.read(name));
            }
        } finally {
            Files.delete(file);
        }
        return read;
    }
}
