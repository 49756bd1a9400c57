package io.github.dl4jlora.models.bert;

import io.github.dl4jlora.internal.untrusted.Safetensors;
import io.github.dl4jlora.models.encoder.Tokenizer;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.ObjectMapper;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.Arrays;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

@Tag("bert")
class BertBaseTest {

    private static final long PARAMETERS = 110_104_890;

    /** Seen from the module's folder. */
    static final Path FOLDER = Path.of("..", "..").resolve(BertBase.FOLDER).normalize();

    @BeforeAll
    static void convert() throws IOException {
        BertBase.convert(FOLDER, new PrintWriter(System.out));
    }

    @Test
    void aSecondConversionFindsWhatTheFirstMade() throws IOException {
        FileTime before = Files.getLastModifiedTime(FOLDER.resolve("model.safetensors"));
        StringWriter said = new StringWriter();

        BertBase.convert(FOLDER, new PrintWriter(said));

        assertThat(said).hasToString("BERT-base is in " + FOLDER + System.lineSeparator());
        assertThat(Files.getLastModifiedTime(FOLDER.resolve("model.safetensors"))).isEqualTo(before);
    }

    @Test
    void theFolderHoldsTheParametersOfAMaskedLanguageModelAndItsPooler() throws IOException {
        try (Safetensors tensors = Safetensors.open(FOLDER.resolve("model.safetensors"))) {
            long parameters = 0;
            for (String name : tensors.names()) {
                parameters += Arrays.stream(tensors.shape(name)).reduce(1, Math::multiplyExact);
            }
            assertThat(parameters).isEqualTo(PARAMETERS);
            assertThat(tensors.names()).hasSize(5 + 12 * 16 + 2 + 5).doesNotHaveDuplicates()
                    .allMatch(name -> name.matches("(bert|cls)\\..*\\.(weight|bias)"));
            assertThat(tensors.shape("bert.encoder.layer.11.intermediate.dense.weight")).containsExactly(3072, 768);
            assertThat(tensors.shape("bert.encoder.layer.11.output.dense.weight")).containsExactly(768, 3072);
            assertThat(tensors.shape("bert.embeddings.word_embeddings.weight")).containsExactly(30522, 768);
            assertThat(tensors.shape("cls.predictions.bias")).containsExactly(30522);
        }
    }

    /** The numbers that anybody who prints bert-base-uncased's embeddings sees. */
    @Test
    void theWeightsAreThoseThatHuggingFacePublishesAsBertBaseUncased() throws IOException {
        try (Safetensors tensors = Safetensors.open(FOLDER.resolve("model.safetensors"))) {
            INDArray words = tensors.read("bert.embeddings.word_embeddings.weight");
            float[] expected = {-0.0102f, -0.0615f, -0.0265f, -0.0199f, -0.0372f, -0.0098f};
            int[] columns = {0, 1, 2, 765, 766, 767};
            for (int i = 0; i < columns.length; i++) {
                assertThat(words.getFloat(0, columns[i])).isCloseTo(expected[i], within(5.1e-5f));
            }
        }
    }

    @Test
    void theFolderSaysWhatTheNetworkIs() throws IOException {
        JsonNode config = new ObjectMapper().readTree(FOLDER.resolve("config.json").toFile());

        assertThat(config.get("num_hidden_layers").asInt()).isEqualTo(12);
        assertThat(config.get("num_attention_heads").asInt()).isEqualTo(12);
        assertThat(config.get("hidden_size").asInt()).isEqualTo(768);
        assertThat(config.get("max_position_embeddings").asInt()).isEqualTo(512);
        assertThat(config.get("pad_token_id").asInt()).isZero();
    }

    @Test
    void textsAreCutAsBertDoes() throws IOException {
        try (Tokenizer tokenizer = new Tokenizer(FOLDER.resolve("tokenizer.json"), 16)) {
            assertThat(tokenizer.ids("The capital of France is [MASK] .")).containsExactly(101, 1996, 3007, 1997, 2605, 2003, 103,
                    1012, 102);
            assertThat(tokenizer.ids("Ünaffable 你好")).startsWith(101, 14477, 20961, 3468).endsWith(102);
            assertThat(tokenizer.ids("a ".repeat(100))).hasSize(16).endsWith(102);
        }
    }
}
