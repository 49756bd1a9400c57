package io.github.dl4jlora.transformers;

import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.nio.file.Path;

/** Checkpoints and outputs that {@code python3 write_checkpoints.py FOLDER} wrote. */
class CheckpointTest {

    @TempDir
    Path folder;

    @ParameterizedTest
    @ValueSource(strings = {"bert-lm-old", "roberta-classifier", "distilbert-lm", "gpt2-lm", "roberta-lm-unties-head",
        "distilbert-lm-untied", "gpt2-lm-untied", "xlm-roberta-lm-tied", "camembert-classifier", "bert-sentence-dense",
        "gpt2-sentence-last", "mpnet-lm-untied", "mpnet-classifier", "bert-reranker", "bert-inference", "roberta-labels",
        "distilbert-tokens", "bert-answer"})
    void computesWhatPyTorchDoesWithAndWithoutAnAdapterAndAfterBeingWritten(String name) throws Exception {
        TinyCheckpoint.in(Path.of(CheckpointTest.class.getResource("/checkpoints/" + name).toURI())).assertAgrees(folder);
    }
}
