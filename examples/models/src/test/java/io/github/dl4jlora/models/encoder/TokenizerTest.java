package io.github.dl4jlora.models.encoder;

import io.github.dl4jlora.transformers.Checkpoint;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** Tokenizers of families whose padding is not 0, on tiny checkpoints. */
@Tag("minilm")
class TokenizerTest {

    private static final Path CHECKPOINTS = Path.of("../transformers/src/test/resources/checkpoints");
    private static final String AROUND = """
            {"version": "1.0", "truncation": null, "padding": null, "normalizer": {"type": "NFKC"}, %s,
             "added_tokens": [
               {"id": 0, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
                "special": true},
               {"id": 1, "content": "<pad>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
                "special": true},
               {"id": 2, "content": "</s>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
                "special": true},
               {"id": 3, "content": "%s", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
                "special": true},
               {"id": %d, "content": "<mask>", "single_word": false, "lstrip": true, "rstrip": false, "normalized": false,
                "special": true}],
             "post_processor": {"type": "TemplateProcessing",
               "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                          {"SpecialToken": {"id": "</s>", "type_id": 0}}],
               "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
               "special_tokens": {"<s>": {"id": "<s>", "ids": [0], "tokens": ["<s>"]},
                                  "</s>": {"id": "</s>", "ids": [2], "tokens": ["</s>"]}}}}
            """;
    private static final String UNIGRAM = AROUND.formatted("""
            "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "add_prefix_space": true},
            "decoder": {"type": "Metaspace", "replacement": "▁", "add_prefix_space": true},
            "model": {"type": "Unigram", "unk_id": 3, "vocab": [["<s>", 0.0], ["<pad>", 0.0], ["</s>", 0.0], ["<unk>", 0.0],
              ["▁free", -1.0], ["ly", -2.0], ["▁cash", -1.5], ["▁", -3.0], ["▁fr", -4.0], ["ee", -4.0]]}
            """, "<unk>", 10);
    private static final String WORD_PIECE = AROUND.formatted("""
            "pre_tokenizer": {"type": "BertPreTokenizer"}, "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
            "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
              "max_input_chars_per_word": 100, "vocab": {"<s>": 0, "<pad>": 1, "</s>": 2, "[UNK]": 3, "free": 4, "##ly": 5,
              "cash": 6}}
            """, "[UNK]", 7);

    @TempDir
    Path folder;

    private Path checkpoint(String name, String tokenizer) throws IOException {
        try (Stream<Path> files = Files.list(CHECKPOINTS.resolve(name))) {
            for (Path file : files.filter(Files::isRegularFile).toList()) {
                Files.copy(file, folder.resolve(file.getFileName()));
            }
        }
        Files.writeString(folder.resolve("tokenizer.json"), tokenizer);
        return folder;
    }

    @ParameterizedTest
    @CsvSource({"xlm-roberta-lm-tied, true", "camembert-classifier, true", "mpnet-classifier, false"})
    void textsArePaddedAsTheModelReadsThem(String name, boolean unigram) throws IOException {
        Path model = checkpoint(name, unigram ? UNIGRAM : WORD_PIECE);
        Checkpoint checkpoint = Checkpoint.open(model);
        try (Tokenizer tokenizer = Tokenizer.of(model, checkpoint, 128)) {
            INDArray batch = tokenizer.batch(List.of("free cash", "freely free cash", "free"));

            assertThat(batch).isEqualTo(Nd4j.createFromArray(new float[][] {{0, 4, 6, 2, 1, 1}, {0, 4, 5, 4, 6, 2},
                    {0, 4, 2, 1, 1, 1}}));
            assertThat(tokenizer.ids("free <pad> cash")).contains(3).doesNotContain(1);
            assertThat(tokenizer.id(tokenizer.mask())).isEqualTo(unigram ? 10 : 7);
            assertThat(tokenizer.padding()).isEqualTo(1);
            ComputationGraph encoder = checkpoint.sentenceEncoder().network();
            INDArray alone = encoder.outputSingle(tokenizer.batch(List.of("free")));
            assertThat(encoder.outputSingle(batch).getRow(2, true).distance2(alone)).isLessThan(1e-5);
            assertThat(new SentenceEncoder(tokenizer, encoder::outputSingle, 3).embed(List.of("free cash", "free", "freely free"))
                    .getRow(1, true).distance2(alone)).isLessThan(1e-5);
        }
    }

    /** As paraphrase-multilingual-MiniLM-L12-v2 has it: config.json says 0, tokenizer.json 1. */
    @Test
    void aMultilingualBertIsPaddedAsItsTokenizerSays() throws IOException {
        Path model = checkpoint("bert-reranker", WORD_PIECE);
        Files.writeString(model.resolve("special_tokens_map.json"), "{\"pad_token\": \"<pad>\"}");
        try (Tokenizer tokenizer = Tokenizer.of(model, Checkpoint.open(model), 128)) {
            assertThat(tokenizer.batch(List.of("free cash", "free"))).isEqualTo(Nd4j.createFromArray(
                    new float[][] {{0, 4, 6, 2}, {0, 4, 2, 1}}));
        }
    }

    @Test
    void paddingThatNoFileOfTheTokenizerNamesIsToBeSetInConfig() throws IOException {
        Path model = checkpoint("bert-reranker", WORD_PIECE);
        Checkpoint checkpoint = Checkpoint.open(model);

        assertThatThrownBy(() -> Tokenizer.of(model, checkpoint, 128)).isInstanceOf(IOException.class).hasMessageContainingAll(
                "the token 0, \"<s>\"", "Set pad_token_id in config.json to the id of the tokenizer's padding token");
        Path config = model.resolve("config.json");
        Files.writeString(config, Files.readString(config).replaceAll("\"pad_token_id\": \\d+", "\"pad_token_id\": 1"));
        Tokenizer.of(model, Checkpoint.open(model), 128).close();
    }

    /** GPT-2 has 1,024 positions. */
    @Test
    void aTextMayHaveMoreThan512Tokens() throws IOException {
        Path json = Files.writeString(folder.resolve("tokenizer.json"), WORD_PIECE);
        try (Tokenizer tokenizer = new Tokenizer(json, 1000)) {
            Tokenizer.Tokens tokens = tokenizer.tokens("free ".repeat(2000));

            assertThat(tokens.ids()).hasSize(1000).endsWith(4, 2);
            assertThat(tokens.isCut()).isTrue();
            assertThat(tokenizer.tokens("free ".repeat(998)).isCut()).isFalse();
        }
        assertThatThrownBy(() -> new Tokenizer(json, 1)).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("maxTokens is 1, but must be at least 2");
    }

    /** The id 0 is padding in BERT, but begins a text in RoBERTa. */
    @ParameterizedTest
    @CsvSource({"<pad>, 1, 0", "[PAD], 1, 0", "other, 0, 3"})
    void withoutACheckpointItsOwnPaddingIsUsedOr0(String called, int padding, int first) throws IOException {
        Path json = Files.writeString(folder.resolve("tokenizer.json"), WORD_PIECE.replace("<pad>", called));
        try (Tokenizer tokenizer = new Tokenizer(json, 128)) {
            assertThat(tokenizer.padding()).isEqualTo(padding);
            assertThat(tokenizer.batch(List.of("free cash", "free"))).isEqualTo(Nd4j.createFromArray(
                    new float[][] {{first, 4, 6, 2}, {first, 4, 2, padding}}));
        }
    }

    /** The stride that it kept must be smaller than the longest text, or the native library ends the program. */
    @ParameterizedTest
    @ValueSource(strings = {"Right", "Left"})
    void howPythonLastCutTextsIsNotFollowed(String direction) throws IOException {
        String cutting = WORD_PIECE.replace("\"truncation\": null", "\"truncation\": {\"direction\": \"" + direction
                + "\", \"max_length\": 384, \"strategy\": \"OnlySecond\", \"stride\": 128}");
        Path json = Files.writeString(folder.resolve("tokenizer.json"), cutting);
        try (Tokenizer tokenizer = new Tokenizer(json, 6)) {
            assertThat(tokenizer.ids("free cash ".repeat(100))).containsExactly(0, 4, 6, 4, 6, 2);
            assertThat(tokenizer.pair("free ".repeat(50), "cash ".repeat(50)).ids()).containsExactly(4, 4, 4, 6, 6, 6);
        }
        assertThat(TokenizerJson.of(Files.readAllBytes(json)).cutsBeginnings()).isEqualTo(direction.equals("Left"));
        assertThat(new String(TokenizerJson.of(Files.readAllBytes(json)).withoutTruncation(), StandardCharsets.UTF_8))
                .isEqualTo(WORD_PIECE);
    }

    @Test
    void aPairNeedsRoomForWhatGoesAroundIt() throws IOException {
        String around = WORD_PIECE.replace("\"pair\": [", "\"pair\": [{\"SpecialToken\": {\"id\": \"<s>\", \"type_id\": 0}}, "
                + "{\"SpecialToken\": {\"id\": \"</s>\", \"type_id\": 0}}, {\"SpecialToken\": {\"id\": \"</s>\", "
                + "\"type_id\": 0}}, ");
        Path json = Files.writeString(folder.resolve("tokenizer.json"), around);
        try (Tokenizer tokenizer = new Tokenizer(json, 2)) {
            assertThat(tokenizer.ids("free cash")).hasSize(2);
            assertThatThrownBy(() -> tokenizer.pair("free", "cash")).isInstanceOf(IllegalStateException.class)
                    .hasMessageContaining("maxTokens is 2, but this tokenizer puts 3 tokens around two texts");
        }
    }

    @ParameterizedTest
    @CsvSource({"'{\"model\": '", "'{}'", "''"})
    void aDamagedTokenizerIsRefusedByTheNameOfItsFile(String description) throws IOException {
        Path json = Files.writeString(folder.resolve("tokenizer.json"), description);

        assertThatThrownBy(() -> new Tokenizer(json, 128)).isInstanceOf(IOException.class)
                .hasMessageContainingAll(json.toString(), "describes no tokenizer");
    }
}
