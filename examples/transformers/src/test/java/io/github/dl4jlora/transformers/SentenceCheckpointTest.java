package io.github.dl4jlora.transformers;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.internal.untrusted.Safetensors;
import io.github.dl4jlora.transformers.layer.InBatchNegatives;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration.GraphBuilder;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.L2NormalizeVertex;
import org.deeplearning4j.nn.conf.graph.ShiftVertex;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.DropoutLayer;
import org.deeplearning4j.nn.conf.layers.LossLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.ObjectMapper;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

import static io.github.dl4jlora.transformers.ChangedFolder.open;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatNullPointerException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** Sentence models are trained, and written as folders of sentence-transformers. */
class SentenceCheckpointTest {

    private static final INDArray IDS = Nd4j.createFromArray(new float[][] {{3, 5, 7}, {4, 2, 0}, {6, 6, 2}, {9, 3, 0}});
    private static final DataSet PAIRS = new DataSet(IDS, Nd4j.createFromArray(new float[][] {{0}, {1}, {0}, {1}}));

    @TempDir
    Path folder;

    private List<String> files(String name) throws IOException {
        Path root = folder.resolve(name);
        try (Stream<Path> all = Files.walk(root)) {
            return all.filter(Files::isRegularFile).map(file -> root.relativize(file).toString().replace('\\', '/')).sorted()
                    .toList();
        }
    }

    private JsonNode json(String file) throws IOException {
        return new ObjectMapper().readTree(folder.resolve(file).toFile());
    }

    @Test
    void aDenseLayerIsAdaptedAndTheMergedModelIsWrittenWithTheFilesOfSentenceTransformers() throws IOException {
        Checkpoint checkpoint = open("bert-sentence-dense");
        ComputationGraph base = checkpoint.sentenceEncoder().network();
        ComputationGraph adapted = LoRA.apply(base, LoRAConfig.builder().rank(2).targets("2_Dense.linear", ".*query").seed(1)
                .build());
        Nd4j.getRandom().setSeed(1);
        adapted.params().addi(Nd4j.randn(adapted.params().dataType(), adapted.params().shape()).muli(0.3));
        LoRAAdapter.of(adapted).save(folder.resolve("adapter"));
        ComputationGraph merged = LoRA.merge(adapted);
        checkpoint.writeCheckpoint(merged, folder.resolve("new"));

        assertThat(files("new")).containsExactly("1_Pooling/config.json", "2_Dense/config.json", "2_Dense/model.safetensors",
                "config.json", "config_sentence_transformers.json", "model.safetensors", "modules.json",
                "sentence_bert_config.json");
        assertThat(json("new/modules.json")).extracting(module -> module.get("path").asText() + " " + module.get("type").asText())
                .containsExactly(" sentence_transformers.models.Transformer", "1_Pooling sentence_transformers.models.Pooling",
                        "2_Dense sentence_transformers.models.Dense", "3_Normalize sentence_transformers.models.Normalize");
        assertThat(json("new/2_Dense/config.json")).hasToString("{\"in_features\":8,\"out_features\":6,\"bias\":true,"
                + "\"activation_function\":\"torch.nn.modules.activation.Tanh\"}");
        try (Safetensors file = Safetensors.open(folder.resolve("new/2_Dense/model.safetensors"))) {
            assertThat(file.names()).containsExactlyInAnyOrder("linear.weight", "linear.bias");
            assertThat(file.shape("linear.weight")).isEqualTo(new long[] {6, 8});
        }
        ComputationGraph again = Checkpoint.open(folder.resolve("new")).sentenceEncoder().network();
        assertThat(again.outputSingle(IDS)).isEqualTo(merged.outputSingle(IDS));
        assertThat(again.outputSingle(IDS).distance2(base.outputSingle(IDS))).isGreaterThan(0.1);
        ComputationGraph loaded = LoRA.apply(base, LoRAAdapter.load(folder.resolve("adapter")));
        assertThat(loaded.outputSingle(IDS)).isEqualTo(adapted.outputSingle(IDS));
    }

    @Test
    void anEncoderOfOnesOwnPoolingIsTrainedByPairsAndWrittenAsASentenceModel() throws IOException {
        Checkpoint plain = open("xlm-roberta-lm-tied");
        GraphBuilder graph = plain.addSentenceEncoder(new NeuralNetConfiguration.Builder().seed(1).graphBuilder(),
                Pooling.FIRST_TOKEN, Pooling.MEAN);
        graph.addLayer("loss", new LossLayer.Builder(new InBatchNegatives(20)).activation(Activation.IDENTITY).build(),
                Checkpoint.SENTENCE).setOutputs("loss");
        INDArray ids = IDS.add(2);
        ComputationGraph tuned = LoRA.apply(plain.model(graph.build()).network(), LoRAConfig.builder().rank(2)
                .targets(".*query", ".*value").updater(new Adam(1e-2)).seed(1).build());
        tuned.fit(new DataSet(ids, PAIRS.getLabels()));
        ComputationGraph merged = LoRA.merge(tuned);
        plain.writeCheckpoint(merged, Files.createDirectories(folder.resolve("new")));

        Checkpoint written = Checkpoint.open(folder.resolve("new"));
        assertThat(written.sentenceEncoder().network().outputSingle(ids)).isEqualTo(merged.outputSingle(ids));
        assertThat(json("new/1_Pooling/config.json").get("pooling_mode_cls_token").booleanValue()).isTrue();
        assertThat(json("new/1_Pooling/config.json").get("pooling_mode_max_tokens").booleanValue()).isFalse();
        assertThat(json("new/sentence_bert_config.json").get("max_seq_length").intValue())
                .isEqualTo(plain.shape().longestText());
        assertThat(written.textSettings()).isEqualTo(plain.textSettings());
    }

    @Test
    void aNewDenseLayerIsTrainedAndWritten() throws IOException {
        Checkpoint plain = open("bert-lm-old");
        GraphBuilder graph = Transformer.addTo(new NeuralNetConfiguration.Builder().seed(1).graphBuilder(), plain.shape(),
                Head.maxPooling());
        graph.addLayer("dropped", new DropoutLayer(0.9), Transformer.POOLING).addLayer("2_Dense.linear", new DenseLayer.Builder()
                .nIn(8).nOut(3).hasBias(false).activation(Activation.SIGMOID).build(), "dropped")
                .addVertex("unit", new L2NormalizeVertex(), "2_Dense.linear").setOutputs("unit");
        ComputationGraph network = plain.model(graph.build(), "2_Dense.linear").network();
        plain.writeCheckpoint(network, folder.resolve("new"));

        assertThat(Checkpoint.open(folder.resolve("new")).sentenceEncoder().network().outputSingle(IDS))
                .isEqualTo(network.outputSingle(IDS));
        assertThatThrownBy(() -> plain.model(graph.build())).isInstanceOf(CheckpointException.class)
                .hasMessageContainingAll("2_Dense.linear.weight", "model(graph, newLayers…)");
    }

    /** Its gain is in no file: read, it would be any numbers, and written, it would be lost. */
    @Test
    void aDenseLayerWithLayerNormalisationIsNeitherReadNorWritten() throws IOException {
        Checkpoint checkpoint = open("bert-sentence-dense");
        GraphBuilder graph = Transformer.addTo(new NeuralNetConfiguration.Builder().seed(1).graphBuilder(), checkpoint.shape(),
                Head.meanPooling()).addLayer("2_Dense.linear", new DenseLayer.Builder().nIn(8).nOut(6).hasLayerNorm(true)
                .activation(Activation.TANH).build(), Transformer.POOLING).setOutputs("2_Dense.linear");

        assertThatThrownBy(() -> checkpoint.model(graph.build())).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContainingAll("\"2_Dense.linear\" is a DenseLayer with hasLayerNorm(true)", "among the new layers");
        ComputationGraph network = checkpoint.model(graph.build(), "2_Dense.linear").network();
        assertThatThrownBy(() -> checkpoint.writeCheckpoint(network, folder.resolve("new")))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContainingAll("\"2_Dense.linear\"", "hasLayerNorm(false)", "ModelSerializer");
        assertThat(folder).isEmptyDirectory();
    }

    @Test
    void whatNoSentenceModelHasIsRefusedAndNothingIsLeft() throws IOException {
        Checkpoint plain = open("bert-lm-old");
        GraphBuilder shifted = Transformer.addTo(new NeuralNetConfiguration.Builder().seed(1).graphBuilder(), plain.shape(),
                Head.meanPooling()).addVertex("shifted", new ShiftVertex(1), Transformer.POOLING).setOutputs("shifted");
        ComputationGraph network = plain.model(shifted.build()).network();
        assertThatThrownBy(() -> plain.writeCheckpoint(network, folder.resolve("new")))
                .isInstanceOf(IllegalArgumentException.class).hasMessageContainingAll("\"shifted\"", "ModelSerializer");

        GraphBuilder dense = Transformer.addTo(new NeuralNetConfiguration.Builder().seed(1).graphBuilder(), plain.shape(),
                Head.meanPooling()).addLayer("2_Dense.linear", new DenseLayer.Builder().nIn(8).nOut(3)
                .activation(Activation.CUBE).build(), Transformer.POOLING).setOutputs("2_Dense.linear");
        ComputationGraph cubes = plain.model(dense.build(), "2_Dense.linear").network();
        assertThatThrownBy(() -> plain.writeCheckpoint(cubes, folder.resolve("new")))
                .isInstanceOf(IllegalArgumentException.class).hasMessageContainingAll("\"2_Dense.linear\"", "cube", "Tanh");

        ComputationGraph mean = plain.sentenceEncoder().network();
        mean.getLayer("encoder.layer.1.output.dense").getParam("b").putScalar(1, Double.NaN);
        assertThatThrownBy(() -> plain.writeCheckpoint(mean, folder.resolve("new")))
                .isInstanceOf(IllegalArgumentException.class).hasMessageContaining("NaN");
        assertThat(folder).isEmptyDirectory();
    }

    @Test
    void aPoolingWithAnotherPaddingThanTheFolderIsRefused() throws IOException {
        Checkpoint plain = open("bert-lm-old");
        GraphBuilder graph = Transformer.addTo(new NeuralNetConfiguration.Builder().seed(1).graphBuilder(), plain.shape(),
                Head.tokenVectors());
        graph.addVertex("last", Pooling.LAST_TOKEN.vertex(7), Transformer.output(plain.shape(), Head.tokenVectors()),
                Transformer.INPUT_IDS).setOutputs("last");
        assertThatThrownBy(() -> plain.model(graph.build())).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContainingAll("\"last\"", "the padding 7", "the padding 0");
    }

    @Test
    void promptsGoBeforeTextsAndAreKept() throws IOException {
        ChangedFolder changed = ChangedFolder.of("bert-lm-old", folder.resolve("it"));
        Files.writeString(changed.path().resolve("config_sentence_transformers.json"), "{\"prompts\": {\"query\": \"query: \", "
                + "\"passage\": \"passage: \"}, \"default_prompt_name\": \"passage\"}");
        Files.writeString(changed.path().resolve("sentence_roberta_config.json"), "{\"max_seq_length\": 6, "
                + "\"do_lower_case\": true}");
        Checkpoint checkpoint = Checkpoint.open(changed.path());
        TextSettings settings = checkpoint.textSettings();

        assertThat(settings.prompts()).containsExactly(Map.entry("query", "query: "),
                Map.entry("passage", "passage: "));
        assertThat(settings.prepared("query", "What is LoRA? ")).isEqualTo("query: what is lora?");
        assertThat(settings.prepared("LoRA")).isEqualTo("passage: lora");
        assertThat(settings.maxTokens()).isEqualTo(6);
        assertThatThrownBy(() -> settings.prepared("title", "LoRA")).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContainingAll("\"title\"", "[query, passage]");
        checkpoint.writeCheckpoint(checkpoint.sentenceEncoder().network(), folder.resolve("new"));
        assertThat(Checkpoint.open(folder.resolve("new")).textSettings()).isEqualTo(settings);
        assertThat(open("bert-lm-old").textSettings().prepared("LoRA")).isEqualTo("LoRA");
        // As Python strips; Java takes no-break spaces for text.
        assertThat(open("bert-lm-old").textSettings().prepared(" \u00a0LoRA\u00a0 A\u202f\u0085")).isEqualTo("LoRA\u00a0 A");
        assertThat(open("bert-lm-old").textSettings().maxTokens()).isEqualTo(10);

        // Where sentence-transformers has it from version 5.4 on.
        Path tokenizer = changed.path().resolve("tokenizer_config.json");
        Path length = changed.path().resolve("sentence_bert_config.json");
        Files.delete(changed.path().resolve("sentence_roberta_config.json"));
        for (String most : List.of("7", "1e30", "1000000000000000019884624838656", "12")) {
            Files.writeString(tokenizer, "{\"model_max_length\": " + most + "}");
            Files.deleteIfExists(length);
            assertThat(checkpoint.textSettings().maxTokens()).as(most).isEqualTo(most.equals("7") ? 7 : 10);
            Files.writeString(length, "{\"transformer_task\": \"feature-extraction\"}");
            assertThat(checkpoint.textSettings().maxTokens()).as(most).isEqualTo(most.equals("7") ? 7 : 10);
        }
        Files.writeString(length, "{\"max_seq_length\": 9}");
        Files.writeString(tokenizer, "{\"model_max_length\": 7}");
        assertThat(checkpoint.textSettings().maxTokens()).isEqualTo(9);
        for (String other : List.of("\"query_length\": 5", "\"processing_kwargs\": {\"text\":{\"max_length\":5}}")) {
            Files.writeString(length, "{" + other + "}");
            assertThatThrownBy(checkpoint::textSettings).isInstanceOf(CheckpointException.class).hasMessageContaining(other);
        }
        Files.writeString(length, "{\"processing_kwargs\": {}}");
        assertThat(checkpoint.textSettings().maxTokens()).isEqualTo(7);
        Files.delete(length);

        Files.writeString(changed.path().resolve("config_sentence_transformers.json"), "{\"default_prompt_name\": \"query\"}");
        assertThatThrownBy(checkpoint::textSettings).isInstanceOf(CheckpointException.class)
                .hasMessageContainingAll("config_sentence_transformers.json", "\"default_prompt_name\": \"query\"");
    }

    @Test
    void promptsOfOnesOwnAreWrittenAsSentenceTransformersReadsThem() throws IOException {
        ChangedFolder changed = ChangedFolder.of("bert-lm-old", folder.resolve("it"));
        Files.writeString(changed.path().resolve("config_sentence_transformers.json"), "{\"prompts\": {\"title\": \"title: \"}, "
                + "\"default_prompt_name\": \"title\", \"similarity_fn_name\": \"dot\"}");
        Files.writeString(changed.path().resolve("sentence_bert_config.json"), "{\"max_seq_length\": 6, "
                + "\"do_lower_case\": true}");
        Checkpoint checkpoint = Checkpoint.open(changed.path());
        TextSettings own = checkpoint.textSettings().withoutPrompts().withPrompt("query", "query: ")
                .withPrompt("document", "passage: ").withDefaultPrompt("document").withMaxTokens(8);

        Checkpoint with = checkpoint.withTextSettings(own);
        with.writeCheckpoint(with.sentenceEncoder().network(), folder.resolve("new"));
        assertThat(json("new/config_sentence_transformers.json")).hasToString("{\"prompts\":{\"query\":\"query: \","
                + "\"document\":\"passage: \"},\"default_prompt_name\":\"document\",\"similarity_fn_name\":\"dot\"}");
        assertThat(json("new/sentence_bert_config.json")).hasToString("{\"max_seq_length\":8,\"do_lower_case\":true}");
        assertThat(with.textSettings()).isEqualTo(own);
        assertThat(Checkpoint.open(folder.resolve("new")).textSettings()).isEqualTo(own);

        with.withTextSettings(own.withDefaultPrompt(null).withPrompt("query", "")).writeCheckpoint(
                with.sentenceEncoder().network(), folder.resolve("none"));
        assertThat(json("none/config_sentence_transformers.json").get("default_prompt_name").isNull()).isTrue();
        assertThat(Checkpoint.open(folder.resolve("none")).textSettings().prompts())
                .containsExactly(Map.entry("query", ""), Map.entry("document", "passage: "));
        Checkpoint plain = open("bert-lm-old");
        plain.withTextSettings(own).writeCheckpoint(plain.sentenceEncoder().network(), folder.resolve("first"));
        assertThat(json("first/config_sentence_transformers.json")).hasToString("{\"model_type\":\"SentenceTransformer\","
                + "\"prompts\":{\"query\":\"query: \",\"document\":\"passage: \"},\"default_prompt_name\":\"document\","
                + "\"similarity_fn_name\":\"cosine\"}");
    }

    /** SentenceTransformer takes the modules of a folder that says another kind of model for its own. */
    @ParameterizedTest
    @ValueSource(strings = {"CrossEncoder", "SparseEncoder", "MultiVectorEncoder"})
    void aSentenceModelThatWasMadeOfAnotherKindOfModelIsNoLongerOfThatKind(String kind) throws IOException {
        ChangedFolder changed = ChangedFolder.of("bert-lm-old", folder.resolve("it"));
        Files.writeString(changed.path().resolve("config_sentence_transformers.json"), "{\"model_type\": \"" + kind
                + "\", \"prompts\": {\"query\": \"[Q] \"}, \"default_prompt_name\": \"query\", "
                + "\"similarity_fn_name\": \"maxsim\", \"activation_fn\": \"torch.nn.modules.linear.Identity\"}");
        Files.writeString(changed.path().resolve("sentence_bert_config.json"), "{\"max_seq_length\": 6, \"query_length\": 4, "
                + "\"document_length\": 5, \"query_expansion\": {\"strategy\": \"fixed\", \"length\": 4}, "
                + "\"processing_kwargs\": {\"text\": {\"max_length\": 3}}}");
        Checkpoint checkpoint = Checkpoint.open(changed.path());
        ComputationGraph network = checkpoint.sentenceEncoder(Pooling.FIRST_TOKEN).network();

        checkpoint.writeCheckpoint(network, folder.resolve("new"));

        assertThat(json("new/config_sentence_transformers.json")).hasToString("{\"model_type\":\"SentenceTransformer\","
                + "\"prompts\":{},\"default_prompt_name\":null,\"similarity_fn_name\":\"cosine\"}");
        assertThat(json("new/sentence_bert_config.json")).hasToString("{\"max_seq_length\":6}");
        Checkpoint written = Checkpoint.open(folder.resolve("new"));
        assertThat(written.textSettings()).isEqualTo(new TextSettings(Map.of(), null, 6, false));
        assertThat(written.sentenceEncoder().network().outputSingle(IDS)).isEqualTo(network.outputSingle(IDS));
        TextSettings own = new TextSettings(Map.of("query", "query: "), null, 7, false);
        checkpoint.withTextSettings(own).writeCheckpoint(network, folder.resolve("own"));
        assertThat(Checkpoint.open(folder.resolve("own")).textSettings()).isEqualTo(own);
    }

    @Test
    void promptsThatHaveNoPlaceAreRefused() throws IOException {
        Checkpoint plain = open("bert-lm-old");
        TextSettings settings = plain.textSettings();
        assertThatThrownBy(() -> settings.withDefaultPrompt("query")).isInstanceOf(IllegalArgumentException.class)
                .hasMessage("There is no prompt named \"query\"; the model has none. Add it by withPrompt, or name one of these, "
                        + "or null for none");
        assertThatThrownBy(() -> settings.withMaxTokens(0)).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("0 tokens");
        assertThatThrownBy(() -> plain.withTextSettings(settings.withMaxTokens(11))).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContainingAll("11 tokens", "withMaxTokens(10)");
        ComputationGraph words = plain.maskedLanguageModel().network();
        assertThatThrownBy(() -> plain.withTextSettings(settings).writeCheckpoint(words, folder.resolve("new")))
                .isInstanceOf(IllegalArgumentException.class).hasMessageContainingAll("prompts", "sentenceEncoder(Pooling.MEAN)");
        assertThat(folder).isEmptyDirectory();
    }

    @Test
    void nothingThatIsNullStandsForAPrompt() throws IOException {
        Checkpoint plain = open("bert-lm-old");
        assertThatNullPointerException().isThrownBy(() -> plain.withTextSettings(null))
                .withMessageContaining("settings of texts are null");
        assertThatNullPointerException().isThrownBy(() -> new TextSettings(null, null, 10, false))
                .withMessageContaining("prompts are null");
        Map<String, String> prompts = new HashMap<>();
        prompts.put("query", null);
        assertThatNullPointerException().isThrownBy(() -> new TextSettings(prompts, "query", 10, false))
                .withMessageContaining("text of the prompt \"query\" is null");
        assertThatNullPointerException().isThrownBy(() -> plain.textSettings().withPrompt("query", null))
                .withMessageContaining("text of the prompt \"query\" is null");
        assertThatNullPointerException().isThrownBy(() -> plain.textSettings().withPrompt(null, "query: "))
                .withMessageContaining("name of the prompt is null");
    }

    @Test
    void queriesAndDocumentsHaveTheirPromptsOrElseTheDefault() {
        TextSettings none = new TextSettings(Map.of("title", "title: "), "title", 10, false);
        TextSettings corpus = none.withPrompt("corpus", "corpus: ").withPrompt("query", "query: ");

        assertThat(List.of(none.query("a"), none.document("a"))).containsExactly("title: a", "title: a");
        assertThat(List.of(corpus.query("a"), corpus.document("a"))).containsExactly("query: a", "corpus: a");
        assertThat(corpus.withPrompt("passage", "passage: ").document("a")).isEqualTo("passage: a");
        assertThat(corpus.withPrompt("passage", "passage: ").withPrompt("document", "").document("a")).isEqualTo("a");
    }
}
