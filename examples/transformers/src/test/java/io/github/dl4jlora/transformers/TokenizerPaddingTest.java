package io.github.dl4jlora.transformers;

import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.Objects;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** Multilingual models of class BertModel have another padding in config.json than their tokenizers. */
class TokenizerPaddingTest {

    @TempDir
    private Path folder;

    private Checkpoint opened(String tokenizer) throws IOException {
        return opened("bert-reranker", Map.of("tokenizer_config.json", tokenizer));
    }

    private Checkpoint opened(String name, Map<String, String> files) throws IOException {
        Path changed = ChangedFolder.of(name, folder.resolve(name)).path();
        for (Map.Entry<String, String> file : files.entrySet()) {
            Files.writeString(changed.resolve(file.getKey()), file.getValue());
        }
        return Checkpoint.open(changed);
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
            "{'pad_token': '<pad>', 'added_tokens_decoder': {'0': {'content': '<s>'}, '1': {'content': '<pad>'}}} | 1",
            "{'pad_token': {'content': '<pad>'}, 'added_tokens_decoder': {'3': {'content': '<pad>'}}} | 3",
            "{'tokenizer_class': 'XLMRobertaTokenizer', 'pad_token': '<pad>'} | 1",
            "{'tokenizer_class': 'XLMRobertaTokenizerFast'} | 1",
            "{'tokenizer_class': 'BertTokenizer', 'pad_token': '[PAD]'} | 0", "{} | 0", "[] | 0",
            "{'pad_token': null, 'added_tokens_decoder': {'2': {'content': null}, 'x': 7}} | 0"})
    void theTokenizersPaddingIsFollowed(String tokenizer, int padding) throws IOException {
        assertThat(opened(tokenizer.replace('\'', '"')).shape().padding()).isEqualTo(padding);
    }

    /** As transformers 4.33 and older left it. */
    @ParameterizedTest
    @CsvSource(delimiter = '|', nullValues = "-", value = {
            "{'pad_token': '<pad>'} | - | {'padding': null, 'added_tokens': [{'id': 0, 'content': '<s>'}, "
                    + "{'id': 1, 'special': true, 'content': '<pad>'}]} | 1",
            "{'tokenizer_class': 'BertTokenizer', 'pad_token': {'content': '<pad>'}} | {'pad_token': 'other'} | {'padding': "
                    + "{'pad_id': 5}, 'model': {'vocab': [['<s>', 0.0], ['<pad>', -1.5]]}, 'added_tokens': "
                    + "[7, [[]], {}, {'id': 2}, {'content': '<pad>'}, {'x': {'id': 9}, 'id': 1, 'content': '<pad>'}]} | 1",
            "- | {'pad_token': '<pad>'} | {'added_tokens': [{'id': 4, 'content': '<pad>'}]} | 4",
            "{'pad_token': null} | {'pad_token': {'content': '<pad>'}} | {'added_tokens': [{'id': 4, 'content': '<pad>'}]} | 4",
            "{'pad_token': '<pad>'} | - | {'padding': {'strategy': {'Fixed': 8}, 'pad_id': 6, 'pad_token': '<pad>'}, "
                    + "'added_tokens': [{'id': 0, 'content': '<s>'}]} | 6",
            "- | - | {'added_tokens': [{'id': 4, 'content': '<pad>'}], 'padding': {'pad_id': 6}} | 6",
            "- | {'pad_token': null} | {'padding': null, 'added_tokens': [{'id': 4, 'content': null}]} | 0",
            "{'pad_token': '<pad>'} | - | - | 0", "- | - | [] | 0", "- | - | 3 | 0", "- | - | {} | 0", "- | - | '' | 0",
            "- | - | {'padding': {'pad_id': -1}} | 0", "- | - | {'padding': {'pad_id': 1.5}} | 0",
            "{'pad_token': 'p'} | - | {'padding': [], 'added_tokens': {'id': 1, 'content': 'p'}} | 0",
            "{'tokenizer_class': 'XLMRobertaTokenizer', 'pad_token': 'p'} | - | {'added_tokens': [{'id': 7, 'content': 'p'}]} "
                    + "| 7",
            "{'tokenizer_class': 'MPNetTokenizer'} | {'pad_token': 'p'} | {'added_tokens': [{'id': 0, 'content': 'p'}]} | 0",
            "{'tokenizer_class': 'XLMRobertaTokenizer'} | - | {'padding': {'pad_id': 6}} | 6",
            "{'tokenizer_class': 'XLMRobertaTokenizer', 'pad_token': 'p'} | - | {'added_tokens': []} | 1"})
    void whatTokenizerConfigDoesNotSayIsInTheTokenizer(String settings, String special, String tokenizer, int padding)
            throws IOException {
        Map<String, String> files = new HashMap<>();
        files.put("tokenizer_config.json", settings);
        files.put("special_tokens_map.json", special);
        files.put("tokenizer.json", tokenizer);
        files.values().removeIf(Objects::isNull);
        files.replaceAll((name, text) -> text.replace('\'', '"'));

        assertThat(opened("bert-reranker", files).shape().padding()).isEqualTo(padding);
    }

    @Test
    void aTokenizerIsReadNoFurtherThanWhereItSaysThePadding() throws IOException {
        String tokenizer = "{\"padding\": null, \"added_tokens\": [{\"id\": 1, \"content\": \"<pad>\"}], \"model\": {\"vocab\": ";

        assertThat(opened("bert-reranker", Map.of("special_tokens_map.json", "{\"pad_token\": \"<pad>\"}", "tokenizer.json",
                tokenizer)).shape().padding()).isEqualTo(1);
    }

    /** A JSON library may sort keys. Vocabularies have any size. */
    @Test
    void whatIsBehindALargeVocabularyIsFound() throws IOException {
        String vocabulary = "[\"a\", -1.5], ".repeat(600_000);

        assertThat(opened("bert-reranker", Map.of("tokenizer.json", "{\"model\": {\"vocab\": [" + vocabulary
                + "[]]}, \"padding\": {\"pad_id\": 1}}")).shape().padding()).isEqualTo(1);
    }

    @ParameterizedTest
    @CsvSource({"'{\"model\": ', not JSON", "'{\"padding\":x', not JSON",
        "version https://git-lfs.github.com/spec/v1, git lfs pull"})
    void aTokenizerThatIsNoneIsNamedWhereItsPaddingCounts(String text, String told) throws IOException {
        assertThatThrownBy(() -> opened("bert-reranker", Map.of("tokenizer.json", text))).isInstanceOf(CheckpointException.class)
                .hasMessageContainingAll("tokenizer.json", told);
        assertThat(opened("roberta-classifier", Map.of("tokenizer.json", text)).shape().padding()).isEqualTo(1);
    }

    @ParameterizedTest
    @ValueSource(strings = {"{\"model\": ", "{\"added_tokens\": [{\"id\": ", "{\"padding\": "})
    void aTokenizerOfAStrangerThatIsDeepIsRefused(String begin) {
        Map<String, String> files = Map.of("special_tokens_map.json", "{\"pad_token\": \"<pad>\"}", "tokenizer.json",
                begin + "[".repeat(100_000));

        assertThatThrownBy(() -> opened("bert-reranker", files)).isInstanceOf(CheckpointException.class)
                .hasMessageContainingAll("tokenizer.json", "nested");
    }

    @Test
    void aTextMayBeginWithWhatConfigCallsPadding() throws IOException {
        Checkpoint checkpoint = opened("{\"tokenizer_class\": \"XLMRobertaTokenizer\"}");
        ComputationGraph network = checkpoint.encoder().network();

        INDArray alone = network.outputSingle(Nd4j.createFromArray(new float[][]{{0, 5, 2}})).dup();
        INDArray padded = network.outputSingle(Nd4j.createFromArray(new float[][]{{0, 5, 2, 1}}));
        for (int token = 0; token < 3; token++) {
            assertThat(padded.getRow(token).distance2(alone.getRow(token))).isLessThan(1e-5);
        }
        checkpoint.writeCheckpoint(network, folder.resolve("written"));
        assertThat(Checkpoint.open(folder.resolve("written")).shape().padding()).isEqualTo(1);
    }

    @Test
    void familiesWhosePositionsCountFromThePaddingKeepTheirs() throws IOException {
        String settings = "{\"pad_token\": \"<pad>\", \"added_tokens_decoder\": {\"3\": {\"content\": \"<pad>\"}}}";

        assertThat(opened("roberta-classifier", Map.of("tokenizer_config.json", settings)).shape().padding()).isEqualTo(1);
    }

    @Test
    void aTokenizerOfAnotherModelIsRefused() {
        assertThatThrownBy(() -> opened("{\"pad_token\": \"p\", \"added_tokens_decoder\": {\"999\": {\"content\": \"p\"}}}"))
                .isInstanceOf(CheckpointException.class).hasMessageContainingAll("config.json", "999", "different models");
    }
}
