package io.github.dl4jlora.models.encoder;

import io.github.dl4jlora.LogCapture;
import io.github.dl4jlora.transformers.Checkpoint;
import io.github.dl4jlora.transformers.CheckpointException;
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
import java.util.Arrays;
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

    /** BERT's normalizer for models that know capitals, which leaves Chinese characters as they are. */
    private static final String CASED = WORD_PIECE.replace("\"NFKC\"", "\"BertNormalizer\", \"clean_text\": true, "
            + "\"handle_chinese_chars\": false, \"strip_accents\": null, \"lowercase\": false");
    private static final String IN_SEQUENCE = CASED.replace("\"normalizer\": {", "\"normalizer\": {\"type\": \"Sequence\", "
            + "\"normalizers\": [{").replace("\"lowercase\": false}", "\"lowercase\": false}]}");

    @TempDir
    Path folder;

    /** A folder of BERT whose tokenizer pads with 1. */
    private Path bert(String tokenizer, String settings) throws IOException {
        Path model = checkpoint("bert-reranker", tokenizer);
        Files.writeString(model.resolve("special_tokens_map.json"), "{\"pad_token\": \"<pad>\"}");
        if (settings != null) {
            Files.writeString(model.resolve("tokenizer_config.json"), settings.replace('\'', '"'));
        }
        return model;
    }

    private static int[] words(Path model, String text) throws IOException {
        try (Tokenizer tokenizer = Tokenizer.of(model, Checkpoint.open(model), 128)) {
            int[] ids = tokenizer.ids(text);
            return Arrays.copyOfRange(ids, 1, ids.length - 1);
        }
    }

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
        Path model = bert(WORD_PIECE, null);
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

    /**
     * As versions 4 of transformers, but where the file is missing. The ids are those of "free", "##ly" and "cash", and 3 for
     * what is unknown.
     */
    @ParameterizedTest
    @CsvSource(delimiter = '|', nullValues = "-", value = {
            "- | FREE free\u4e2d | 3 3", "{} | FREE | 4", "{} | fr\u00e9e | 4", "{} | free\u4e2d | 4 3",
            "{'do_lower_case': true} | FREELY | 4 5", "{'do_lower_case': false} | FREE | 3",
            "{'do_lower_case': false} | fr\u00e9e | 3", "{'do_lower_case': false, 'strip_accents': true} | fr\u00e9e | 4",
            "{'strip_accents': false} | FREE fr\u00e9e | 4 3",
            "{'strip_accents': null} | fr\u00e9e | 4", "{'tokenize_chinese_chars': false} | FREE free\u4e2d | 4 3",
            "{'tokenizer_class': 'BertTokenizer'} | FREE | 4", "{'tokenizer_class': 'BertTokenizerFast'} | FREE | 4",
            "{'tokenizer_class': null} | FREE | 4", "{'tokenizer_class': 'ElectraTokenizer'} | FREE free\u4e2d | 4 4 3",
            "{'tokenizer_class': 'DistilBertTokenizerFast', 'do_lower_case': false} | FREE | 3",
            "{'tokenizer_class': 'MPNetTokenizer', 'tokenize_chinese_chars': true} | FREE free\u4e2d | 4 3",
            "{'tokenizer_class': 'PreTrainedTokenizerFast', 'do_lower_case': true} | FREE | 3",
            "{'tokenizer_class': 'PreTrainedTokenizerFast', 'do_lower_case': 'yes'} | free | 4",
            "{'tokenizer_class': 'XLMRobertaTokenizer', 'do_lower_case': true} | FREE | 3",
            "{'tokenizer_class': 'TokenizersBackend', 'do_lower_case': true} | FREE | 3"})
    void whatTransformersSetsOverTheNormalizerCounts(String settings, String text, String ids) throws IOException {
        assertThat(words(bert(CASED, settings), text)).containsExactly(
                Stream.of(ids.split(" ")).mapToInt(Integer::parseInt).toArray());
    }

    @ParameterizedTest
    @CsvSource({"PreTrainedTokenizerFast, 3", "BertTokenizer, 4"})
    void configJsonNamesTheClassIfTokenizerConfigDoesNot(String named, int id) throws IOException {
        Path model = bert(CASED, "{}");
        Path config = model.resolve("config.json");
        Files.writeString(config, Files.readString(config).replaceFirst("\\{", "{\"tokenizer_class\": \"" + named + "\", "));

        assertThat(words(model, "FREE")).containsExactly(id);
    }

    @ParameterizedTest
    @CsvSource({"distilbert-lm, 4", "mpnet-classifier, 4", "roberta-classifier, 3", "camembert-classifier, 3"})
    void theModelNamesTheClassIfNoFileDoes(String name, int id) throws IOException {
        Path model = checkpoint(name, CASED);
        Files.writeString(model.resolve("tokenizer_config.json"), "{\"pad_token\": \"<pad>\"}");

        assertThat(words(model, "FREE")).containsExactly(id);
    }

    /** As Python, which asks the whole normalizer for settings, and none of its parts. */
    @Test
    void aSequenceOfNormalizersIsLeftAsItIs() throws IOException {
        try (LogCapture log = LogCapture.ofLibrary()) {
            assertThat(words(bert(IN_SEQUENCE, "{'do_lower_case': true}"), "FREE free")).containsExactly(3, 4);
            assertThat(log.messages()).isEmpty();
        }
    }

    @Test
    void whereFilesOfATokenizerContradictEachOtherAWarningSaysWhatIsFollowed() throws IOException {
        Path model = bert(CASED, "{'strip_accents': true, 'tokenize_chinese_chars': false}");
        try (LogCapture log = LogCapture.ofLibrary()) {
            words(model, "free");
            assertThat(log.messages()).singleElement().asString().contains(model.resolve("tokenizer.json").toString(),
                    model.resolve("tokenizer_config.json").toString(),
                    "takes {\"do_lower_case\":true,\"strip_accents\":true}",
                    "write {\"do_lower_case\":false,\"strip_accents\":null} into tokenizer_config.json");
        }
        Files.writeString(model.resolve("tokenizer_config.json"), "{\"do_lower_case\": false, \"strip_accents\": null, "
                + "\"tokenize_chinese_chars\": false, \"truncation_side\": \"right\"}");
        try (LogCapture log = LogCapture.ofLibrary()) {
            assertThat(words(model, "FREE free")).containsExactly(3, 4);
            assertThat(log.messages()).isEmpty();
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"BertJapaneseTokenizer", "Bert", "TokenizerFast"})
    void aClassOfTokenizersThatIsNotKnownIsToldOf(String named) throws IOException {
        Path model = bert(CASED, "{'tokenizer_class': '" + named + "', 'do_lower_case': true}");
        try (LogCapture log = LogCapture.ofLibrary()) {
            assertThat(words(model, "FREE free")).containsExactly(3, 4);
            assertThat(log.messages()).singleElement().asString().contains(model.toString(), "\"" + named + "\"",
                    "as tokenizer.json says", "set tokenizer_class to PreTrainedTokenizerFast in tokenizer_config.json");
        }
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
            "{'do_lower_case': 'yes'} | says 'do_lower_case': 'yes', but expected is true or false",
            "{'do_lower_case': null} | says 'do_lower_case': null, but expected is true or false, or to leave it out",
            "{'strip_accents': 1} | says 'strip_accents': 1, but expected is true or false",
            "{'tokenize_chinese_chars': []} | says 'tokenize_chinese_chars': [], but expected is true or false",
            "{'tokenizer_class': 7} | says 'tokenizer_class': 7, but expected is a text",
            "{'truncation_side': 'Left'} | says 'truncation_side': 'Left', but expected is 'left' or 'right'",
            "{'truncation_side': null} | says 'truncation_side': null, but expected is 'left' or 'right', or to leave it out",
            "{'truncation_side': true} | says 'truncation_side': true, but expected is a text"})
    void aSettingOfAnotherKindIsRefused(String settings, String message) throws IOException {
        Path model = bert(CASED, settings);
        Checkpoint checkpoint = Checkpoint.open(model);

        assertThatThrownBy(() -> Tokenizer.of(model, checkpoint, 128)).isInstanceOf(CheckpointException.class)
                .hasMessage(model.resolve("tokenizer_config.json") + " " + message.replace('\'', '"'));
    }

    /** Python has the side of tokenizer_config.json or, if there is none, the direction of tokenizer.json. */
    @ParameterizedTest
    @CsvSource(delimiter = '|', nullValues = "-", value = {"- | - | false", "- | Right | false", "- | Left | true",
            "left | - | true", "left | Right | true", "left | absent | true", "right | Left | false", "right | absent | false"})
    void longTextsAreCutAtTheSideThatPythonCuts(String side, String direction, boolean beginnings) throws IOException {
        String settings = side == null ? null : "{'truncation_side': '" + side + "'}";
        String cutting = direction == null ? WORD_PIECE : direction.equals("absent")
                ? WORD_PIECE.replace("\"truncation\": null, ", "") : cutting(direction);
        Path model = bert(cutting, settings);
        try (LogCapture log = LogCapture.ofLibrary();
             Tokenizer tokenizer = Tokenizer.of(model, Checkpoint.open(model), 5)) {
            Tokenizer.Tokens tokens = tokenizer.tokens("free free cash freely");

            assertThat(tokenizer.cutsBeginnings()).isEqualTo(beginnings);
            assertThat(tokens.isCut()).isTrue();
            assertThat(tokens.ids()).containsExactly(beginnings ? new int[] {0, 6, 4, 5, 2} : new int[] {0, 4, 4, 6, 2});
            assertThat(tokens.cut(3, tokenizer.last(tokenizer.around(), 3)).ids())
                    .containsExactly(beginnings ? new int[] {0, 5, 2} : new int[] {0, 4, 2});
            assertThat(tokenizer.tokens("free cash free").isCut()).isFalse();
            assertThat(tokenizer.pair("cash free", "free cash freely").ids())
                    .containsExactly(beginnings ? new int[] {6, 4, 6, 4, 5} : new int[] {6, 4, 4, 6, 4});
            assertThat(log.messages()).isEmpty();
        }
    }

    private static String cutting(String direction) {
        return WORD_PIECE.replace("\"truncation\": null", "\"truncation\": {\"direction\": \"" + direction
                + "\", \"max_length\": 384, \"strategy\": \"OnlySecond\", \"stride\": 128}");
    }

    /** The stride that it kept must be smaller than the longest text, or the native library ends the program. */
    @ParameterizedTest
    @ValueSource(strings = {"Right", "Left"})
    void ofHowPythonLastCutTextsOnlyTheSideIsFollowed(String direction) throws IOException {
        Path json = Files.writeString(folder.resolve("tokenizer.json"), cutting(direction));
        boolean beginnings = direction.equals("Left");
        try (Tokenizer tokenizer = new Tokenizer(json, 6)) {
            assertThat(tokenizer.ids("free " + "cash ".repeat(100) + "free")).containsExactly(
                    beginnings ? new int[] {0, 6, 6, 6, 4, 2} : new int[] {0, 4, 6, 6, 6, 2});
            assertThat(tokenizer.pair("free ".repeat(50), "cash ".repeat(50)).ids()).containsExactly(4, 4, 4, 6, 6, 6);
        }
        assertThat(TokenizerJson.of(Files.readAllBytes(json)).cutsBeginnings()).isEqualTo(beginnings);
        assertThat(new String(TokenizerJson.of(Files.readAllBytes(json)).cutting(6, false), StandardCharsets.UTF_8))
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
