package io.github.dl4jlora.serve;

import dev.langchain4j.model.embedding.EmbeddingModel;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.bank.AdapterBank;
import io.github.dl4jlora.bank.AdapterMix;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.models.encoder.Tokenizer;
import io.github.dl4jlora.transformers.Checkpoint;
import io.github.dl4jlora.transformers.CheckpointException;
import io.github.dl4jlora.transformers.Pooling;
import io.github.dl4jlora.transformers.TextSettings;
import io.github.dl4jlora.transformers.layer.InBatchNegatives;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration.GraphBuilder;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.LossLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.ops.transforms.Transforms;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.node.ObjectNode;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

/** The path of docs/models.md: a folder is opened, trained, written, and served from texts, with its adapter or merged. */
@Tag("serve")
class OwnEncoderTest {

    private static final double TOLERANCE = 1e-5;
    private static final List<String> TEXTS = List.of("free cash", "freely free cash", "cash");
    /** Their ids between those that begin and end a text, in all tokenizers here. */
    private static final int[][] WORDS = {{4, 6}, {4, 5, 4, 6}, {6}};

    @TempDir
    private Path folder;
    private Path adapters;

    @BeforeEach
    void adapters() throws IOException {
        adapters = Files.createDirectory(folder.resolve("adapters"));
    }

    private Checkpoint bert() throws IOException {
        return Checkpoint.open(TinyFolder.copy("bert-sentence-dense", TinyFolder.WORD_PIECE, folder.resolve("bert")));
    }

    private static INDArray ids(int begin, int end, int... words) {
        float[] ids = new float[words.length + 2];
        for (int i = 0; i < words.length; i++) {
            ids[i + 1] = words[i];
        }
        ids[0] = begin;
        ids[words.length + 1] = end;
        return Nd4j.createFromArray(new float[][] {ids});
    }

    private static INDArray bertIds(int... words) {
        return ids(2, 10, words);
    }

    private Running served(Path model, Integer maxTokens) throws IOException {
        ServedModel served = ServedModel.encoder(model.toString(), maxTokens);
        return new Running(Service.start(served.network(), served.name(), served.texts(), adapters, Running.config(null)));
    }

    private static JsonNode embeddings(Running running, Map<String, ?> request) throws Exception {
        return running.post("/v1/embeddings", Running.JSON.writeValueAsString(request)).ok();
    }

    private static INDArray vector(JsonNode answer, int index) throws IOException {
        return Nd4j.createFromArray(new float[][] {
                Running.JSON.treeToValue(answer.at("/data/" + index + "/embedding"), float[].class)});
    }

    private static void assertClose(INDArray actual, INDArray expected) {
        assertThat(actual.shape()).isEqualTo(expected.shape());
        assertThat(actual.sub(expected).amaxNumber().doubleValue()).isLessThan(TOLERANCE);
    }

    /** Compares with the folder's network itself, which is asked by ids. */
    private static void assertServes(Running running, String model, Path of, int begin, int end) throws Exception {
        ComputationGraph network = Checkpoint.open(of).sentenceEncoder().network();
        JsonNode answer = embeddings(running, Map.of("model", model, "input", TEXTS));
        for (int i = 0; i < TEXTS.size(); i++) {
            assertClose(vector(answer, i), network.outputSingle(ids(begin, end, WORDS[i])));
        }
        assertThat(answer.at("/usage/total_tokens").asInt()).isEqualTo(7 + 2 * TEXTS.size());
    }

    @ParameterizedTest
    @CsvSource({"bert-sentence-dense, , 2, 10", "bert-lm-old, MAXIMUM, 2, 10", "roberta-classifier, MEAN_SQRT_LENGTH, 0, 2",
            "xlm-roberta-lm-tied, MEAN, 0, 2", "camembert-classifier, FIRST_TOKEN, 0, 2", "mpnet-classifier, WEIGHTED_MEAN, 0, 2",
            "distilbert-lm, MEAN, 2, 10", "gpt2-sentence-last, , 0, 2"})
    void aFolderIsTrainedWrittenAndServedWithItsAdapterAndMerged(String name, Pooling pooling, int begin, int end)
            throws Exception {
        Checkpoint checkpoint = Checkpoint.open(TinyFolder.copy(name, begin == 2 ? TinyFolder.WORD_PIECE
                : name.startsWith("mpnet") ? TinyFolder.WORD_PIECE_OF_MPNET : TinyFolder.UNIGRAM, folder.resolve("it")));
        Pooling[] own = pooling == null ? new Pooling[0] : new Pooling[] {pooling};
        GraphBuilder graph = checkpoint.addSentenceEncoder(new NeuralNetConfiguration.Builder().seed(1).graphBuilder(), own);
        graph.addLayer("loss", new LossLayer.Builder(new InBatchNegatives(20)).activation(Activation.IDENTITY).build(),
                Checkpoint.SENTENCE).setOutputs("loss");
        ComputationGraph tuned = LoRA.apply(checkpoint.model(graph.build()).network(), LoRAConfig.builder().rank(2)
                .updater(new Adam(0.05)).seed(1).build());
        for (int step = 0; step < 3; step++) {
            tuned.fit(new DataSet(Nd4j.createFromArray(new float[][] {{3, 5, 7}, {4, 2, 9}, {6, 6, 2}, {9, 3, 4}}),
                    Nd4j.createFromArray(new float[][] {{0}, {1}, {0}, {1}})));
        }
        LoRAAdapter.of(tuned).save(adapters.resolve("mine"));
        Path base = folder.resolve("base");
        checkpoint.writeCheckpoint(checkpoint.sentenceEncoder(own).network(), base);
        Path merged = folder.resolve("merged");
        checkpoint.writeCheckpoint(LoRA.merge(tuned), merged);

        try (Running running = served(base, null)) {
            assertServes(running, "base", base, begin, end);
            assertServes(running, "__base__", base, begin, end);
            assertServes(running, "mine", merged, begin, end);
            assertThat(vector(embeddings(running, Map.of("model", "mine", "input", "cash")), 0).distance2(
                    vector(embeddings(running, Map.of("model", "base", "input", "cash")), 0))).isGreaterThan(0.01);
            assertThat(running.get("/v1/models").ok().get("data").findValuesAsText("id")).containsExactly("__base__", "base",
                    "mine");
        }
        try (Running running = served(merged, null)) {
            assertServes(running, "merged", merged, begin, end);
        }
    }

    @Test
    void promptsAreThoseOfTheFolder() throws Exception {
        Checkpoint bert = bert();
        TextSettings texts = bert.textSettings().withPrompt("query", "query: ").withPrompt("passage", "passage: ");
        bert.withTextSettings(texts.withDefaultPrompt("passage")).writeCheckpoint(bert.sentenceEncoder().network(),
                folder.resolve("new"));
        ComputationGraph network = bert.sentenceEncoder().network();
        INDArray query = network.outputSingle(bertIds(7, 9, 4));
        INDArray passage = network.outputSingle(bertIds(8, 9, 6));
        try (Running running = served(folder.resolve("new"), null)) {
            assertClose(vector(embeddings(running, Map.of("model", "new", "input", "cash")), 0), passage);
            assertClose(vector(embeddings(running, Map.of("input", List.of("free"), "model", "new", "prompt_name", "query")), 0),
                    query);
            assertClose(vector(embeddings(running, Map.of("model", "new", "input", new int[] {2, 6, 10})), 0),
                    network.outputSingle(bertIds(6)));
            assertClose(vector(running.post("/v1/embeddings", "{\"model\": \"new\", \"input\": \"cash\", \"prompt_name\": null}")
                    .ok(), 0), passage);
            assertThat(running.post("/v1/embeddings", "{\"model\": \"new\", \"input\": \"a\", \"prompt_name\": \"title\"}")
                    .error(400)).contains("\"prompt_name\" is \"title\"", "[query, passage]");
            for (String input : List.of("[2, 6, 10]", "[\"cash\", [2, 6, 10]]")) {
                assertThat(running.post("/v1/embeddings", "{\"model\": \"new\", \"input\": " + input
                        + ", \"prompt_name\": \"query\"}").error(400))
                        .contains("\"prompt_name\" goes before texts, but \"input\" has token ids");
            }
            JsonNode answer = running.post("/v1/rerank", "{\"model\": \"new\", \"query\": \"free\", \"documents\": [\"cash\"]}")
                    .ok();
            assertThat(answer.at("/results/0/relevance_score").asDouble())
                    .isCloseTo(Transforms.cosineSim(query, passage), within(TOLERANCE));
        }
        try (Running running = served(folder.resolve("bert"), null)) {
            assertThat(running.post("/v1/embeddings", "{\"model\": \"bert\", \"input\": \"a\", \"prompt_name\": \"query\"}")
                    .error(400)).contains("has no prompts");
        }
    }

    /** Without HTTP, by langchain4j's interface. */
    @Test
    void inTheSameProgramAFolderEmbedsWithItsDefaultPromptAndItsAdapter() throws Exception {
        Checkpoint bert = bert();
        Path own = folder.resolve("own");
        bert.withTextSettings(bert.textSettings().withPrompt("passage", "passage: ").withDefaultPrompt("passage"))
                .writeCheckpoint(bert.sentenceEncoder().network(), own);
        ComputationGraph tuned = (ComputationGraph) Networks.adapted(bert.sentenceEncoder().network(), 1, ".*query", ".*value");
        Checkpoint opened = Checkpoint.open(own);
        try (AdapterBank bank = new AdapterBank(opened.sentenceEncoder().network());
             Tokenizer tokenizer = Tokenizer.of(own, opened, 8)) {
            bank.add("mine", LoRAAdapter.of(tuned));
            EmbeddingModel mine = LoRAEmbeddingModel.of(own, bank, tokenizer, AdapterMix.of("mine"));

            assertThat(mine.modelName()).isEqualTo("own with mine");
            assertThat(mine.dimension()).isEqualTo((int) tuned.outputSingle(bertIds(6)).size(1));
            assertClose(Nd4j.createFromArray(new float[][] {mine.embed("cash").content().vector()}),
                    tuned.outputSingle(bertIds(8, 9, 6)));
            assertClose(Nd4j.createFromArray(new float[][] {LoRAEmbeddingModel.of(own, bank, tokenizer, AdapterMix.base())
                    .embed("free cash").content().vector()}), bert.sentenceEncoder().network().outputSingle(bertIds(8, 9, 4, 6)));
            assertThatThrownBy(() -> LoRAEmbeddingModel.of(folder.resolve("none"), bank, tokenizer, AdapterMix.base()))
                    .isInstanceOf(IOException.class).hasMessageContaining(folder.resolve("none").toString());
        }
        try (AdapterBank images = new AdapterBank(Networks.dense(1)); Tokenizer tokenizer = Tokenizer.of(own, opened, 8)) {
            assertThatThrownBy(() -> LoRAEmbeddingModel.of(own, images, tokenizer, AdapterMix.base()))
                    .isInstanceOf(CheckpointException.class).hasMessageContaining(own + ": the network cannot read what "
                            + "tokenizer.json makes of a text");
        }
    }

    @Test
    void theLongestTextIsThatOfTheFolderUnlessToldOtherwise() throws Exception {
        Checkpoint bert = bert();
        bert.withTextSettings(bert.textSettings().withMaxTokens(4)).writeCheckpoint(bert.sentenceEncoder().network(),
                folder.resolve("new"));
        ComputationGraph network = bert.sentenceEncoder().network();
        Map<String, String> request = Map.of("model", "new", "input", "free cash free cash free cash free cash free");
        for (Integer told : new Integer[] {null, 6, 512}) {
            try (Running running = served(folder.resolve("new"), told)) {
                JsonNode answer = embeddings(running, request);
                assertThat(answer.get("truncated").toString()).isEqualTo("[0]");
                assertClose(vector(answer, 0), network.outputSingle(told == null ? bertIds(4, 6) : told == 6
                        ? bertIds(4, 6, 4, 6) : bertIds(4, 6, 4, 6, 4, 6, 4, 6)));
            }
        }
    }

    @Test
    void aLongestTextOfTheFolderThatHasNoRoomForAWordIsRefusedByItsFile() throws IOException {
        Checkpoint bert = bert();
        bert.withTextSettings(bert.textSettings().withMaxTokens(1)).writeCheckpoint(bert.sentenceEncoder().network(),
                folder.resolve("new"));
        Files.copy(folder.resolve("bert").resolve("tokenizer.json"), folder.resolve("new").resolve("tokenizer.json"),
                StandardCopyOption.REPLACE_EXISTING);
        assertThatThrownBy(() -> ServedModel.encoder(folder.resolve("new").toString(), null))
                .isInstanceOf(CheckpointException.class).hasMessageContainingAll(folder.resolve("new").toString(),
                        "sentence_bert_config.json", "\"max_seq_length\": 1", "--max-tokens");
    }

    /** GPT-2 is often told to pad with the token that ends texts. */
    @ParameterizedTest
    @ValueSource(strings = {"<unk>", "[UNKNOWN]"})
    void aFolderThatPadsWithWhatItsTokenizerPutsAroundTextsIsRefused(String unknown) throws IOException {
        Path gpt2 = TinyFolder.copy("gpt2-sentence-last", TinyFolder.UNIGRAM.replace("<unk>", unknown), folder.resolve("gpt2"));
        ObjectNode config = (ObjectNode) Running.JSON.readTree(gpt2.resolve("config.json").toFile());
        Files.writeString(gpt2.resolve("config.json"), config.put("pad_token_id", 2).toString());
        assertThatThrownBy(() -> ServedModel.encoder(gpt2.toString(), null)).isInstanceOf(IOException.class)
                .hasMessageContainingAll(gpt2.resolve("tokenizer.json").toString(), "the token 2", "\"</s>\"", "pad_token_id");
    }

    @Test
    void documentsAreOrderedByCosinesWhereVectorsAreNotOfLengthOne() throws Exception {
        Path gpt2 = TinyFolder.copy("gpt2-sentence-last", TinyFolder.UNIGRAM, folder.resolve("gpt2"));
        ComputationGraph network = Checkpoint.open(gpt2).sentenceEncoder().network();
        INDArray query = network.outputSingle(ids(0, 2, WORDS[2]));
        assertThat(query.norm2Number().doubleValue()).isNotCloseTo(1, within(0.1));
        try (Running running = served(gpt2, null)) {
            JsonNode answer = running.post("/v1/rerank", "{\"model\": \"gpt2\", \"query\": \"cash\", \"documents\": "
                    + Running.JSON.writeValueAsString(TEXTS) + "}").ok();
            assertThat(answer.get("results")).hasSize(TEXTS.size());
            for (JsonNode result : answer.get("results")) {
                assertThat(result.get("relevance_score").asDouble()).isCloseTo(Transforms.cosineSim(query,
                        network.outputSingle(ids(0, 2, WORDS[result.get("index").asInt()]))), within(TOLERANCE));
            }
        }
    }

    /** GPT-2's own tokenizer puts no token around texts. */
    @Test
    void aTextWithoutATokenIsRefusedByItself() throws Exception {
        ObjectNode tokenizer = (ObjectNode) Running.JSON.readTree(TinyFolder.UNIGRAM);
        tokenizer.putNull("post_processor");
        Path gpt2 = TinyFolder.copy("gpt2-sentence-last", tokenizer.toString(), folder.resolve("gpt2"));
        try (Running running = served(gpt2, null)) {
            assertThat(running.post("/v1/embeddings", "{\"model\": \"gpt2\", \"input\": [\"cash\", \" \"]}").error(400))
                    .contains("A text has no token: \"\"", "Leave it out");
            assertThat(running.post("/v1/rerank", "{\"model\": \"gpt2\", \"query\": \"cash\", \"documents\": [\"\"]}")
                    .error(400)).contains("A text has no token", "Leave it out");
            assertClose(vector(embeddings(running, Map.of("model", "gpt2", "input", new int[] {6})), 0),
                    vector(embeddings(running, Map.of("model", "gpt2", "input", "cash")), 0));
        }
    }

    /** Tokens that padding could be taken for: XLM-RoBERTa's begins texts with 0 and pads with 1. */
    @Test
    void tokensOfAClientAreCheckedByTheVocabularyOfTheFolder() throws Exception {
        Checkpoint plain = Checkpoint.open(TinyFolder.copy("xlm-roberta-lm-tied", TinyFolder.UNIGRAM, folder.resolve("it")));
        plain.writeCheckpoint(plain.sentenceEncoder(Pooling.MEAN).network(), folder.resolve("new"));
        try (Running running = served(folder.resolve("new"), null)) {
            assertClose(vector(embeddings(running, Map.of("model", "new", "input", new int[] {0, 6, 2})), 0),
                    plain.sentenceEncoder(Pooling.MEAN).network().outputSingle(ids(0, 2, 6)));
            for (int wrong : new int[] {-1, 1, 19}) {
                assertThat(running.post("/v1/embeddings", "{\"model\": \"new\", \"input\": [0, " + wrong + "]}").error(400))
                        .contains("the token " + wrong + "; those of new are 0 to 18 without 1, which is padding");
            }
            for (String foreign : List.of("[6]", "[0, 6]", "[6, 2]", "[2, 0]")) {
                assertThat(running.post("/v1/embeddings", "{\"model\": \"new\", \"input\": " + foreign + "}").error(400))
                        .contains("those of new begin with [0] and end with [2]", "check_embedding_ctx_length=False");
            }
            assertThat(running.post("/v1/embeddings", "{\"model\": \"new\", \"input\": \"a\", \"dimensions\": 384}").error(400))
                    .contains("must be the number 8");
        }
    }

    /** The adapter was made for the bare encoder, below pooling and dense layer. */
    @Test
    void manyClientsAskForTextsOfManyLengthsWithAndWithoutAnAdapter() throws Exception {
        Checkpoint bert = bert();
        ComputationGraph tuned = (ComputationGraph) Networks.adapted(bert.encoder().network(), 1, ".*query", ".*value");
        LoRAAdapter.of(tuned).save(adapters.resolve("mine"));
        INDArray expected = LoRA.apply(bert.sentenceEncoder().network(), LoRAAdapter.load(adapters.resolve("mine")))
                .outputSingle(bertIds(WORDS[2]));
        try (Running running = served(folder.resolve("bert"), null)) {
            List<String> models = List.of("mine", "bert", "mine:0.5");
            List<JsonNode> alone = new ArrayList<>();
            for (String model : models) {
                alone.add(embeddings(running, Map.of("model", model, "input", TEXTS)));
            }
            assertClose(vector(alone.get(0), 2), expected);
            List<Callable<JsonNode>> work = new ArrayList<>();
            for (int i = 0; i < 48; i++) {
                String model = models.get(i % models.size());
                work.add(() -> embeddings(running, Map.of("model", model, "input", TEXTS)));
            }
            ExecutorService clients = Executors.newFixedThreadPool(8);
            try {
                List<Future<JsonNode>> answers = clients.invokeAll(work);
                for (int i = 0; i < work.size(); i++) {
                    for (int text = 0; text < TEXTS.size(); text++) {
                        assertClose(vector(answers.get(i).get(), text), vector(alone.get(i % models.size()), text));
                    }
                }
            } finally {
                clients.shutdown();
            }
        }
    }

    /** Where a token may be longer than a word of BERT's, a very long text is cut at blanks. */
    @Test
    void aVeryLongTextIsCutLikeAnyOther() throws Exception {
        Checkpoint plain = Checkpoint.open(TinyFolder.copy("camembert-classifier", TinyFolder.UNIGRAM, folder.resolve("it")));
        plain.writeCheckpoint(plain.sentenceEncoder(Pooling.MEAN).network(), folder.resolve("new"));
        INDArray expected = plain.sentenceEncoder(Pooling.MEAN).network().outputSingle(ids(0, 2, 7, 9, 7, 9, 7, 9));
        try (Running running = served(folder.resolve("new"), null)) {
            for (String piece : List.of("query: ", "query:\n")) {
                JsonNode answer = embeddings(running, Map.of("model", "new", "input", piece.repeat(100_000)));
                assertThat(answer.get("truncated").toString()).isEqualTo("[0]");
                assertClose(vector(answer, 0), expected);
            }
        }
    }

    /** Then the end counts, of which as little is read as of the beginning of other texts. */
    @Test
    void aLongTextLosesItsBeginningIfTheFolderSaysSo() throws Exception {
        Path it = TinyFolder.copy("camembert-classifier", TinyFolder.UNIGRAM, folder.resolve("it"));
        Files.writeString(it.resolve("tokenizer_config.json"), "{\"truncation_side\": \"left\"}");
        Checkpoint plain = Checkpoint.open(it);
        plain.writeCheckpoint(plain.sentenceEncoder(Pooling.MEAN).network(), folder.resolve("new"));
        INDArray expected = plain.sentenceEncoder(Pooling.MEAN).network().outputSingle(ids(0, 2, 4, 6, 7, 9, 4, 6));
        try (Running running = served(folder.resolve("new"), null)) {
            for (int times : new int[] {3, 30, 1_000, 100_000}) {
                JsonNode answer = embeddings(running, Map.of("model", "new", "input",
                        "passage ".repeat(times) + "free cash query: free cash"));
                assertThat(answer.get("truncated").toString()).isEqualTo("[0]");
                assertClose(vector(answer, 0), expected);
            }
            assertThat(running.post("/v1/embeddings", Running.JSON.writeValueAsString(Map.of("model", "new", "input",
                    "free ".repeat(20) + " ".repeat(100_000) + "cash"))).error(400))
                    .contains("of which the last 65536 have only");
        }
    }

    @Test
    void whatIsNoSentenceEncoderIsRefusedWithTheRemedy() throws Exception {
        Path bert = bert().tokenizer().orElseThrow().getParent();
        Files.writeString(bert.resolve("tokenizer.json"), "{\"model\": ");
        assertRefused(bert, "tokenizer.json");
        Files.writeString(bert.resolve("tokenizer.json"), TinyFolder.WORD_PIECE.replace("\"[UNK]\": 3", "\"[UNK]\": 30000"));
        assertRefused(bert, "Token id 30000", "another model's tokenizer", "tokenizer.json");
        Files.delete(bert.resolve("tokenizer.json"));
        assertRefused(bert, "bert has no tokenizer.json", "save_pretrained(folder)");
        Files.write(bert.resolve("model.safetensors"), new byte[20]);
        assertRefused(bert, "model.safetensors");

        Path reranker = TinyFolder.copy("bert-reranker", TinyFolder.WORD_PIECE, folder.resolve("reranker"));
        assertRefused(reranker, "has no modules.json", "BertForSequenceClassification", "--reranker",
                "sentenceEncoder(Pooling.MEAN)");
        assertRefused(folder.resolve("minilmm"), "minilmm is none of [minilm, bge, e5] and no folder");
        assertRefused(adapters, "config.json");
    }

    private static void assertRefused(Path model, String... reasons) {
        assertThatThrownBy(() -> ServedModel.encoder(model.toString(), null)).isInstanceOf(IOException.class)
                .hasMessageContainingAll(reasons);
    }
}
