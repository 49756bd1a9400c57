package io.github.dl4jlora.serve;

import dev.langchain4j.data.embedding.Embedding;
import dev.langchain4j.data.segment.TextSegment;
import dev.langchain4j.exception.HttpException;
import dev.langchain4j.exception.ModelNotFoundException;
import dev.langchain4j.model.embedding.EmbeddingModel;
import dev.langchain4j.model.openai.OpenAiEmbeddingModel;
import dev.langchain4j.model.output.Response;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.bank.AdapterBank;
import io.github.dl4jlora.bank.AdapterMix;
import io.github.dl4jlora.bank.UnknownAdapterException;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.shade.jackson.databind.JsonNode;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.offset;

/** Embeddings by clients of OpenAI, and in the same program, are those of a single network with the adapter. */
@Tag("serve")
class EmbeddingsTest extends MiniLmServed {

    private static final List<String> TEXTS = List.of("A dog runs.",
            "Prices rise in April, the bank says, by half a percent, or more.", "?",
            "Grüße aus Köln", "one two three ".repeat(12));

    private static float[] expected(ComputationGraph network, String text) {
        return network.outputSingle(tokenizer.batch(List.of(text))).toFloatVector();
    }

    private static void assertClose(float[] actual, float[] expected) {
        assertThat(actual).hasSize(384);
        assertThat(Nd4j.createFromArray(actual).sub(Nd4j.createFromArray(expected)).amaxNumber().doubleValue()).isLessThan(1e-5);
    }

    private static OpenAiEmbeddingModel client(String model) {
        return OpenAiEmbeddingModel.builder().baseUrl(running.address() + "v1").apiKey("any").modelName(model).maxRetries(0)
                .build();
    }

    @Test
    void aClientOfOpenAIsGetsThoseOfTheAdapterThatItNames() {
        Response<List<Embedding>> response = client("spam").embedAll(TEXTS.stream()
                .map(TextSegment::from).toList());

        for (int i = 0; i < TEXTS.size(); i++) {
            assertClose(response.content().get(i).vector(), expected(spam, TEXTS.get(i)));
        }
        assertThat(response.tokenUsage().inputTokenCount())
                .isEqualTo(TEXTS.stream().mapToInt(text -> tokenizer.ids(text).length).sum());
    }

    @Test
    void aClientOfOpenAIsGetsThoseOfTheBaseByTheEncodersName() {
        for (String name : List.of("all-MiniLM-L6-v2", "__base__")) {
            assertClose(client(name).embed(TEXTS.get(0)).content().vector(), expected(encoder, TEXTS.get(0)));
        }
        assertThat(Nd4j.createFromArray(expected(encoder, TEXTS.get(0)))
                .distance2(Nd4j.createFromArray(expected(spam, TEXTS.get(0))))).isGreaterThan(0.01);
    }

    /** As in requests for embeddings: clients read the name in the list of models. */
    @Test
    void outputsOfTheBaseAreThoseOfTheEncodersNameToo() throws Exception {
        INDArray ids = tokenizer.batch(List.of(TEXTS.get(0)));

        for (String name : List.of("all-MiniLM-L6-v2", "__base__")) {
            assertClose(running.outputs(name, ids).toFloatVector(), expected(encoder, TEXTS.get(0)));
        }
    }

    @Test
    void aClientOfOpenAIsUnderstandsWhatIsWrong() {
        assertThatThrownBy(() -> client("nobody").embed("text")).isInstanceOf(ModelNotFoundException.class)
                .hasMessageContaining("nobody").hasRootCauseInstanceOf(HttpException.class);
    }

    @Test
    void numbersAndBase64AreTheSame() throws Exception {
        JsonNode numbers = embeddings("{\"model\": \"spam\", \"input\": \"A dog runs.\", \"encoding_format\": \"float\"}");
        JsonNode base64 = embeddings("{\"model\": \"spam\", \"input\": \"A dog runs.\", \"encoding_format\": \"base64\"}");

        float[] decoded = new float[384];
        ByteBuffer.wrap(Base64.getDecoder().decode(base64.at("/data/0/embedding").asText())).order(ByteOrder.LITTLE_ENDIAN)
                .asFloatBuffer().get(decoded);
        assertClose(decoded, Running.JSON.treeToValue(numbers.at("/data/0/embedding"), float[].class));
        assertClose(decoded, expected(spam, "A dog runs."));
        assertThat(numbers.get("object").asText()).isEqualTo("list");
        assertThat(numbers.at("/data/0/object").asText()).isEqualTo("embedding");
        assertThat(numbers.get("model").asText()).isEqualTo("spam");
        assertThat(numbers.get("usage").toString()).isEqualTo("{\"prompt_tokens\":6,\"total_tokens\":6}");
    }

    @Test
    void tokensAreTakenAsTheTextThatTheyWereCutFrom() throws Exception {
        int[] ids = tokenizer.ids("A dog runs.");

        for (String input : List.of(Arrays.toString(ids), "[" + Arrays.toString(ids) + "]")) {
            assertClose(vector(embeddings("{\"model\": \"spam\", \"input\": " + input + "}"), 0), expected(spam, "A dog runs."));
        }
    }

    /** As OpenAI's clients for Java and .NET write what they were not told. */
    @Test
    void nullIsTheSameAsNothing() throws Exception {
        JsonNode answer = embeddings("{\"model\": \"spam\", \"input\": \"A dog runs.\", \"encoding_format\": null, "
                + "\"dimensions\": null, \"user\": null}");

        assertClose(vector(answer, 0), expected(spam, "A dog runs."));
        assertThat(running.post("/v1/embeddings", "{\"model\": null, \"input\": \"a\"}").error(400))
                .contains("\"model\" is null");
    }

    /** Clients look for the model that they are going to ask. */
    @Test
    void theAnsweringModelIsListed() throws Exception {
        JsonNode list = running.get("/v1/models").ok().get("data");

        assertThat(list.findValuesAsText("id")).containsExactly("__base__", "all-MiniLM-L6-v2", "spam");
        for (JsonNode model : list) {
            assertThat(model.get("object").asText()).isEqualTo("model");
            assertThat(model.get("created").isIntegralNumber()).isTrue();
            assertThat(model.get("owned_by").asText()).isEqualTo("dl4j-lora");
            assertThat(running.get("/v1/models/" + model.get("id").asText()).ok()).isEqualTo(model);
        }
        assertThat(running.put("/v1/adapters/all-MiniLM-L6-v2", new byte[9]).error(400)).contains("cannot be called");
    }

    /** Of a long text, tokenising all of which takes a hundred times its memory, what counts is looked at. */
    @Test
    void aVeryLongTextIsCutLikeAnyOther() throws Exception {
        for (String piece : List.of("word ", "w,", "\u6f22", "word".repeat(40) + "! ", "!", "$", "unbelievably-", "e\u0301 ",
                "a".repeat(99) + "\u6f22", "\ud83d\ude00".repeat(40) + "?", "o  \n")) {
            String longer = piece.repeat(200_000 / piece.length());
            JsonNode answer = embeddings(Running.JSON.writeValueAsString(Map.of("model", "spam", "input", longer)));

            assertThat(answer.get("truncated").toString()).as(piece).isEqualTo("[0]");
            assertClose(vector(answer, 0), expected(spam, longer));
        }
        assertThat(running.post("/v1/embeddings", Running.JSON.writeValueAsString(Map.of("model", "spam", "input",
                "a" + " ".repeat(100_000) + "b"))).error(400)).contains("100002 characters", "long gaps");
    }

    @Test
    void aMixIsAModelToo() throws Exception {
        try (AdapterBank bank = new AdapterBank(encoder)) {
            bank.add("spam", LoRAAdapter.of(spam));
            assertClose(vector(embeddings("{\"model\": \"spam:0.5\", \"input\": \"A dog runs.\"}"), 0),
                    bank.output(AdapterMix.parse("spam:0.5"), tokenizer.batch(List.of("A dog runs."))).toFloatVector());
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"float", "base64"})
    void whatIsNotFiniteIsRefused(String form) throws Exception {
        assertThat(running.post("/v1/embeddings", "{\"model\": \"spam:1e38\", \"input\": \"a\", \"encoding_format\": \"" + form
                + "\"}").error(400)).contains("\"spam:1e38\"", "not finite");
    }

    /** More than go into a pass, of many lengths, each in its place. */
    @Test
    void manyTextsComeInTheirOrder() throws Exception {
        List<String> texts = new ArrayList<>();
        for (int i = 0; i < 100; i++) {
            texts.add("number " + i + " goes on".repeat(i % 5 * 4));
        }
        JsonNode answer = embeddings(Running.JSON.writeValueAsString(Map.of("model", "spam", "input", texts)));

        assertThat(answer.get("data")).hasSize(100);
        for (int i = 0; i < 100; i += 9) {
            assertThat(answer.at("/data/" + i + "/index").asInt()).isEqualTo(i);
            assertClose(vector(answer, i), expected(spam, texts.get(i)));
        }
        assertThat(answer.has("truncated")).isFalse();
    }

    @Test
    void textsThatAreCutAreNamed() throws Exception {
        String longer = "word ".repeat(MAX_TOKENS);
        JsonNode answer = embeddings(Running.JSON.writeValueAsString(Map.of("model", "spam", "input", List.of("short", longer,
                "word ".repeat(MAX_TOKENS - 2)))));

        assertThat(answer.get("truncated").toString()).isEqualTo("[1]");
        assertClose(vector(answer, 1), expected(spam, longer));
        assertClose(vector(answer, 1), vector(answer, 2));
        assertThat(client("spam").embed(longer).content().vector()).containsExactly(vector(answer, 1), offset(1e-5f));
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '~', textBlock = """
            {"model": "spam"}                                         | lacks "input"
            {"input": "text"}                                         | lacks "model"
            {"model": "spam", "input": []}                            | lacks "input", or it is empty
            {"model": "spam", "input": 5}                             | contains 5
            {"model": "spam", "input": ["a", 5]}                      | contains 5
            {"model": "spam", "input": [5, "a"]}                      | contains a
            {"model": "spam", "input": [[]]}                          | 0 tokens
            {"model": "spam", "input": [0, 5]}                        | token 0
            {"model": "spam", "input": [30522]}                       | token 30522
            {"model": "spam", "input": [[15339, 1917]]}               | begin with [101] and end with [102]. Send
            {"model": "spam", "input": [101, 1917]}                   | check_embedding_ctx_length=False
            {"model": "spam", "input": [15339, 102]}                  | check_embedding_ctx_length=False
            {"model": "spam", "input": [101]}                         | check_embedding_ctx_length=False
            {"model": "spam", "input": [3000000000]}                  | contains 3000000000, but must be
            {"model": "spam", "input": [-99999999999999999999]}       | contains -99999999999999999999, but must be
            {"model": "spam", "input": [[[5]]]}                       | contains [
            {"model": "spam", "input": "a", "encoding_format": "int8"}| "int8"
            {"model": "spam", "input": "a", "dimensions": 256}        | is 256, but must be the number 384
            {"model": "spam", "input": "a", "dimensions": 9999999999999999999}| is 9999999999999999999, but must be the number 384
            {"model": "spam", "input": "a", "dimensions": "384"}      | is "384", but must be the number 384
            {"model": "spam", "input": "a", "more": 1}                | "more" is unknown
            {"model": "spam", "input": "a", "user": [[1]]}            | "user" is [
            {"model": "spam", "input": "a", "user": {"id": 1}}        | "user" is {
            {"model": "spam:NaN", "input": "a"}                       | NaN
            {"model": 5, "input": "a"}                                | "model" is 5
            {"model": "spam", "input": "a"                            | not JSON
            []                                                        | not a JSON object
            """)
    void whatIsWrongIsSaid(String json, String reason) throws Exception {
        assertThat(running.post("/v1/embeddings", json).error(400)).contains(reason);
    }

    /** As letters that are not UTF-8 they were embedded as other texts. */
    @Test
    void textsAreUtf8() throws Exception {
        String json = "{\"model\": \"spam\", \"input\": \"café\"}";
        for (String route : List.of("/v1/embeddings", "/v1/rerank")) {
            assertThat(running.post(route, "application/json", json.getBytes(StandardCharsets.ISO_8859_1)).error(400))
                    .as(route).isEqualTo("The body is not JSON: it is not UTF-8");
            assertThat(running.post(route, "application/json; charset=iso-8859-1", json.getBytes(StandardCharsets.ISO_8859_1))
                    .error(415)).as(route).containsIgnoringCase("iso-8859-1");
        }
        for (String marked : List.of(json, "\ufeff" + json)) {
            assertClose(vector(running.post("/v1/embeddings", "application/json; charset=UTF-8",
                    marked.getBytes(StandardCharsets.UTF_8)).ok(), 0), expected(spam, "café"));
        }
    }

    /** Eight megabytes of such lists took a gigabyte to be skipped. */
    @Test
    void aUserIsNothingNested() throws Exception {
        assertThat(running.post("/v1/embeddings", "{\"user\": " + "[".repeat(500_000)).error(400)).contains("\"user\" is [");
        assertThat(running.post("/v1/embeddings", "{\"model\": \"spam\", \"input\": \"a\", \"user\": \"somebody\"}").status())
                .isEqualTo(200);
    }

    /** A name of megabytes was kept as long as the request waited, and not counted among what requests hold. */
    @Test
    void aModelsNameIsAsShortAsAnUrl() throws Exception {
        for (String route : List.of("/v1/embeddings", "/v1/rerank")) {
            String rest = "\", " + (route.endsWith("rerank") ? "\"query\": \"a\", \"documents\": [\"a\"]}" : "\"input\": \"a\"}");

            assertThat(running.post(route, "{\"model\": \"" + "a".repeat(8193) + rest).error(400)).as(route)
                    .isEqualTo("\"model\" has 8193 characters, but at most 8192 are read");
            assertThat(running.post(route, "{\"model\": \"" + "a".repeat(8192) + rest).error(400)).as(route)
                    .doesNotContain("are read");
        }
    }

    @Test
    void tooManyTextsAndTooManyTokensAreRefused() throws Exception {
        assertThat(running.post("/v1/embeddings", Running.JSON.writeValueAsString(Map.of("model", "spam", "input",
                IntStream.range(0, 2049).mapToObj(i -> "a").toList()))).error(400)).contains("2048");
        assertThat(running.post("/v1/embeddings", Running.JSON.writeValueAsString(Map.of("model", "spam", "input",
                IntStream.range(0, MAX_TOKENS + 1).mapToObj(i -> 5).toList()))).error(400)).contains("1 to 64");
        assertThat(running.post("/v1/embeddings", "text/plain", new byte[1]).error(415)).contains("application/json");
        assertThat(running.post("/v1/embeddings", "{\"model\": \"nobody\", \"input\": \"a\"}").error(404)).contains("nobody");
    }

    @Test
    void inTheSameProgramTheyAreThose() {
        try (AdapterBank bank = new AdapterBank(encoder)) {
            bank.add("spam", LoRAAdapter.of(spam));
            EmbeddingModel model = new LoRAEmbeddingModel(bank, tokenizer, AdapterMix.of("spam"));

            Response<List<Embedding>> response = model.embedAll(TEXTS.subList(0, 2).stream().map(TextSegment::from).toList());
            assertClose(response.content().get(0).vector(), expected(spam, TEXTS.get(0)));
            assertClose(response.content().get(1).vector(), expected(spam, TEXTS.get(1)));
            assertThat(response.tokenUsage().inputTokenCount()).isEqualTo(tokenizer.ids(TEXTS.get(0)).length
                    + tokenizer.ids(TEXTS.get(1)).length);
            assertThat(model.dimension()).isEqualTo(384);
            assertThat(model.modelName()).isEqualTo("all-MiniLM-L6-v2 with spam");
            assertClose(new LoRAEmbeddingModel(bank, tokenizer, AdapterMix.base()).embed("A dog runs.").content().vector(),
                    expected(encoder, "A dog runs."));
            assertThatThrownBy(() -> new LoRAEmbeddingModel(bank, tokenizer, AdapterMix.of("nobody")).embed("text"))
                    .isInstanceOf(UnknownAdapterException.class);
        }
    }

    private static JsonNode embeddings(String json) throws Exception {
        return running.post("/v1/embeddings", json).ok();
    }

    private static float[] vector(JsonNode answer, int index) throws IOException {
        return Running.JSON.treeToValue(answer.at("/data/" + index + "/embedding"), float[].class);
    }
}
