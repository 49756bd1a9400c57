package io.github.dl4jlora.serve;

import io.github.dl4jlora.pages.CodeBlock;
import io.github.dl4jlora.pages.ShellCommand;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.shade.jackson.databind.JsonNode;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.IntStream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

/** Documents are ordered by the cosine of their embeddings and the query's, with the adapter that is asked for. */
@Tag("serve")
class RerankTest extends MiniLmServed {

    private static final String QUERY = "How do I tune a violin?";
    private static final List<String> DOCUMENTS = List.of("Prices rise in April.", "A violin is tuned in fifths, from the A.",
            "The dog runs.", "Tuning a guitar takes a while.");
    private static final double TOLERANCE = 1e-5;

    private static double[] expected(ComputationGraph network) {
        INDArray query = network.outputSingle(tokenizer.batch(List.of(QUERY)));
        return DOCUMENTS.stream().mapToDouble(text -> query.mmul(network.outputSingle(tokenizer.batch(List.of(text)))
                .transpose()).getDouble(0)).toArray();
    }

    private static void assertOrdered(JsonNode answer, double[] scores) {
        double last = Double.POSITIVE_INFINITY;
        for (JsonNode result : answer.get("results")) {
            double score = result.get("relevance_score").asDouble();
            assertThat(score).isCloseTo(scores[result.get("index").asInt()], within(TOLERANCE)).isLessThanOrEqualTo(last);
            last = score;
        }
    }

    private static JsonNode rerank(Map<String, ?> request) throws Exception {
        return running.post("/v1/rerank", Running.JSON.writeValueAsString(request)).ok();
    }

    @Test
    void documentsComeInTheOrderOfTheirScores() throws Exception {
        for (Map.Entry<String, ComputationGraph> model : Map.of("all-MiniLM-L6-v2", encoder, "__base__", encoder, "spam", spam)
                .entrySet()) {
            JsonNode answer = rerank(Map.of("model", model.getKey(), "query", QUERY, "documents", DOCUMENTS));

            assertThat(answer.get("results")).hasSize(DOCUMENTS.size());
            assertOrdered(answer, expected(model.getValue()));
            assertThat(answer.get("model").asText()).isEqualTo(model.getKey());
            assertThat(answer.at("/results/0").has("document")).isFalse();
            assertThat(answer.at("/usage/total_tokens").asInt()).isEqualTo(tokenizer.ids(QUERY).length
                    + DOCUMENTS.stream().mapToInt(text -> tokenizer.ids(text).length).sum());
            assertThat(answer.has("truncated")).isFalse();
        }
        assertThat(rerank(Map.of("model", "__base__", "query", QUERY, "documents", DOCUMENTS)).at("/results/0/index").asInt())
                .isEqualTo(1);
    }

    @Test
    void theRequestOnThePageGetsTheAnswerThatIsPrintedThere() throws Exception {
        List<String> words = ShellCommand.all().stream().map(ShellCommand::words)
                .filter(command -> command.get(command.size() - 1).endsWith("/v1/rerank")).findFirst().orElseThrow();
        JsonNode printed = Running.JSON.readTree(CodeBlock.of("docs/guide/service.md", "json").get(1).code());
        JsonNode answer = running.post("/v1/rerank", words.get(words.indexOf("-d") + 1)).ok();

        assertThat(scores(answer)).as("%s", answer)
                .usingElementComparator((a, b) -> Math.abs(a - b) < 0.001 ? 0 : 1).isEqualTo(scores(printed));
        assertThat(answer.get("usage")).isEqualTo(printed.get("usage"));
        assertThat(answer.get("model")).isEqualTo(printed.get("model"));
    }

    /** As Cohere's and Jina's clients may write them. */
    @Test
    void objectsAreTakenAsTheirTextsAndTheBestMayBeToldWithTheirs() throws Exception {
        JsonNode answer = rerank(Map.of("model", "__base__", "query", QUERY, "documents",
                DOCUMENTS.stream().map(text -> Map.of("text", text)).toList(), "top_n", 2, "return_documents", true));

        assertThat(answer.get("results")).hasSize(2);
        assertThat(OpenApiTest.defects(running.get("/openapi.json").ok(), "Reranked", answer)).isEmpty();
        assertOrdered(answer, expected(encoder));
        assertThat(answer.at("/results/0/document/text").asText()).isEqualTo(DOCUMENTS.get(1));
    }

    @Test
    void nullIsTheSameAsNothing() throws Exception {
        JsonNode answer = running.post("/v1/rerank", "{\"model\": \"spam\", \"query\": \"a\", \"documents\": [\"b\", \"c\"], "
                + "\"top_n\": null, \"return_documents\": null, \"max_tokens_per_doc\": null, \"max_chunks_per_doc\": null, "
                + "\"rank_fields\": null}").ok();

        assertThat(answer.get("results")).hasSize(2);
        assertThat(answer.at("/results/0").has("document")).isFalse();
    }

    /** As langchain4j's CohereScoringModel and Cohere's ClientV2 for Python read it. */
    @Test
    void answersHaveWhatCoheresClientsRead() throws Exception {
        String request = Running.JSON.writeValueAsString(Map.of("model", "spam", "query", QUERY, "documents", DOCUMENTS));
        JsonNode first = running.post("/v1/rerank", request).ok();
        JsonNode second = running.post("/v2/rerank", request).ok();

        assertThat(first.get("meta").toString())
                .isEqualTo("{\"api_version\":{\"version\":\"1\"},\"billed_units\":{\"search_units\":1}}");
        assertThat(first.get("id").asText()).isNotEmpty().isNotEqualTo(second.get("id").asText());
        assertThat(scores(second)).usingElementComparator((a, b) -> Math.abs(a - b) < TOLERANCE ? 0 : 1)
                .isEqualTo(scores(first));
    }

    @Test
    void documentsAreCutWhereTheRequestSaysSo() throws Exception {
        List<String> documents = List.of("one two three four five", "one two three", "one two");
        JsonNode cut = running.post("/v1/rerank", Running.JSON.writeValueAsString(Map.of("model", "spam", "query", QUERY,
                "documents", documents, "max_tokens_per_doc", 3))).ok();
        JsonNode whole = rerank(Map.of("model", "spam", "query", QUERY, "max_tokens_per_doc", 4096, "documents",
                List.of("one two three", "one two three", "one two")));

        assertThat(cut.get("truncated").toString()).isEqualTo("[0]");
        assertThat(whole.has("truncated")).isFalse();
        assertThat(cut.get("usage")).isEqualTo(whole.get("usage"));
        assertThat(scores(cut)).usingElementComparator((a, b) -> Math.abs(a - b) < TOLERANCE ? 0 : 1).isEqualTo(scores(whole));
    }

    @Test
    void moreThanThereAreAreAll() throws Exception {
        assertThat(running.post("/v1/rerank", "{\"model\": \"spam\", \"query\": \"a\", \"documents\": [\"b\", \"c\"], "
                + "\"top_n\": 99999999999999999999}").ok().get("results")).hasSize(2);
    }

    @Test
    void documentsThatAreCutAreNamedAndALongQueryIsRefused() throws Exception {
        String longer = "word ".repeat(MAX_TOKENS);

        assertThat(rerank(Map.of("model", "spam", "query", QUERY, "documents", List.of("short", longer))).get("truncated")
                .toString()).isEqualTo("[1]");
        assertThat(running.post("/v1/rerank", Running.JSON.writeValueAsString(Map.of("model", "spam", "query", longer,
                "documents", DOCUMENTS))).error(400)).contains("The query has more than 64 tokens");
    }

    /** More than go into a pass, asked for by several clients at a time. */
    @Test
    void manyDocumentsOfManyClientsAreScoredAsOne() throws Exception {
        List<String> documents = IntStream.range(0, 70).mapToObj(i -> "number " + i + " goes on".repeat(i % 5)).toList();
        Map<String, ?> request = Map.of("model", "spam", "query", QUERY, "documents", documents);
        JsonNode alone = rerank(request);
        ExecutorService clients = Executors.newFixedThreadPool(4);
        try {
            for (Future<JsonNode> answer : clients.invokeAll(Collections.<Callable<JsonNode>>nCopies(4, () -> rerank(request)))) {
                assertThat(scores(answer.get())).usingElementComparator((a, b) -> Math.abs(a - b) < TOLERANCE ? 0 : 1)
                        .isEqualTo(scores(alone));
            }
        } finally {
            clients.shutdown();
        }
    }

    /** In the order of the documents. */
    private static List<Double> scores(JsonNode answer) {
        List<Double> scores = new ArrayList<>(Collections.nCopies(answer.get("results").size(), Double.NaN));
        answer.get("results").forEach(result -> scores.set(result.get("index").asInt(),
                result.get("relevance_score").asDouble()));
        return scores;
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '~', textBlock = """
            {"model": "spam", "documents": ["a"]}                                     | lacks "query"
            {"query": "text", "documents": ["a"]}                                     | lacks "model"
            {"model": "spam", "query": "a"}                                           | lacks "documents"
            {"model": "spam", "query": "a", "documents": []}                          | lacks "documents", or the list is empty
            {"model": "spam", "query": ["a"], "documents": ["a"]}                     | "query" is [
            {"model": "spam", "query": "a", "documents": "a"}                         | contains a
            {"model": "spam", "query": "a", "documents": ["a", 5]}                    | contains 5
            {"model": "spam", "query": "a", "documents": [["a"]]}                     | contains [
            {"model": "spam", "query": "a", "documents": [{}]}                        | contains }
            {"model": "spam", "query": "a", "documents": [{"title": "a"}]}            | contains title
            {"model": "spam", "query": "a", "documents": [{"text": 5}]}               | contains 5
            {"model": "spam", "query": "a", "documents": [{"text": {"text": "a"}}]}   | contains {
            {"model": "spam", "query": "a", "documents": [{"text": "a", "more": 1}]}  | contains more
            {"model": "spam", "query": "a", "documents": ["a"], "top_n": 0}           | "top_n" is 0
            {"model": "spam", "query": "a", "documents": ["a"], "top_n": -99999999999999999999} | "top_n" is -99999999999999999999
            {"model": "spam", "query": "a", "documents": ["a"], "top_n": "2"}         | "top_n" is 2
            {"model": "spam", "query": "a", "documents": ["a"], "top_n": 1.5}         | "top_n" is 1.5
            {"model": "spam", "query": "a", "documents": ["a"], "return_documents": 1}| "return_documents" is 1
            {"model": "spam", "query": "a", "documents": ["a"], "max_tokens_per_doc": 0} | "max_tokens_per_doc" is 0
            {"model": "spam", "query": "a", "documents": ["a"], "max_chunks_per_doc": 5} | "max_chunks_per_doc" is 5, but
            {"model": "spam", "query": "a", "documents": ["a"], "rank_fields": ["text"]} | "rank_fields" is [, but documents
            {"model": "spam", "query": "a", "documents": ["a"], "texts": ["b"]}       | "texts" is unknown
            {"model": "spam:NaN", "query": "a", "documents": ["a"]}                   | NaN
            {"model": "spam", "query": "a", "documents": ["a"]                        | not JSON
            {"model": "spam", "query": "a", "documents": ["a"]} 1                     | ends before the body does
            []                                                                        | not a JSON object
            """)
    void whatIsWrongIsSaid(String json, String reason) throws Exception {
        assertThat(running.post("/v1/rerank", json).error(400)).contains(reason);
    }

    /** Eight megabytes of such lists would take a gigabyte to be skipped. */
    @Test
    void tooMuchIsRefused() throws Exception {
        assertThat(running.post("/v1/rerank", "{\"documents\": " + "[".repeat(500_000)).error(400)).contains("contains [");
        assertThat(running.post("/v1/rerank", "{\"user\": " + "[".repeat(500_000)).error(400)).contains("\"user\" is unknown");
        assertThat(running.post("/v1/rerank", Running.JSON.writeValueAsString(Map.of("model", "spam", "query", "a", "documents",
                IntStream.range(0, 2049).mapToObj(i -> "a").toList()))).error(400)).contains("2048");
        assertThat(running.post("/v1/rerank", "text/plain", new byte[1]).error(415)).contains("application/json");
        assertThat(running.post("/v1/rerank", "{\"model\": \"nobody\", \"query\": \"a\", \"documents\": [\"a\"]}").error(404))
                .contains("nobody");
    }

    @Test
    void aServiceWithoutAnEncoderSaysSo(@TempDir Path folder) throws Exception {
        try (Running dense = new Running(Networks.dense(1), folder)) {
            assertThat(dense.post("/v1/rerank", "{\"model\": \"spam\", \"query\": \"a\", \"documents\": [\"a\"]}").error(404))
                    .contains("has no reranker and no sentence encoder");
        }
    }
}
