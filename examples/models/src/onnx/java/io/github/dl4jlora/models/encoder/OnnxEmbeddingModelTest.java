package io.github.dl4jlora.models.encoder;

import dev.langchain4j.model.embedding.onnx.OnnxEmbeddingModel;
import dev.langchain4j.model.embedding.onnx.PoolingMode;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.onnx.OnnxExport;
import io.github.dl4jlora.transformers.Cosine;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestReporter;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;

@Tag("minilm")
class OnnxEmbeddingModelTest {

    private static final double COSINE = 0.999999;
    private static final double LARGEST_DIFFERENCE = 1e-5;

    private static final int LONGEST = 300;
    private static final int TEXTS = 80;

    @Test
    void langchain4jEmbedsWithAnAdaptedMiniLm(@TempDir Path folder, TestReporter reporter) throws IOException {
        ComputationGraph tuned = LoRA.apply(PretrainedEncoder.MINILM.sentenceEncoder(), LoRAConfig.builder().rank(4).alpha(8)
                .scaling(Scaling.ALPHA_OVER_RANK).targets(EncoderTargets.QUERY_VALUE).seed(1).build());
        Nd4j.getRandom().setSeed(2);
        tuned.params().addi(Nd4j.randn(DataType.FLOAT, tuned.params().shape()).muli(0.05));
        OnnxExport.of(tuned).forText().write(folder.resolve("model.onnx"));
        try (InputStream tokenizer = PretrainedEncoder.MINILM.tokenizerFile()) {
            Files.copy(tokenizer, folder.resolve("tokenizer.json"));
        }

        OnnxEmbeddingModel model = new OnnxEmbeddingModel(folder.resolve("model.onnx"), folder.resolve("tokenizer.json"),
                PoolingMode.MEAN);

        double worst = 1;
        try (Tokenizer tokenizer = PretrainedEncoder.MINILM.tokenizer(512)) {
            for (String text : texts()) {
                INDArray expected = tuned.outputSingle(tokenizer.batch(List.of(text)));
                INDArray actual = Nd4j.createFromArray(model.embed(text).content().vector());
                double cosine = Cosine.of(expected.toDoubleVector(), actual.toDoubleVector());
                assertThat(cosine).as(text).isGreaterThanOrEqualTo(COSINE);
                assertThat(expected.getRow(0).sub(actual).amaxNumber().doubleValue()).as(text).isLessThan(LARGEST_DIFFERENCE);
                worst = Math.min(worst, cosine);
            }
            INDArray ids = tokenizer.batch(texts().subList(0, 1));
            assertThat(Cosine.of(PretrainedEncoder.MINILM.sentenceEncoder().outputSingle(ids).toDoubleVector(),
                    tuned.outputSingle(ids).toDoubleVector())).as("cosine to the base's").isLessThan(0.999);
        }
        reporter.publishEntry("smallest cosine", Double.toString(worst));
    }

    /** Without those that langchain4j cuts or does not take, and the one where {@link Tokenizer} replaces a token. */
    private static List<String> texts() {
        return Sentences.all().stream().filter(text -> !text.isBlank() && text.length() < LONGEST && !text.contains("[PAD]"))
                .limit(TEXTS).toList();
    }
}
