package io.github.dl4jlora.adapter;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.LogCapture;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.bank.AdapterBank;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.exception.AdapterFormatException;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.EmbeddingSequenceLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** Names and tensors that PEFT writes beside A and B, as its 0.20 wrote them for small PyTorch models. */
class PeftNamesTest {

    private static final String PREFIX = "base_model.model.";

    @TempDir
    private Path folder;
    private final Map<String, INDArray> tensors = new LinkedHashMap<>();

    PeftNamesTest() {
        put("fc1.lora_A.weight", 2, Networks.IN);
        put("fc1.lora_B.weight", Networks.HIDDEN, 2);
    }

    private INDArray put(String name, long... shape) {
        INDArray value = Networks.random(DataType.FLOAT, tensors.size() + 1, shape);
        tensors.put(PREFIX + name, value);
        return value;
    }

    private void write(String more) throws IOException {
        AdapterFiles.write(folder.resolve(AdapterFiles.TENSORS), tensors, Map.of("format", "pt"));
        Files.writeString(folder.resolve(AdapterFiles.CONFIG),
                "{\"peft_type\": \"LORA\", \"r\": 2, \"lora_alpha\": 4, \"target_modules\": [\"fc1\"]" + more + "}");
    }

    @Test
    void modulesToSaveAreFoundByTheEndOfTheirNames() throws IOException {
        put("head.weight", 3, 5);
        put("subhead.weight", 5, 5);
        write(", \"modules_to_save\": [\"head\"]");

        assertThat(LoRAAdapter.load(folder).trainedLayers()).containsExactly("head", "subhead");
    }

    @Test
    void ofAHeadsNamesOneIsEnough() throws IOException {
        put("score.weight", 3, 5);
        write(", \"task_type\": \"SEQ_CLS\", \"modules_to_save\": [\"classifier\", \"score\"]");
        assertThat(LoRAAdapter.load(folder).trainedLayers()).containsExactly("score");

        write(", \"modules_to_save\": [\"score\", \"norm\"]");
        assertThatThrownBy(() -> LoRAAdapter.load(folder)).hasMessageContaining("missing tensors [base_model.model.norm.*]");
        tensors.remove(PREFIX + "score.weight");
        write(", \"modules_to_save\": [\"classifier\", \"score\"]");
        assertThatThrownBy(() -> LoRAAdapter.load(folder)).hasMessageContaining("missing tensors");
    }

    @Test
    void biasesOfASavedModuleAreThereThreeTimes() throws IOException {
        put("out.weight", 3, 5);
        INDArray bias = put("out.bias", 3);
        put("out.original_module.bias", 3);
        put("out.modules_to_save.bias", 3);
        INDArray ofAdapted = put("fc1.base_layer.bias", 5);
        INDArray ofFrozen = put("fc2.bias", 5);
        write(", \"bias\": \"all\", \"modules_to_save\": [\"out\"]");
        ComputationGraph base = Networks.trainedGraph();

        ComputationGraph tuned = LoRA.apply(base, LoRAAdapter.load(folder));

        assertThat(tuned.getParam("out_b").reshape(3)).isEqualTo(bias);
        assertThat(tuned.getParam("fc1_b").reshape(5)).isEqualTo(ofAdapted);
        assertThat(tuned.getParam("fc2_b").reshape(5)).isEqualTo(ofFrozen);
    }

    @Test
    void aBatchNormalisationsCountIsLeftOut() throws IOException {
        put("bn.weight", 5);
        write(", \"modules_to_save\": [\"bn\"]");
        addCount();

        assertThat(LoRAAdapter.load(folder).content().trained().get("bn")).containsOnlyKeys("weight");
    }

    /** An int64 of no dimensions, which no array here can be. */
    private void addCount() throws IOException {
        byte[] file = Files.readAllBytes(folder.resolve(AdapterFiles.TENSORS));
        int length = AdapterFiles.headerLength(file);
        int data = file.length - 8 - length;
        String header = new String(file, 8, length, java.nio.charset.StandardCharsets.UTF_8).trim();
        header = header.substring(0, header.length() - 1) + String.format(",\"%sbn.num_batches_tracked\":{\"dtype\":\"I64\","
                + "\"shape\":[],\"data_offsets\":[%d,%d]}}", PREFIX, data, data + 8);
        ByteBuffer all = ByteBuffer.allocate(data + 8).order(ByteOrder.LITTLE_ENDIAN).put(file, 8 + length, data).putLong(7);
        Files.write(folder.resolve(AdapterFiles.TENSORS), AdapterFiles.safetensors(header, all.array()));
    }

    @Test
    void namesNeedNotHavePeftsPrefix() throws IOException {
        put("out.weight", 3, 5);
        write(", \"modules_to_save\": [\"out\"]");
        LoRAAdapter prefixed = LoRAAdapter.load(folder);
        Map<String, INDArray> bare = new LinkedHashMap<>();
        tensors.forEach((name, value) -> bare.put(name.replace(PREFIX, ""), value));
        AdapterFiles.write(folder.resolve(AdapterFiles.TENSORS), bare, Map.of());

        LoRAAdapter loaded = LoRAAdapter.load(folder);

        assertThat(loaded.deltaWeight("fc1")).isEqualTo(prefixed.deltaWeight("fc1"));
        assertThat(loaded.trainedLayers()).containsExactly("out");
        bare.put(PREFIX + "fc1.lora_A.weight", Networks.random(DataType.FLOAT, 1, 2, Networks.IN));
        AdapterFiles.write(folder.resolve(AdapterFiles.TENSORS), bare, Map.of());
        assertThatThrownBy(() -> LoRAAdapter.load(folder)).isInstanceOf(AdapterFormatException.class)
                .hasMessageContaining("Layer \"fc1\" has both fc1.lora_A.weight and base_model.model.fc1.lora_A.weight");
    }

    private static MultiLayerNetwork embeddings() {
        return Networks.of(new NeuralNetConfiguration.Builder().seed(1).updater(new Sgd(0.1)).list()
                .layer(new EmbeddingSequenceLayer.Builder().name("embed_tokens").nIn(7).nOut(4).build())
                .layer(new RnnOutputLayer.Builder(LossFunctions.LossFunction.MSE).name("out").nIn(4).nOut(2)
                        .activation(Activation.IDENTITY).build()).build());
    }

    /** PEFT knows these starts for linear layers only. */
    @ParameterizedTest
    @ValueSource(strings = {"pissa", "pissa_niter_4", "olora", "orthogonal"})
    void anEmbeddingStartsAtRandomWhateverTheWordForLinearLayersIs(String init) throws IOException {
        MultiLayerNetwork base = embeddings();
        tensors.clear();
        put("embed_tokens.lora_embedding_A", 3, 7);
        put("embed_tokens.lora_embedding_B", 4, 3);
        String rank = ", \"rank_pattern\": {\"embed_tokens\": 3}";
        write(rank);
        INDArray tokens = Nd4j.createFromArray(new float[][][] {{{1, 6, 3}}});
        INDArray expected = LoRA.apply(base, LoRAAdapter.load(folder)).output(tokens);
        write(rank + ", \"init_lora_weights\": \"" + init + "\"");

        LoRAAdapter adapter = LoRAAdapter.load(folder);

        assertThat(LoRA.apply(base, adapter).output(tokens)).isEqualTo(expected);
        try (AdapterBank bank = new AdapterBank(base, 1)) {
            bank.add("peft", adapter);
            assertThat(Networks.difference(bank.output("peft", tokens), expected)).isLessThan(1e-6);
        }
    }

    @Test
    void aLayersOwnWeightAndBiasFitTheBaseInFewerBits() throws IOException {
        MultiLayerNetwork base = embeddings();
        base.setParam("1_W", Networks.random(DataType.FLOAT, 1, 4, 2));
        tensors.clear();
        put("out.lora_A.weight", 2, 4);
        put("out.lora_B.weight", 2, 2);
        tensors.put(PREFIX + "out.base_layer.weight", base.getParam("1_W").transpose().dup('c'));
        tensors.put(PREFIX + "out.base_layer.bias", base.getParam("1_b").reshape(2).dup());
        write("");
        LoRAAdapter adapter = LoRAAdapter.load(folder);
        LoRAConfig config = LoRAConfig.builder().quantize(Quantization.NF4).build();

        assertThat(LoRA.apply(base, adapter, config).numParams()).isEqualTo(2 * 4 + 2 * 2);

        tensors.put(PREFIX + "out.base_layer.weight", Networks.random(DataType.FLOAT, 2, 2, 4));
        write("");
        LoRAAdapter other = LoRAAdapter.load(folder);
        assertThatThrownBy(() -> LoRA.apply(base, other, config)).hasMessageContaining("comes with its own base weights");
        tensors.remove(PREFIX + "out.base_layer.weight");
        write("");
        assertThatThrownBy(() -> LoRAAdapter.load(folder)).hasMessageContaining("out.base_layer.bias");
    }

    @Test
    void aModuleWithoutBiasKeepsTheBasesWhereAllBiasesTrain() throws IOException {
        INDArray ofFrozen = put("fc2.bias", 5);
        write(", \"bias\": \"all\"");
        ComputationGraph base = Networks.trainedGraph();

        ComputationGraph tuned = LoRA.apply(base, LoRAAdapter.load(folder));

        assertThat(tuned.getParam("fc2_b").reshape(5)).isEqualTo(ofFrozen);
        assertThat(tuned.getParam("fc1_b").reshape(5)).isEqualTo(base.getParam("fc1_b").reshape(5));
        assertThat(tuned.getParam("out_b").reshape(3)).isEqualTo(base.getParam("out_b").reshape(3));
    }

    @Test
    void anEmbeddingMayComeWithItsOwnWeights() throws IOException {
        MultiLayerNetwork base = embeddings();
        tensors.clear();
        put("embed_tokens.lora_embedding_A", 2, 7);
        put("embed_tokens.lora_embedding_B", 4, 2);
        write("");
        MultiLayerNetwork expected = LoRA.apply(base, LoRAAdapter.load(folder));
        tensors.put(PREFIX + "embed_tokens.base_layer.weight", base.getParam("0_W").dup('c'));
        write("");

        MultiLayerNetwork tuned = LoRA.apply(base, LoRAAdapter.load(folder));

        INDArray tokens = Nd4j.createFromArray(new float[][][] {{{1, 6, 3}}});
        assertThat(tuned.output(tokens)).isEqualTo(expected.output(tokens));
        LoRAAdapter.of(tuned).save(folder.resolve("again"));
        assertThat(LoRAAdapter.load(folder.resolve("again")).deltaWeight("embed_tokens"))
                .isEqualTo(LoRAAdapter.load(folder).deltaWeight("embed_tokens"));
        tensors.put(PREFIX + "embed_tokens.base_layer.weight", base.getParam("0_W").add(1).dup('c'));
        write("");
        assertThatThrownBy(() -> LoRA.apply(base, LoRAAdapter.load(folder))).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("\"embed_tokens\": the adapter comes with its own base weights");
        put("embed_tokens.base_layer.weight", 9, 4);
        write("");
        assertThatThrownBy(() -> LoRA.apply(base, LoRAAdapter.load(folder)))
                .hasMessageContaining("[9, 4], but the network has different ones [7, 4]");
    }

    @Test
    void layersThatPeftHasNoModuleForAreWarnedAbout() throws IOException {
        MultiLayerNetwork base = Networks.of(new NeuralNetConfiguration.Builder().seed(1).updater(new Sgd(0.1)).list()
                .layer(new LSTM.Builder().name("lstm").nIn(3).nOut(4).build())
                .layer(new RnnOutputLayer.Builder(LossFunctions.LossFunction.MSE).name("out").nIn(4).nOut(2)
                        .activation(Activation.IDENTITY).build()).build());
        MultiLayerNetwork tuned = LoRA.apply(base, LoRAConfig.builder().rank(2).targets("lstm", "out").build());
        Networks.randomizeAdapters(tuned.paramTable(), 2);

        try (LogCapture log = new LogCapture(LoRAAdapter.class)) {
            LoRAAdapter.of(tuned).save(folder);

            assertThat(log.messages()).singleElement().asString()
                    .contains("PEFT has no module for the layers [lstm.W, lstm.RW]");
        }
        assertThat(LoRAAdapter.load(folder).layers()).containsExactly("lstm.W", "lstm.RW", "out");
    }

    @Test
    void aPickleIsNotRead() throws IOException {
        write("");
        Files.move(folder.resolve(AdapterFiles.TENSORS), folder.resolve("adapter_model.bin"));

        assertThatThrownBy(() -> LoRAAdapter.load(folder)).isInstanceOf(AdapterFormatException.class)
                .hasMessageContainingAll("adapter_model.bin", "pickle", "can run code", "safetensors.torch.save_file");
    }
}
