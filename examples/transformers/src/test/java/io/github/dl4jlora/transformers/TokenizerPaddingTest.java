package io.github.dl4jlora.transformers;

import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** Multilingual models of class BertModel have another padding in config.json than their tokenizers. */
class TokenizerPaddingTest {

    @TempDir
    private Path folder;

    private Checkpoint opened(String tokenizer) throws IOException {
        ChangedFolder changed = ChangedFolder.of("bert-reranker", folder.resolve("bert"));
        Files.writeString(changed.path().resolve("tokenizer_config.json"), tokenizer);
        return Checkpoint.open(changed.path());
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
        ChangedFolder changed = ChangedFolder.of("roberta-classifier", folder.resolve("roberta"));
        Files.writeString(changed.path().resolve("tokenizer_config.json"),
                "{\"pad_token\": \"<pad>\", \"added_tokens_decoder\": {\"3\": {\"content\": \"<pad>\"}}}");

        assertThat(Checkpoint.open(changed.path()).shape().padding()).isEqualTo(1);
    }

    @Test
    void aTokenizerOfAnotherModelIsRefused() {
        assertThatThrownBy(() -> opened("{\"pad_token\": \"p\", \"added_tokens_decoder\": {\"999\": {\"content\": \"p\"}}}"))
                .isInstanceOf(CheckpointException.class).hasMessageContainingAll("config.json", "999", "different models");
    }
}
