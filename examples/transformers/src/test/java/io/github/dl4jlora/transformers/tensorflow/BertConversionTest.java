package io.github.dl4jlora.transformers.tensorflow;

import io.github.dl4jlora.internal.untrusted.Safetensors;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.ObjectMapper;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.params.provider.Arguments.arguments;

class BertConversionTest {

    private static final int HIDDEN = 64;
    private static final int WIDE = 8;
    private static final int LAYERS = 2;
    private static final List<String> WORDS = List.of("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "straße", "##s");

    @TempDir
    private Path folder;
    private Path prefix;
    private Path vocabulary;
    private Path converted;

    @BeforeEach
    void name() throws IOException {
        prefix = folder.resolve("bert_model.ckpt");
        vocabulary = Files.writeString(folder.resolve("words"), String.join("\n", WORDS) + "\n");
        converted = folder.resolve("deep/converted");
        Nd4j.getRandom().setSeed(24);
    }

    /** Every variable of a small BERT, by name. */
    private static Map<String, INDArray> bert(String scope) {
        Map<String, INDArray> variables = new HashMap<>();
        put(variables, scope + "bert/embeddings/word_embeddings", WORDS.size(), HIDDEN);
        put(variables, scope + "bert/embeddings/position_embeddings", 5, HIDDEN);
        put(variables, scope + "bert/embeddings/token_type_embeddings", 2, HIDDEN);
        norm(variables, scope + "bert/embeddings");
        for (int layer = 0; layer < LAYERS; layer++) {
            String at = scope + "bert/encoder/layer_" + layer;
            for (String square : List.of("attention/self/query", "attention/self/key", "attention/self/value",
                    "attention/output/dense")) {
                dense(variables, at + "/" + square, HIDDEN, HIDDEN);
            }
            norm(variables, at + "/attention/output");
            dense(variables, at + "/intermediate/dense", HIDDEN, WIDE);
            dense(variables, at + "/output/dense", WIDE, HIDDEN);
            norm(variables, at + "/output");
        }
        dense(variables, scope + "bert/pooler/dense", HIDDEN, HIDDEN);
        dense(variables, scope + "cls/predictions/transform/dense", HIDDEN, HIDDEN);
        norm(variables, scope + "cls/predictions/transform");
        put(variables, scope + "cls/predictions/output_bias", WORDS.size());
        put(variables, scope + "cls/seq_relationship/output_weights", 2, HIDDEN);
        put(variables, scope + "cls/seq_relationship/output_bias", 2);
        return variables;
    }

    private static void dense(Map<String, INDArray> variables, String at, int in, int out) {
        put(variables, at + "/kernel", in, out);
        put(variables, at + "/bias", out);
    }

    private static void norm(Map<String, INDArray> variables, String in) {
        put(variables, in + "/LayerNorm/gamma", HIDDEN);
        put(variables, in + "/LayerNorm/beta", HIDDEN);
    }

    private static void put(Map<String, INDArray> variables, String name, long... shape) {
        variables.put(name, Nd4j.rand(DataType.FLOAT, shape));
    }

    private long convert(Map<String, INDArray> variables) throws IOException {
        BundleFiles files = new BundleFiles(2);
        variables.forEach(files::put);
        files.write(prefix);
        return BertConversion.convert(prefix, vocabulary, true, converted);
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "module/"})
    void everyVariableIsATensorInPyTorchsFormAndName(String scope) throws IOException {
        Map<String, INDArray> variables = bert(scope);

        long parameters = convert(variables);

        assertThat(parameters).isEqualTo(variables.values().stream().mapToLong(INDArray::length).sum());
        try (Safetensors tensors = Safetensors.open(converted.resolve("model.safetensors"))) {
            assertThat(tensors.metadata()).isEqualTo(Map.of("format", "pt"));
            assertThat(tensors.names()).hasSize(variables.size()).startsWith("bert.embeddings.word_embeddings.weight");
            Map.of("bert.embeddings.word_embeddings.weight", "bert/embeddings/word_embeddings",
                    "bert.embeddings.LayerNorm.weight", "bert/embeddings/LayerNorm/gamma",
                    "bert.encoder.layer.1.output.LayerNorm.bias", "bert/encoder/layer_1/output/LayerNorm/beta",
                    "bert.encoder.layer.0.attention.self.query.bias", "bert/encoder/layer_0/attention/self/query/bias",
                    "cls.predictions.bias", "cls/predictions/output_bias",
                    "cls.seq_relationship.weight", "cls/seq_relationship/output_weights",
                    "cls.seq_relationship.bias", "cls/seq_relationship/output_bias")
                    .forEach((name, variable) -> assertThat(read(tensors, name)).as(name)
                            .isEqualTo(variables.get(scope + variable)));
            Map.of("bert.encoder.layer.1.intermediate.dense.weight", "bert/encoder/layer_1/intermediate/dense/kernel",
                    "bert.encoder.layer.0.attention.self.query.weight", "bert/encoder/layer_0/attention/self/query/kernel",
                    "bert.encoder.layer.0.output.dense.weight", "bert/encoder/layer_0/output/dense/kernel",
                    "bert.pooler.dense.weight", "bert/pooler/dense/kernel",
                    "cls.predictions.transform.dense.weight", "cls/predictions/transform/dense/kernel")
                    .forEach((name, variable) -> assertThat(read(tensors, name)).as(name)
                            .isEqualTo(variables.get(scope + variable).transpose()));
        }
    }

    private static INDArray read(Safetensors tensors, String name) {
        try {
            return tensors.read(name);
        } catch (IOException e) {
            throw new AssertionError(e);
        }
    }

    @Test
    void theFolderSaysWhatTheNetworkIsAndHowTextsAreCut() throws IOException {
        convert(bert(""));

        JsonNode config = json("config.json");
        assertThat(config.get("architectures").get(0).asText()).isEqualTo("BertForMaskedLM");
        assertThat(config.get("vocab_size").asInt()).isEqualTo(WORDS.size());
        assertThat(config.get("hidden_size").asInt()).isEqualTo(HIDDEN);
        assertThat(config.get("num_attention_heads").asInt()).isEqualTo(1);
        assertThat(config.get("num_hidden_layers").asInt()).isEqualTo(LAYERS);
        assertThat(config.get("intermediate_size").asInt()).isEqualTo(WIDE);
        assertThat(config.get("max_position_embeddings").asInt()).isEqualTo(5);
        assertThat(config.get("layer_norm_eps").asDouble()).isEqualTo(1e-12);
        JsonNode tokenizer = json("tokenizer.json");
        assertThat(tokenizer.get("model").get("vocab").get("straße").asInt()).isEqualTo(5);
        assertThat(tokenizer.get("normalizer").get("lowercase").asBoolean()).isTrue();
        assertThat(converted.resolve("vocab.txt")).hasSameBinaryContentAs(vocabulary);
    }

    private JsonNode json(String file) throws IOException {
        return new ObjectMapper().readTree(converted.resolve(file).toFile());
    }

    @Test
    void whatTheOptimizerKeptAndAMissingNextSentenceHeadAreNoMatter() throws IOException {
        Map<String, INDArray> variables = bert("");
        variables.keySet().removeIf(name -> name.startsWith("cls/seq_relationship"));
        variables.put("bert/pooler/dense/kernel/adam_m", Nd4j.ones(3));
        variables.put("bert/pooler/dense/kernel/adam_v", Nd4j.ones(3));
        variables.put("global_step", Nd4j.scalar(3f));

        convert(variables);

        try (Safetensors tensors = Safetensors.open(converted.resolve("model.safetensors"))) {
            assertThat(tensors.names()).hasSize(variables.size() - 3).noneMatch(name -> name.contains("adam"));
        }
    }

    static Stream<Arguments> misfits() {
        String query = "bert/encoder/layer_1/attention/self/query/kernel";
        return Stream.of(
                arguments("nothing", variables(Map::clear), "contains no BERT"),
                arguments("a missing variable", variables(all -> all.remove(query)), "has no tensor \"" + query + "\""),
                arguments("no head", variables(all -> all.keySet().removeIf(name -> name.startsWith("cls"))),
                        "has no tensor \"cls/predictions/transform/dense/kernel\""),
                arguments("half a head", variables(all -> all.remove("cls/seq_relationship/output_bias")),
                        "has no tensor \"cls/seq_relationship/output_bias\""),
                arguments("one more", variables(all -> all.put("bert/encoder/layer_9/x", Nd4j.ones(3))),
                        "has variables that no BERT has: [bert/encoder/layer_9/x]"),
                arguments("a first layer less", variables(all -> all.keySet().removeIf(name -> name.contains("layer_0"))),
                        "has 0 layers"),
                arguments("another shape", variables(all -> all.put(query, Nd4j.ones(HIDDEN, 3))),
                        "\"" + query + "\" has the shape [64, 3], but according to the others it should have [64, 64]"),
                arguments("another width", variables(all -> all.put("bert/embeddings/word_embeddings", Nd4j.ones(7, 63))),
                        "hidden size of 63"),
                arguments("words in a row", variables(all -> all.put("bert/embeddings/word_embeddings", Nd4j.ones(7))),
                        "expected a matrix"),
                arguments("NaN", variables(all -> all.put("bert/pooler/dense/bias", Nd4j.ones(HIDDEN).putScalar(3, Float.NaN))),
                        "\"bert/pooler/dense/bias\" in "));
    }

    private static Consumer<Map<String, INDArray>> variables(Consumer<Map<String, INDArray>> change) {
        return change;
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("misfits")
    void whatIsNoBertIsRefusedAndNothingIsWritten(String misfit, Consumer<Map<String, INDArray>> change, String reason) {
        Map<String, INDArray> variables = bert("");
        change.accept(variables);

        refused(() -> convert(variables), "bert_model.ckpt.index", reason);
    }

    private interface Converting {
        void run() throws IOException;
    }

    private void refused(Converting converting, String... reasons) {
        assertThatThrownBy(converting::run).isInstanceOf(IOException.class)
                .satisfies(e -> assertThat(e.getMessage()).contains(reasons));
        assertThat(folder).isDirectoryNotContaining("glob:**.tmp");
        assertThat(converted).doesNotExist();
        assertThat(converted.getParent()).satisfiesAnyOf(parent -> assertThat(parent).doesNotExist(),
                parent -> assertThat(parent).isEmptyDirectory());
    }

    static Stream<Arguments> vocabularies() {
        return Stream.of(
                arguments(String.join("\n", WORDS) + "\nmore\n", "has 8 tokens, but the network knows 7"),
                arguments("", "has 1 tokens, but the network knows 7"),
                arguments(String.join("\n", WORDS).replace("##s", "[PAD]"), "\"[PAD]\" more than once, first in line 1"),
                arguments(String.join("\n", WORDS).replace("[MASK]", "mask"), "has no token [MASK]"));
    }

    @ParameterizedTest
    @MethodSource("vocabularies")
    void aVocabularyThatDoesNotFitIsRefused(String text, String reason) throws IOException {
        Files.writeString(vocabulary, text);

        refused(() -> convert(bert("")), vocabulary.toString(), reason);
    }

    @Test
    void aVocabularyThatIsNoTextOrNotThereIsRefused() throws IOException {
        Files.write(vocabulary, "[PAD]\nä".getBytes(StandardCharsets.ISO_8859_1));
        refused(() -> convert(bert("")), vocabulary.toString(), "not text in UTF-8");

        Files.delete(vocabulary);
        refused(() -> convert(bert("")), vocabulary.toString(), "does not exist");
    }

    @Test
    void linesMayEndAsOnWindows() throws IOException {
        Files.writeString(vocabulary, String.join("\r\n", WORDS) + "\r\n");

        convert(bert(""));

        assertThat(json("tokenizer.json").get("model").get("vocab").get("[PAD]").asInt()).isZero();
    }

    @Test
    void aFolderThatIsThereIsLeftAlone() throws IOException {
        Files.createDirectories(converted);

        assertThatThrownBy(() -> convert(bert(""))).isInstanceOf(FileAlreadyExistsException.class)
                .hasMessageContaining(converted.toString());
        assertThat(converted).isEmptyDirectory();
    }

    @Test
    void aDamagedTensorLeavesNothingBehind() throws IOException {
        convert(bert(""));
        Path data = BundleFiles.file(prefix, 1, 2);
        byte[] values = Files.readAllBytes(data);
        values[values.length - 1] ^= 1;
        Files.write(data, values);
        converted = folder.resolve("other/converted");

        refused(() -> BertConversion.convert(prefix, vocabulary, true, converted), "is damaged: its checksum differs");
        assertThat(Arrays.asList(folder.toFile().list())).contains("deep").doesNotContain("other");
    }
}
