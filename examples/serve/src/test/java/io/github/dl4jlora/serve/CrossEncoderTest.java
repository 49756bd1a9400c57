package io.github.dl4jlora.serve;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.models.encoder.Tokenizer;
import io.github.dl4jlora.transformers.Family;
import io.github.dl4jlora.transformers.Head;
import io.github.dl4jlora.transformers.Transformer;
import io.github.dl4jlora.transformers.TransformerShape;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.shade.jackson.databind.JsonNode;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.List;
import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

/** A network that reads query and document as one text, served: types tell them apart in BERT, separators in RoBERTa. */
@Tag("serve")
class CrossEncoderTest {

    private static final int MAX_TOKENS = 12;
    private static final List<String> DOCUMENTS = List.of("cash", "the compiler", "free cash free", "click the patch");
    private static final String TOKENIZER = TinyFolder.tokenizer("[CLS]", 2, "[SEP]", 10, "", """
            "normalizer": {"type": "Lowercase"}, "pre_tokenizer": {"type": "Whitespace"},
            "model": {"type": "WordLevel", "unk_token": "[UNK]", "vocab": {"[UNK]": 3, "[CLS]": 2, "[SEP]": 10, "the": 4,
                      "compiler": 5, "patch": 6, "free": 7, "cash": 8, "click": 9}}
            """);

    @ParameterizedTest
    @EnumSource(names = {"BERT", "ROBERTA"})
    void documentsAreOrderedByWhatTheNetworkGivesForEachPair(Family family, @TempDir Path folder) throws Exception {
        Path json = Files.writeString(folder.resolve("tokenizer.json"), TOKENIZER);
        Path adapters = Files.createDirectories(folder.resolve("adapters"));
        ComputationGraph network = network(family);
        ComputationGraph tuned = LoRA.apply(network, LoRAConfig.builder().rank(2).targets(".*query", ".*value").seed(1).build());
        tuned.params().assign(Nd4j.randn(tuned.params().shape(), Nd4j.getRandomFactory().getNewRandomInstance(1)));
        LoRAAdapter.of(tuned).save(adapters.resolve("spam"));
        boolean hasTypes = network.getNumInputArrays() > 1;
        assertThat(hasTypes).isEqualTo(family == Family.BERT);
        try (Tokenizer tokenizer = new Tokenizer(json, MAX_TOKENS);
             Running running = new Running(Service.start(network, "tiny", TextModels.of(new BankReranker("tiny", hasTypes, 16,
                     tokenizer)), adapters, Running.config(null)))) {
            assertAnswered(running, "tiny", network, hasTypes);
            assertAnswered(running, "__base__", network, hasTypes);
            assertAnswered(running, "spam", tuned, hasTypes);

            JsonNode cut = rerank(running, "spam", "free cash", List.of("cash", "free ".repeat(20), "cash ".repeat(50_000)));
            assertThat(cut.get("truncated").toString()).isEqualTo("[1,2]");
            JsonNode shorter = running.post("/v1/rerank", "{\"model\": \"spam\", \"query\": \"free cash\", \"documents\": "
                    + "[\"click the patch cash\", \"free cash free\"], \"max_tokens_per_doc\": 3}").ok();
            JsonNode whole = rerank(running, "spam", "free cash", List.of("click the patch", "free cash free"));
            assertThat(shorter.get("truncated").toString()).isEqualTo("[0]");
            assertThat(shorter.get("usage")).isEqualTo(whole.get("usage"));
            for (int i = 0; i < 2; i++) {
                assertThat(shorter.at("/results/" + i + "/index")).isEqualTo(whole.at("/results/" + i + "/index"));
                assertThat(shorter.at("/results/" + i + "/relevance_score").asDouble())
                        .isCloseTo(whole.at("/results/" + i + "/relevance_score").asDouble(), within(1e-5));
            }
            assertThat(running.post("/v1/rerank", "{\"model\": \"spam\", \"documents\": [\"a\"], \"query\": \""
                    + "free ".repeat(9) + "\"}").error(400)).contains("The query has more than 6 tokens, half of those");
            assertThat(running.post("/v1/rerank", Running.JSON.writeValueAsString(Map.of("model", "spam", "query",
                    "free" + " ".repeat(50_000), "documents", Collections.nCopies(200, "cash")))).error(400))
                    .contains("50004 characters", "200 documents");
            assertThat(running.post("/v1/embeddings", "{\"model\": \"spam\", \"input\": \"a\"}").error(404))
                    .contains("has no sentence encoder");
            assertThat(running.get("/v1/models").ok().get("data").findValuesAsText("id")).containsExactly("__base__", "tiny",
                    "spam");
        }
    }

    /** The query keeps its own, which is shorter. */
    @Test
    void aLongDocumentLosesItsBeginningIfTheTokenizerSaysSo(@TempDir Path folder) throws Exception {
        Path json = Files.writeString(folder.resolve("tokenizer.json"), TOKENIZER.replace("\"truncation\": null",
                "\"truncation\": {\"direction\": \"Left\", \"max_length\": 9, \"strategy\": \"OnlyFirst\", \"stride\": 0}"));
        Path adapters = Files.createDirectories(folder.resolve("adapters"));
        try (Tokenizer tokenizer = new Tokenizer(json, MAX_TOKENS);
             Running running = new Running(Service.start(network(Family.BERT), "tiny", TextModels.of(new BankReranker("tiny",
                     true, 16, tokenizer)), adapters, Running.config(null)))) {
            String cut = "cash cash cash cash click the patch";
            for (String document : List.of("free " + cut, "free ".repeat(20) + cut, "free ".repeat(50_000) + cut)) {
                JsonNode answer = rerank(running, "tiny", "free cash", List.of(document));
                assertThat(answer.get("truncated").toString()).isEqualTo("[0]");
                assertThat(score(answer)).isCloseTo(score(rerank(running, "tiny", "free cash", List.of(cut))), within(1e-6));
            }
            JsonNode shorter = running.post("/v1/rerank", "{\"model\": \"tiny\", \"query\": \"free cash\", \"documents\": "
                    + "[\"free cash click the patch\"], \"max_tokens_per_doc\": 3}").ok();
            assertThat(shorter.get("truncated").toString()).isEqualTo("[0]");
            assertThat(score(shorter)).isCloseTo(score(rerank(running, "tiny", "free cash", List.of("click the patch"))),
                    within(1e-6));
        }
    }

    private static double score(JsonNode answer) {
        return answer.at("/results/0/relevance_score").asDouble();
    }

    private static ComputationGraph network(Family family) {
        TransformerShape shape = family == Family.BERT ? TransformerShape.bert(12, 16, 8, 12, 2, 2)
                : TransformerShape.roberta(12, 18, 8, 12, 2, 2);
        shape = new TransformerShape(family, shape.vocabulary(), shape.positions(), shape.tokenTypes(), shape.hidden(),
                shape.intermediate(), shape.layers(), shape.heads(), shape.epsilon(), shape.activation(), 0);
        ComputationGraph network = new ComputationGraph(Transformer.addTo(new NeuralNetConfiguration.Builder().seed(3)
                .graphBuilder(), shape, Head.reranker().ofPairs()).build());
        network.init();
        return network;
    }

    private static JsonNode rerank(Running running, String model, String query, List<String> documents) throws Exception {
        return running.post("/v1/rerank", Running.JSON.writeValueAsString(Map.of("model", model, "query", query, "documents",
                documents))).ok();
    }

    /** Query "free cash", of which these are the tokens: [CLS] free cash [SEP] document [SEP]. */
    private static void assertAnswered(Running running, String model, ComputationGraph network, boolean hasTypes)
            throws Exception {
        float[][] ids = {{2, 7, 8, 10, 8, 10}, {2, 7, 8, 10, 4, 5, 10}, {2, 7, 8, 10, 7, 8, 7, 10}, {2, 7, 8, 10, 9, 4, 6, 10}};
        JsonNode results = rerank(running, model, "free cash", DOCUMENTS).get("results");
        assertThat(results).hasSize(ids.length);
        double last = Double.POSITIVE_INFINITY;
        for (JsonNode result : results) {
            float[] pair = ids[result.get("index").asInt()];
            INDArray tokens = Nd4j.createFromArray(new float[][] {pair});
            INDArray types = tokens.dup().assign(0);
            for (int i = 4; i < pair.length; i++) {
                types.putScalar(0, i, 1);
            }
            double expected = (hasTypes ? network.outputSingle(tokens, types) : network.outputSingle(tokens)).getDouble(0);
            double score = result.get("relevance_score").asDouble();
            assertThat(score).isCloseTo(expected, within(1e-5)).isLessThanOrEqualTo(last);
            last = score;
        }
    }
}
