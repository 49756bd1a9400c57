package io.github.dl4jlora.transformers;

import io.github.dl4jlora.BaseSource;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.BiasTraining;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.internal.untrusted.Safetensors;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Sgd;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

import static io.github.dl4jlora.transformers.ChangedFolder.open;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** Language models whose decoder has a matrix of its own: of a folder that says so, or opened so. */
class UntiedDecoderTest {

    private static final String FAMILIES = """
            bert-lm-old,   bert.embeddings,        cls.predictions.decoder, cls.predictions.decoder
            roberta-lm-unties-head, roberta.embeddings, lm_head.decoder,    lm_head.decoder
            distilbert-lm, distilbert.embeddings,  vocab_projector.decoder, vocab_projector
            gpt2-lm,       transformer.embeddings, lm_head,                 lm_head""";
    private static final String ADAPTED = ".*(query|q_lin|attn\\.c_attn)";
    private static final INDArray IDS = Nd4j.createFromArray(new float[][] {{4, 3, 9, 7}, {5, 2, 6, 8}});

    @TempDir
    Path folder;

    private static ComputationGraph tuned(ComputationGraph base, LoRAConfig.Builder config) {
        ComputationGraph tuned = LoRA.apply(base, config.rank(2).targets(ADAPTED).updater(new Sgd(0.1)).build());
        Nd4j.getRandom().setSeed(5);
        tuned.params().addi(Nd4j.randn(DataType.FLOAT, tuned.params().shape()).muli(0.2));
        return tuned;
    }

    @ParameterizedTest
    @CsvSource(textBlock = FAMILIES)
    void aTiedFolderOpenedUntiedComputesTheSameAndTrainsEachWithoutTheOther(String name, String words, String matrix)
            throws IOException {
        ComputationGraph tied = open(name).model().network();
        ComputationGraph untied = open(name).untied().model().network();

        assertThat(untied.outputSingle(IDS)).isEqualTo(tied.outputSingle(IDS));
        assertThat(untied.getLayer(matrix).getParam("W")).isEqualTo(untied.getLayer(words).getParam("W"));
        for (String trained : new String[] {matrix, words}) {
            ComputationGraph tuned = LoRA.apply(untied, LoRAConfig.builder().rank(2).targets(ADAPTED).trainable(trained)
                    .updater(new Sgd(0.1)).build());
            tuned.fit(new DataSet(IDS, IDS));
            ComputationGraph merged = LoRA.merge(tuned);
            for (String each : new String[] {matrix, words}) {
                boolean isSame = merged.getLayer(each).getParam("W").equals(untied.getLayer(each).getParam("W"));
                assertThat(isSame).as("%s when %s trains", each, trained).isEqualTo(!each.equals(trained));
            }
        }
    }

    @ParameterizedTest
    @CsvSource(textBlock = FAMILIES)
    void itIsWrittenWithBothMatricesAndReadWithTheSameBits(String name, String words, String matrix, String module)
            throws IOException {
        Checkpoint checkpoint = open(name);
        ComputationGraph network = checkpoint.untied().model().network();
        network.fit(new DataSet(IDS, IDS));

        checkpoint.writeCheckpoint(network, folder.resolve("written"));

        assertThat(Files.readString(folder.resolve("written/config.json"))).contains("\"tie_word_embeddings\" : false");
        Checkpoint again = Checkpoint.open(folder.resolve("written"));
        assertThat(again.shape()).isEqualTo(checkpoint.shape().untied());
        assertThat(again.model().network().params()).isEqualTo(network.params());
        try (Safetensors file = Safetensors.open(folder.resolve("written/model.safetensors"))) {
            assertThat(file.read(module + ".weight")).isEqualTo(network.getLayer(matrix).getParam("W"));
            assertThat(file.names().contains(module + ".bias")).as("transformers 5 reads the bias by this name")
                    .isEqualTo(again.shape().family() != Family.GPT2);
        }
        assertThat(network.getLayer(matrix).getParam("W")).isNotEqualTo(network.getLayer(words).getParam("W"));
    }

    @ParameterizedTest
    @CsvSource(textBlock = FAMILIES)
    void quantisedAndOnAMappedBaseItStaysAsTheEmbeddingsDo(String name, String words, String matrix) throws IOException {
        BaseSource<ComputationGraph> source = open(name).untied().model();
        ComputationGraph network = source.network();
        LoRA.writeBase(source, folder.resolve("base"), Quantization.INT8);
        LoRAConfig config = LoRAConfig.builder().rank(2).targets(ADAPTED).trainable(matrix).seed(1).quantize(Quantization.INT8)
                .build();
        ComputationGraph read = LoRA.loadQuantized(source, config);
        INDArray expected = LoRA.apply(network, config).outputSingle(IDS);

        assertThat(read.outputSingle(IDS)).isEqualTo(expected);
        assertThat(LoRA.apply(LoRA.openComputationGraphBase(folder.resolve("base")), config).outputSingle(IDS))
                .isEqualTo(expected);
        for (String each : new String[] {words, matrix}) {
            assertThat(LoRA.merge(read).getLayer(each).getParam("W")).isEqualTo(network.getLayer(each).getParam("W"));
        }
    }

    @Test
    void anAdapterThatPeftUntiedIsRefusedOnATiedNetworkWhichTellsTheWayOut() throws IOException {
        LoRAAdapter adapter = LoRAAdapter.load(ChangedFolder.original("roberta-lm-unties-head").resolve("adapter"));
        ComputationGraph tied = open("roberta-lm-unties-head").model().network();

        assertThatThrownBy(() -> LoRA.apply(tied, adapter)).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContainingAll("\"lm_head.decoder.weight\"", "Checkpoint.open(folder).untied()");
    }

    @Test
    void aGraphMustBeTiedAsTheCheckpointIs() throws IOException {
        Checkpoint tied = open("gpt2-lm");
        for (Checkpoint checkpoint : new Checkpoint[] {tied, tied.untied(), open("gpt2-lm-untied")}) {
            TransformerShape other = checkpoint.shape().tied() ? checkpoint.shape().untied() : tied.shape();
            ComputationGraphConfiguration graph = Transformer.addTo(new NeuralNetConfiguration.Builder().seed(1).graphBuilder(),
                    other, Head.nextWord()).build();
            assertThatThrownBy(() -> checkpoint.model(graph)).isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContainingAll("\"logits\"", "matrix of layer \"lm_head\"", "Checkpoint.shape()");
        }
    }

    /** Transformers 5 keeps the head's bias, which it does not compute with, beside the decoder's. */
    @Test
    void ofTwoBiasesOfAnUntiedFolderTheDecodersCounts() throws IOException {
        ChangedFolder changed = ChangedFolder.of("roberta-lm-unties-head", folder.resolve("it"));
        changed.config(config -> config.put("tie_word_embeddings", false));
        INDArray bias = Nd4j.ones(DataType.FLOAT, 19);
        changed.tensors(all -> {
            all.put("lm_head.decoder.weight", all.get("roberta.embeddings.word_embeddings.weight").mul(2));
            all.put("lm_head.decoder.bias", bias);
        });

        ComputationGraph network = Checkpoint.open(changed.path()).model().network();

        assertThat(network.getLayer("lm_head").getParam("b").reshape(19)).isEqualTo(bias);
    }

    /** The decoder of another network, in PEFT's files. */
    private LoRAAdapter written(ComputationGraph base, String config, String... modules) throws IOException {
        Path file = folder.resolve("adapter_model.safetensors");
        LoRAAdapter.of(tuned(base, LoRAConfig.builder().trainable(".*embeddings", "lm_head.*"))).save(folder);
        Map<String, INDArray> kept = new LinkedHashMap<>();
        try (Safetensors all = Safetensors.open(file)) {
            for (String name : all.names()) {
                String module = name.substring("base_model.model.".length());
                if (module.contains(".lora_") || List.of(modules).contains(module)) {
                    kept.put(name, all.read(name));
                }
            }
        }
        try (OutputStream out = Files.newOutputStream(file)) {
            Safetensors.write(out, kept, Map.of("format", "pt"));
        }
        Files.writeString(folder.resolve("adapter_config.json"), "{\"peft_type\": \"LORA\", \"r\": 2, \"lora_alpha\": 2, "
                + "\"target_modules\": [\"query\"], " + config + "}");
        return LoRAAdapter.load(folder);
    }

    @ParameterizedTest
    @CsvSource({"roberta-lm-unties-head, roberta.embeddings.word_embeddings, lora_embedding_A, lora_embedding_B",
        "distilbert-lm, distilbert.embeddings.position_embeddings, lora_embedding_A, lora_embedding_B",
        "gpt2-lm, transformer.wte, lora_embedding_A, lora_embedding_B",
        "bert-lm-old, cls.predictions.decoder, lora_A.weight, lora_B.weight", "gpt2-lm, lm_head, lora_A.weight, lora_B.weight"})
    void anAdapterOfAModuleThatCannotBeAdaptedHereIsNotCalledAnotherNetworks(String name, String module, String a, String b)
            throws IOException {
        Path file = folder.resolve("adapter_model.safetensors");
        LoRAAdapter.of(tuned(open(name).model().network(), LoRAConfig.builder())).save(folder);
        Map<String, INDArray> more = new LinkedHashMap<>();
        try (Safetensors all = Safetensors.open(file)) {
            for (String tensor : all.names()) {
                more.put(tensor, all.read(tensor));
            }
        }
        boolean isEmbedding = a.contains("embedding");
        Nd4j.getRandom().setSeed(1);
        more.put("base_model.model." + module + "." + a, Nd4j.rand(2, isEmbedding ? 19 : 8));
        more.put("base_model.model." + module + "." + b, Nd4j.rand(isEmbedding ? 8 : 19, 2));
        try (OutputStream out = Files.newOutputStream(file)) {
            Safetensors.write(out, more, Map.of("format", "pt"));
        }
        Path config = folder.resolve("adapter_config.json");
        Files.writeString(config, Files.readString(config).replaceFirst("(\"target_modules\" *: *\\[)", "$1\"" + module
                + "\", "));
        LoRAAdapter adapter = LoRAAdapter.load(folder);

        for (Checkpoint checkpoint : List.of(open(name), open(name).untied())) {
            assertThatThrownBy(() -> LoRA.apply(checkpoint.model().network(), adapter))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContainingAll("adapts [" + module + "], which this network has", "merge_and_unload");
        }
        ComputationGraph other = open("mpnet-classifier").model().network();
        assertThatThrownBy(() -> LoRA.apply(other, adapter)).hasMessageContaining("The adapter is for another network");
    }

    /** PEFT copies a module with all that is in it. */
    @Test
    void aDecoderThatPeftSavedBringsItsBias() throws IOException {
        ComputationGraph base = open("roberta-lm-unties-head").untied().model().network();
        LoRAAdapter adapter = written(base, "\"modules_to_save\": [\"decoder\"]", "lm_head.decoder.weight",
                "lm_head.decoder.bias");

        ComputationGraph network = LoRA.merge(LoRA.apply(base, adapter));

        for (String each : new String[] {"lm_head/b", "lm_head.decoder/W"}) {
            String layer = each.substring(0, each.indexOf('/'));
            String key = each.substring(layer.length() + 1);
            assertThat(network.getLayer(layer).getParam(key)).as(each).isNotEqualTo(base.getLayer(layer).getParam(key));
        }
    }

    /** PEFT computes without the bias of a decoder that it ties. */
    @Test
    void whereTyingLostTheDecodersBiasTheAdapterIsRefusedUnlessThereWasNone() throws IOException {
        ComputationGraph base = open("roberta-lm-unties-head").model().network();
        LoRAAdapter adapter = written(base, "\"modules_to_save\": [\"roberta.embeddings.word_embeddings\"], "
                + "\"ensure_weight_tying\": true", "lm_head.decoder.weight", "roberta.embeddings.word_embeddings.weight");

        assertThatThrownBy(() -> LoRA.apply(base, adapter)).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContainingAll("Layer \"lm_head\"", "\"lm_head.decoder\" without its bias", "ensure_weight_tying");

        base.getLayer("lm_head").getParam("b").assign(0);
        assertThat(LoRA.merge(LoRA.apply(base, adapter)).getLayer("roberta.embeddings").getParam("W"))
                .isNotEqualTo(base.getLayer("roberta.embeddings").getParam("W"));
    }

    /** By another name PEFT would not copy what it ties: it would read the values of both into one. */
    @ParameterizedTest
    @CsvSource(textBlock = FAMILIES)
    void whatIsSavedBearsTheNameByWhichPeftCopiesIt(String name, String words, String matrix, String module) throws IOException {
        ComputationGraph base = open(name).untied().model().network();
        ComputationGraph tuned = tuned(base, LoRAConfig.builder().bias(BiasTraining.ALL).trainable(matrix, words));
        INDArray expected = tuned.outputSingle(IDS).dup();

        LoRAAdapter.of(tuned).save(folder);

        assertThat(Files.readString(folder.resolve("adapter_config.json"))).contains("\"" + module + "\"")
                .doesNotContain("\"model." + module + "\"");
        LoRAAdapter read = LoRAAdapter.load(folder);
        assertThat(LoRA.apply(base, read).outputSingle(IDS)).isEqualTo(expected);
        read.save(folder.resolve("again"));
        assertThat(Files.readString(folder.resolve("again/adapter_config.json"))).contains("\"" + module + "\"")
                .doesNotContain("\"model." + module + "\"");
    }
}
