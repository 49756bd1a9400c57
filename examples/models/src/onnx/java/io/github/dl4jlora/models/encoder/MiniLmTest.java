package io.github.dl4jlora.models.encoder;

import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestReporter;

import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;

@Tag("minilm")
class MiniLmTest {

    private static final double COSINE = 0.999999;

    @Test
    void embeddingsOfTwoHundredSentencesEqualThoseOfOnnxRuntime(TestReporter reporter) throws Exception {
        List<String> sentences = Sentences.all();
        assertThat(sentences).hasSize(Sentences.COUNT).doesNotHaveDuplicates();

        try (Tokenizer tokenizer = PretrainedEncoder.MINILM.tokenizer(512);
             OnnxReference reference = new OnnxReference(PretrainedEncoder.MINILM)) {
            reporter.publishEntry("smallest cosine", Double.toString(reference.smallestCosine(
                    PretrainedEncoder.MINILM.sentenceEncoder(), tokenizer, sentences, COSINE)));
        }
    }
}
