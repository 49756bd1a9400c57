package io.github.dl4jlora.models.minilm;

import io.github.dl4jlora.transformers.Cosine;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestReporter;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;

@Tag("minilm")
class MiniLmTest {

    private static final double COSINE = 0.9999;
    private static final int BATCH = 8;

    private static ComputationGraph encoder;
    private static Tokenizer tokenizer;
    private static OnnxReference reference;

    @BeforeAll
    static void load() throws Exception {
        encoder = MiniLm.sentenceEncoder();
        tokenizer = new Tokenizer(512);
        reference = new OnnxReference();
    }

    @AfterAll
    static void close() throws Exception {
        tokenizer.close();
        reference.close();
    }

    @Test
    void embeddingsOfTwoHundredSentencesEqualThoseOfOnnxRuntime(TestReporter reporter) throws Exception {
        List<String> sentences = Sentences.all();
        assertThat(sentences).hasSize(Sentences.COUNT).doesNotHaveDuplicates();

        double worst = 1;
        for (int from = 0; from < sentences.size(); from += BATCH) {
            List<String> batch = sentences.subList(from, Math.min(from + BATCH, sentences.size()));
            INDArray embeddings = encoder.outputSingle(tokenizer.batch(batch));
            for (int i = 0; i < batch.size(); i++) {
                double cosine = Cosine.of(embeddings.getRow(i).toDoubleVector(), reference.embed(tokenizer.ids(batch.get(i))));
                assertThat(cosine).as(batch.get(i)).isGreaterThanOrEqualTo(COSINE);
                worst = Math.min(worst, cosine);
            }
        }
        reporter.publishEntry("smallest cosine", Double.toString(worst));
    }
}
