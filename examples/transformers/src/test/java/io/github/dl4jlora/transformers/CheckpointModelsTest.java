package io.github.dl4jlora.transformers;

import ch.qos.logback.classic.Level;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.LogCapture;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.internal.untrusted.Safetensors;
import io.github.dl4jlora.transformers.layer.TokenEmbeddings;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration.GraphBuilder;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.L2NormalizeVertex;
import org.deeplearning4j.nn.conf.graph.ScaleVertex;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.DropoutLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;
import org.nd4j.shade.jackson.databind.node.ObjectNode;

import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;

import static io.github.dl4jlora.transformers.ChangedFolder.open;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** What can be made of a checkpoint, and what a network can be written as. */
class CheckpointModelsTest {

    private static final INDArray IDS = Nd4j.createFromArray(new float[][] {{3, 5, 7}, {4, 2, 0}});
    private static final String QUERY = "bert.encoder.layer.0.attention.self.query";

    @TempDir
    Path folder;

    @BeforeEach
    void drawTheSameNumbersInEveryRun() {
        Nd4j.getRandom().setSeed(24);
    }

    @Test
    void tellsWhatItIs() throws IOException {
        Checkpoint checkpoint = open("roberta-classifier");

        assertThat(checkpoint.shape()).isEqualTo(TransformerShape.roberta(19, 10, 8, 12, 2, 2));
        assertThat(checkpoint.architectures()).containsExactly("RobertaForSequenceClassification");
        assertThat(checkpoint.storedType()).contains("float32");
        assertThat(checkpoint.tokenizer()).isEmpty();
    }

    @ParameterizedTest
    @EnumSource(Quantization.class)
    void isReadIntoFewerBitsAsTheNetworkWouldBe(Quantization scheme) throws IOException {
        Checkpoint checkpoint = open("bert-lm-old");
        LoRAConfig config = LoRAConfig.builder().rank(2).targets(".*query", ".*value").seed(1).quantize(scheme).build();

        ComputationGraph read = LoRA.loadQuantized(checkpoint.maskedLanguageModel(), config);
        ComputationGraph applied = LoRA.apply(checkpoint.maskedLanguageModel().network(), config);

        assertThat(read.outputSingle(IDS)).isEqualTo(applied.outputSingle(IDS));
        LoRA.writeBase(checkpoint.model(), folder.resolve("base"), scheme);
        assertThat(LoRA.openComputationGraphBase(folder.resolve("base")).outputSingle(IDS))
                .isEqualTo(LoRA.freeze(checkpoint.model().network(), scheme).outputSingle(IDS));
    }

    @ParameterizedTest
    @ValueSource(strings = {"roberta-classifier", "distilbert-lm", "gpt2-lm"})
    void aNewHeadIsMadeWhereItIsAskedForAndByItsSeed(String name) throws IOException {
        Checkpoint checkpoint = open(name);

        ComputationGraph one = checkpoint.classifier(4, new Adam(1e-3), 42).network();
        ComputationGraph other = checkpoint.classifier(4, new Adam(1e-3), 43).network();

        assertThat(one.outputSingle(IDS).shape()).isEqualTo(new long[] {2, 4});
        assertThat(checkpoint.classifier(4, new Adam(1e-3), 42).network().params()).isEqualTo(one.params());
        assertThat(one.params()).isNotEqualTo(other.params());
        String head = Transformer.output(checkpoint.shape(), Head.classifier(4));
        assertThat(one.getParam(head + "_W").amaxNumber().doubleValue()).isBetween(0.1, 5.0);
        assertThat(one.getParam(checkpoint.shape().family().prefix() + "embeddings_W"))
                .isEqualTo(other.getParam(checkpoint.shape().family().prefix() + "embeddings_W"));
    }

    @Test
    void aLayerThatStartsAtRandomIsToldOf() throws IOException {
        try (LogCapture log = new LogCapture("io.github.dl4jlora.transformers", Level.WARN)) {
            open("roberta-classifier").model().network();
            assertThat(log.messages()).isEmpty();
            Checkpoint checkpoint = open("distilbert-lm");
            checkpoint.classifier(4, new Adam(1e-3), 42).network();
            assertThat(log.messages()).filteredOn(message -> message.contains("random")).hasSameSizeAs(checkpoint.newHead())
                    .zipSatisfy(checkpoint.newHead(), (message, layer) -> assertThat(message).contains("\"" + layer + "\""));
        }
    }

    @Test
    void aPartThatWasNotSavedIsNeverMadeUp() throws IOException {
        assertThatThrownBy(() -> open("gpt2-lm").classifier()).isInstanceOf(IOException.class)
                .hasMessageContaining("score.weight").hasMessageContaining("classifier(classes, updater, seed)");
        assertThatThrownBy(() -> open("bert-lm-old").classifier(2, new Adam(), 1)).isInstanceOf(IOException.class)
                .hasMessageContaining("bert.pooler.dense.weight").hasMessageContaining("never made up")
                .hasMessageContaining("model(graph, newLayers…), which here are [bert.pooler.dense]");
        assertThatThrownBy(() -> open("roberta-classifier").maskedLanguageModel()).isInstanceOf(IOException.class)
                .hasMessageContaining("lm_head.dense.weight");
        assertThatThrownBy(() -> open("gpt2-lm").maskedLanguageModel()).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("GPT2");
    }

    private static GraphBuilder meanUnderAHead(Checkpoint checkpoint, DataType type) {
        GraphBuilder graph = new NeuralNetConfiguration.Builder().seed(7).dataType(type).graphBuilder();
        return Transformer.addTo(graph, checkpoint.shape(), Head.meanPooling())
                .addLayer("mine", new OutputLayer.Builder(LossFunction.MCXENT).nIn(8).nOut(3).activation(Activation.SOFTMAX)
                        .build(), Transformer.POOLING).setOutputs("mine");
    }

    @Test
    void aHeadOfOnesOwnGoesOnTop() throws IOException {
        Checkpoint checkpoint = open("bert-lm-old");
        ComputationGraphConfiguration graph = meanUnderAHead(checkpoint, DataType.DOUBLE).build();

        ComputationGraph network = checkpoint.model(graph, "mine").network();

        assertThat(network.params().dataType()).isEqualTo(DataType.DOUBLE);
        assertThat(network.outputSingle(IDS.castTo(DataType.DOUBLE)).shape()).isEqualTo(new long[] {2, 3});
        assertThatThrownBy(() -> checkpoint.model(graph)).hasMessageContaining("mine.weight");
        assertThatThrownBy(() -> checkpoint.model(graph, "mine", "other")).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("other");
        assertThatThrownBy(() -> checkpoint.writeCheckpoint(network, folder.resolve("new")))
                .isInstanceOf(IllegalArgumentException.class).hasMessageContaining("mine");
    }

    /** The tensors fit, since no shape tells the number of heads. */
    @Test
    void aGraphWithOtherSettingsThanTheFolderIsRefused() throws IOException {
        Checkpoint checkpoint = open("bert-lm-old");
        TransformerShape own = checkpoint.shape();
        int heads = own.heads() == 1 ? 2 : 1;
        TransformerShape otherHeads = new TransformerShape(own.family(), own.vocabulary(), own.positions(), own.tokenTypes(),
                own.hidden(), own.intermediate(), own.layers(), heads, own.epsilon(), own.activation(), own.padding());
        TransformerShape otherEpsilon = new TransformerShape(own.family(), own.vocabulary(), own.positions(), own.tokenTypes(),
                own.hidden(), own.intermediate(), own.layers(), own.heads(), 2 * own.epsilon(), own.activation(), own.padding());

        refused(checkpoint, otherHeads, heads + " heads", own.heads() + " heads", "Checkpoint.shape()");
        refused(checkpoint, otherEpsilon, "the epsilon " + own.epsilon(), "LayerNorm");
    }

    private static void refused(Checkpoint checkpoint, TransformerShape shape, String... told) {
        ComputationGraphConfiguration graph = Transformer.addTo(new NeuralNetConfiguration.Builder().seed(1).graphBuilder(),
                shape, Head.maskedWords()).build();

        assertThatThrownBy(() -> checkpoint.model(graph)).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContainingAll(told);
    }

    @Test
    void randomNumbersGoOnAsIfNothingHadBeenDrawn() throws IOException {
        Nd4j.getRandom().setSeed(3);
        INDArray expected = Nd4j.rand(4);
        Nd4j.getRandom().setSeed(3);

        open("distilbert-lm").classifier(2, new Adam(), 1).network();

        assertThat(Nd4j.rand(4)).isEqualTo(expected);
    }

    @Test
    void adaptersAreSavedByPeftsNames() throws IOException {
        ComputationGraph adapted = LoRA.apply(open("bert-lm-old").model().network(),
                LoRAConfig.builder().rank(2).targets(".*query", ".*value").seed(1).build());

        LoRAAdapter.of(adapted).save(folder.resolve("adapter"));

        try (Safetensors file = Safetensors.open(folder.resolve("adapter/adapter_model.safetensors"))) {
            assertThat(file.names()).hasSize(8).contains("base_model.model." + QUERY + ".lora_A.weight");
            assertThat(file.shape("base_model.model." + QUERY + ".lora_A.weight")).isEqualTo(new long[] {2, 8});
        }
    }

    @Test
    void aCheckpointIsWrittenWithTheSettingsAndTheTokenizerOfItsFolder() throws IOException {
        ChangedFolder changed = ChangedFolder.of("gpt2-lm", folder.resolve("it"));
        changed.config(config -> config.put("task_specific", "kept"));
        Files.writeString(changed.path().resolve("tokenizer.json"), "{}");
        Checkpoint checkpoint = Checkpoint.open(changed.path());
        ComputationGraph network = checkpoint.model().network().convertDataType(DataType.HALF);

        checkpoint.writeCheckpoint(network, folder.resolve("new"));

        assertThat(folder.resolve("new")).isDirectoryContaining("glob:**/{tokenizer,config}.json");
        Checkpoint again = Checkpoint.open(folder.resolve("new"));
        assertThat(Files.readString(folder.resolve("new/config.json"))).contains("\"task_specific\" : \"kept\"");
        assertThat(again.storedType()).contains("float16");
        assertThat(again.model().network().params()).isEqualTo(network.params().castTo(DataType.FLOAT));
        try (Safetensors file = Safetensors.open(folder.resolve("new/model.safetensors"))) {
            assertThat(file.metadata()).containsEntry("format", "pt");
            assertThat(file.shape("transformer.h.0.attn.c_attn.weight")).isEqualTo(new long[] {8, 24});
        }
    }

    /** Of XLM-RoBERTa, BERTweet, ALBERT, RemBERT, DeBERTa and Llama, which Python reads where it does not take tokenizer.json. */
    @ParameterizedTest
    @ValueSource(strings = {"sentencepiece.bpe.model", "bpe.codes", "spiece.model", "sentencepiece.model", "spm.model",
            "tokenizer.model", "chat_template.jinja"})
    void aSlowTokenizerIsWrittenToo(String file) throws IOException {
        ChangedFolder changed = ChangedFolder.of("xlm-roberta-lm-tied", folder.resolve("it"));
        Files.writeString(changed.path().resolve(file), "pieces");
        Checkpoint checkpoint = Checkpoint.open(changed.path());

        checkpoint.writeCheckpoint(checkpoint.model().network(), folder.resolve("new"));

        assertThat(folder.resolve("new").resolve(file)).hasContent("pieces");
    }

    @Test
    void aTokenizerWithoutAKnownVocabularyIsToldOf() throws IOException {
        ChangedFolder changed = ChangedFolder.of("xlm-roberta-lm-tied", folder.resolve("it"));
        Files.writeString(changed.path().resolve("tokenizer_config.json"), "{}");
        Checkpoint checkpoint = Checkpoint.open(changed.path());
        ComputationGraph network = checkpoint.model().network();
        try (LogCapture log = new LogCapture("io.github.dl4jlora.transformers", Level.WARN)) {
            checkpoint.writeCheckpoint(network, folder.resolve("new"));
            assertThat(log.messages()).singleElement().asString().contains("tokenizer_config.json", "spiece.model",
                    folder.resolve("new").toString());

            Files.writeString(changed.path().resolve("spiece.model"), "pieces");
            checkpoint.writeCheckpoint(network, folder.resolve("whole"));
            assertThat(log.messages()).hasSize(1);
        }
    }

    /** kykim/bert-kor-base has it. */
    @Test
    void wordsMayBeSaidToBeAsWideAsTheRest() throws IOException {
        ChangedFolder changed = ChangedFolder.of("bert-lm-old", folder.resolve("it"));
        changed.config(config -> config.put("embedding_size", 8));

        assertThat(Checkpoint.open(changed.path()).model().network().params())
                .isEqualTo(open("bert-lm-old").model().network().params());
    }

    @Test
    void aBareModelKeepsThePoolerOfItsFolderAndANewHeadGetsLabels() throws IOException {
        Checkpoint roberta = open("roberta-classifier");
        roberta.writeCheckpoint(roberta.classifier(5, new Adam(), 1).network(), folder.resolve("five"));
        assertThat(Checkpoint.open(folder.resolve("five")).model().network().layerSize("classifier.out_proj")).isEqualTo(5);

        ChangedFolder changed = ChangedFolder.of("bert-lm-old", folder.resolve("it"));
        changed.tensors(all -> {
            all.put("bert.pooler.dense.weight", Nd4j.rand(8, 8));
            all.put("bert.pooler.dense.bias", Nd4j.rand(8));
        });
        Checkpoint bert = Checkpoint.open(changed.path());
        bert.writeCheckpoint(bert.sentenceEncoder().network(), folder.resolve("bare"));

        Checkpoint bare = Checkpoint.open(folder.resolve("bare"));
        assertThat(bare.architectures()).containsExactly("BertModel");
        assertThat(bare.pooler().network().params()).isEqualTo(bert.pooler().network().params());
    }

    @Test
    void tensorsAreInShardsAboveASize() throws IOException {
        Checkpoint checkpoint = open("distilbert-lm");
        ComputationGraph network = checkpoint.model().network();

        checkpoint.writeCheckpoint(network, folder.resolve("new"), 2000);

        try (Stream<Path> files = Files.list(folder.resolve("new"))) {
            List<Path> shards = files.filter(file -> file.toString().endsWith(".safetensors")).toList();
            assertThat(shards).hasSizeGreaterThan(2).allSatisfy(shard -> assertThat(Files.size(shard)).isLessThan(5000));
            assertThat(shards).anySatisfy(shard -> assertThat(shard).hasFileName(
                    String.format("model-00002-of-%05d.safetensors", shards.size())));
        }
        assertThat(Checkpoint.open(folder.resolve("new")).model().network().params()).isEqualTo(network.params());
    }

    @Test
    void whatCannotBeWrittenIsNamedAndNothingIsLeft() throws IOException {
        Checkpoint bert = open("bert-lm-old");
        ComputationGraph network = bert.model().network();
        ComputationGraph adapted = LoRA.apply(network, LoRAConfig.builder().rank(2).targets(QUERY).seed(1).build());

        assertThatThrownBy(() -> bert.writeCheckpoint(adapted, folder.resolve("new")))
                .isInstanceOf(IllegalArgumentException.class).hasMessageContainingAll("adapted or frozen", "LoRA.merge");
        assertThatThrownBy(() -> bert.writeCheckpoint(LoRA.freeze(network), folder.resolve("new")))
                .isInstanceOf(IllegalArgumentException.class).hasMessageContaining("LoRA.merge");
        assertThatThrownBy(() -> bert.writeCheckpoint(open("gpt2-lm").model().network(), folder.resolve("new")))
                .isInstanceOf(IllegalArgumentException.class).hasMessageContaining("BertForMaskedLM");
        network.getLayer(QUERY).getParam("W").putScalar(3, Double.POSITIVE_INFINITY);
        assertThatThrownBy(() -> bert.writeCheckpoint(network, folder.resolve("new")))
                .isInstanceOf(IllegalArgumentException.class).hasMessageContaining(QUERY).hasMessageContaining("infinity");
        assertThat(folder).isEmptyDirectory();
        network.getLayer(QUERY).getParam("W").putScalar(3, 1);

        Files.writeString(Files.createDirectories(folder.resolve("new")).resolve("mine.txt"), "");
        assertThatThrownBy(() -> bert.writeCheckpoint(network, folder.resolve("new")))
                .isInstanceOf(FileAlreadyExistsException.class).hasMessageContaining("not empty");
    }

    @Test
    void aNetworkOfOtherSettingsIsNotWrittenAmongThese() throws IOException {
        ComputationGraph bert = open("bert-lm-old").encoder().network();
        Map<String, Consumer<ObjectNode>> changes = Map.of("2 heads", config -> config.put("num_attention_heads", 4),
                "the epsilon 1.0E-12", config -> config.put("layer_norm_eps", 1e-5),
                "ErfGelu", config -> config.put("hidden_act", "relu"),
                "the padding 0", config -> config.put("pad_token_id", 3));
        for (Map.Entry<String, Consumer<ObjectNode>> change : changes.entrySet()) {
            ChangedFolder other = ChangedFolder.of("bert-lm-old", folder.resolve(change.getKey()));
            other.config(change.getValue());
            assertThatThrownBy(() -> Checkpoint.open(other.path()).writeCheckpoint(bert, folder.resolve("new")))
                    .isInstanceOf(IllegalArgumentException.class).hasMessageContaining(change.getKey());
        }
        ComputationGraph empty = new ComputationGraph(bert.getConfiguration());
        assertThatThrownBy(() -> open("bert-lm-old").writeCheckpoint(empty, folder.resolve("new")))
                .isInstanceOf(IllegalArgumentException.class).hasMessageContaining("init()");
        assertThat(folder.resolve("new")).doesNotExist();
    }

    private static ComputationGraph network(Head head, UnaryOperator<GraphBuilder> change) throws IOException {
        return Tiny.initialised(change.apply(Transformer.addTo(
                new NeuralNetConfiguration.Builder().seed(1).graphBuilder(), open("bert-lm-old").shape(), head)).build());
    }

    private static GraphBuilder withClassifierOn(String vertex, GraphBuilder graph) {
        return graph.removeVertex("classifier", false).addLayer("classifier", new OutputLayer.Builder(LossFunction.MCXENT)
                .nIn(8).nOut(3).activation(Activation.SOFTMAX).build(), vertex);
    }

    private static void assertNotWritten(ComputationGraph network, Path to, String... told) throws IOException {
        Checkpoint bert = open("bert-lm-old");
        assertThatThrownBy(() -> bert.writeCheckpoint(network, to)).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContainingAll(told).hasMessageContaining("ModelSerializer");
        assertThat(to).doesNotExist();
    }

    /** Of vertices without parameters, no tensor would tell that they are missing. */
    @Test
    void whatTheClassOfTransformersDoesNotComputeIsNotLeftOut() throws IOException {
        Path to = folder.resolve("new");
        String pooler = "bert.pooler.dense";
        assertNotWritten(network(Head.pooler(), graph -> graph.addVertex("unit", new L2NormalizeVertex(), "pooler.dense")
                .setOutputs("unit")), to, "output \"unit\" is not \"pooler.dense\", that of BertModel. ");
        assertNotWritten(network(Head.classifier(3), graph -> graph.addVertex("unit", new L2NormalizeVertex(), pooler)
                .setOutputs("classifier", "unit")), to, "output \"unit\" is not \"classifier\"");
        assertNotWritten(network(Head.classifier(3), graph -> withClassifierOn("twice", graph.addVertex("twice",
                new ScaleVertex(2), pooler))), to, "\"classifier\" reads [twice]", "reads [" + pooler + "]");
        String wide = "encoder.layer.0.intermediate.dense";
        String narrow = "encoder.layer.0.output.dense";
        assertNotWritten(network(Head.meanPooling(), graph -> graph.addVertex("twice", new ScaleVertex(2), wide)
                .removeVertex(narrow, false).addLayer(narrow, new DenseLayer.Builder().nIn(12).nOut(8)
                        .activation(Activation.IDENTITY).build(), "twice")), to, "\"" + narrow + "\" reads [twice]");
    }

    @Test
    void whatChangesNoOutputIsLeftOut() throws IOException {
        Checkpoint bert = open("bert-lm-old");
        ComputationGraph dropped = network(Head.classifier(3), graph -> withClassifierOn("same",
                graph.addLayer("dropped", new DropoutLayer(0.9), "bert.pooler.dense")
                        .addVertex("same", new ScaleVertex(1), "dropped")));
        bert.writeCheckpoint(dropped, folder.resolve("dropped"));
        assertThat(Checkpoint.open(folder.resolve("dropped")).classifier().network().outputSingle(IDS))
                .isEqualTo(dropped.outputSingle(IDS));

        ComputationGraph both = network(Head.pooler(), graph -> graph.setOutputs("encoder.layer.1.output.LayerNorm",
                "pooler.dense"));
        bert.writeCheckpoint(both, folder.resolve("both"));
        assertThat(Checkpoint.open(folder.resolve("both")).pooler().network().outputSingle(IDS)).isEqualTo(both.output(IDS)[1]);

        ComputationGraph some = bert.model(Head.maskedWordsAtPositions()).network();
        bert.writeCheckpoint(some, folder.resolve("some"));
        assertThat(Checkpoint.open(folder.resolve("some")).model(Head.maskedWordsAtPositions()).network().params())
                .isEqualTo(some.params());
    }

    @Test
    void weightsAreFiniteThoughTheirSumIsNotInSixteenBits() throws IOException {
        ComputationGraph half = open("bert-lm-old").encoder().network().convertDataType(DataType.HALF);
        half.params().assign(30000);
        open("bert-lm-old").writeCheckpoint(half, folder.resolve("new"));

        assertThat(Checkpoint.open(folder.resolve("new")).encoder().network().params().meanNumber().floatValue())
                .isEqualTo(30000);
    }

    @Test
    void aNewClassifierOnARegressionsFolderIsWrittenAsAClassifier() throws IOException {
        ChangedFolder regression = ChangedFolder.of("roberta-classifier", folder.resolve("regression"));
        regression.config(config -> config.put("problem_type", "regression").put("num_labels", 1).remove("id2label"));
        Checkpoint checkpoint = Checkpoint.open(regression.path());
        ComputationGraph network = checkpoint.classifier(2, new Adam(1e-3), 5).network();
        checkpoint.writeCheckpoint(network, folder.resolve("new"));

        assertThat(Checkpoint.open(folder.resolve("new")).classifier().network().params()).isEqualTo(network.params());
    }

    @Test
    void embeddingsOfAnotherNameAreToldToBeNew() throws IOException {
        ComputationGraphConfiguration graph = new NeuralNetConfiguration.Builder().seed(1).graphBuilder().addInputs("ids")
                .addLayer("words", new TokenEmbeddings.Builder(19, 10, 8).build(), "ids")
                .addLayer("own", new OutputLayer.Builder(LossFunction.MSE).nIn(8).nOut(2).build(), "words")
                .setOutputs("own").build();

        assertThatThrownBy(() -> open("bert-lm-old").model(graph, "own")).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContainingAll("\"words\"", "among the new layers");
    }
}
