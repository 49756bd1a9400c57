package io.github.dl4jlora.transformers;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.shade.jackson.databind.node.ObjectNode;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.function.Consumer;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.params.provider.Arguments.arguments;

/** Folders that are damaged, or lie: one kind of exception, that names file and value, before anything large is made. */
class HostileCheckpointTest {

    private static final String WORDS = "bert.embeddings.word_embeddings.weight";
    private static final String QUERY = "bert.encoder.layer.0.attention.self.query.weight";

    @TempDir
    Path folder;

    @FunctionalInterface
    interface Change {
        void to(ChangedFolder folder) throws IOException;
    }

    private static Arguments config(String key, Object value, String... told) {
        return folder("config.json says " + key + " " + value,
                changed -> changed.config(config -> config.putPOJO(key, value)), told);
    }

    private static Arguments tensors(String what, Consumer<Map<String, INDArray>> change, String... told) {
        return folder(what, changed -> changed.tensors(change), told);
    }

    private static Arguments index(String what, Consumer<ObjectNode> change, String... told) {
        return folder(what, changed -> changed.shards(change), told);
    }

    private static Arguments place(String file) {
        return index("the index names " + file, index -> ((ObjectNode) index.get("weight_map")).put(WORDS, file),
                "index.json", "\"" + file + "\"", "not a *.safetensors beside it");
    }

    private static Arguments folder(String what, Change change, String... told) {
        return arguments(what, change, told);
    }

    static Stream<Arguments> configurations() {
        return Stream.of(
                folder("there is no config.json", changed -> Files.delete(changed.path().resolve("config.json")), "config.json",
                        "does not exist"),
                folder("config.json is cut", changed -> changed.configText("{\"model_type\": \"be"), "config.json", "not JSON"),
                folder("config.json is a list", changed -> changed.configText("[]"), "config.json", "not a JSON object"),
                folder("config.json is deep", changed -> changed.configText("[".repeat(100_000)), "config.json", "nested"),
                folder("config.json has a long number", changed -> changed.configText("{\"vocab_size\": " + "9".repeat(100_000)
                        + "}"), "config.json", "digits"),
                folder("config.json has no model_type", changed -> changed.config(config -> config.remove("model_type")),
                        "config.json lacks \"model_type\"", "one of [bert, "),
                config("model_type", "t5", "\"model_type\": \"t5\"",
                        "[bert, camembert, distilbert, gpt2, mpnet, roberta, xlm-roberta]"),
                config("model_type", 3, "\"model_type\": 3"),
                config("hidden_size", "8", "\"hidden_size\": \"8\"", "whole number"),
                config("hidden_size", 8.5, "\"hidden_size\": 8.5"),
                config("hidden_size", -8, "\"hidden_size\": -8"),
                config("hidden_size", 3_000_000_000L, "\"hidden_size\": 3000000000"),
                config("hidden_size", 2_000_000_000, "word_embeddings.weight", "[19, 8]", "[19, 2000000000]"),
                config("vocab_size", 2_000_000_000, "word_embeddings.weight", "[19, 8]", "[2000000000, 8]"),
                config("max_position_embeddings", 512, "position_embeddings.weight", "[10, 8]", "[512, 8]"),
                config("type_vocab_size", 3, "token_type_embeddings.weight", "[2, 8]", "[3, 8]"),
                config("intermediate_size", 2_000_000_000, "intermediate.dense.weight", "[12, 8]", "[2000000000, 8]"),
                config("num_hidden_layers", 2_000_000_000, "2000000000 layers", "those of 2"),
                config("num_hidden_layers", 1, "contains tensors that no supported BERT", "encoder.layer.1."),
                config("num_attention_heads", 3, "3 heads cannot share"),
                config("layer_norm_eps", 0, "epsilon is 0"),
                config("pad_token_id", 19, "padding is 19"),
                config("hidden_act", "silu", "\"hidden_act\": \"silu\"", "gelu_new"),
                config("position_embedding_type", "relative_key", "\"position_embedding_type\": \"relative_key\"",
                        "\"absolute\""),
                config("is_decoder", true, "\"is_decoder\": true"),
                config("add_cross_attention", true, "\"add_cross_attention\": true"),
                config("quantization_config", Map.of("bits", 4), "\"quantization_config\": {\"bits\":4}"),
                config("embedding_size", 4, "\"embedding_size\": 4", "expected is 8"),
                config("pruned_heads", Map.of("0", new int[] {1}), "\"pruned_heads\""),
                config("tie_word_embeddings", false, "lacks the tensor", "cls.predictions.decoder.weight"),
                config("tie_word_embeddings", "no", "\"tie_word_embeddings\": \"no\"", "true or false"),
                config("architectures", new String[] {"BertForPreTraining"}, "BertForPreTraining", "BertForMaskedLM"),
                config("architectures", 5, "\"architectures\": 5"));
    }

    /** transformers would open the adapter's base. */
    static Stream<Arguments> adapters() {
        String[] remedy = {"adapter_config.json says", "Open its base, \"my/base\", and call", "LoRAAdapter.load(folder)"};
        return Stream.of(
                adapter("beside a model", "{\"base_model_name_or_path\": \"my/base\"}", remedy),
                adapter("beside a model that may be wanted without it", "{\"base_model_name_or_path\": null}",
                        "Open its base and call", "move adapter_config.json and adapter_model.safetensors elsewhere"),
                adapter("that is damaged", "{", "adapter_config.json", "not JSON"),
                folder("an adapter alone", changed -> {
                    Files.delete(changed.path().resolve("config.json"));
                    Files.writeString(changed.path().resolve("adapter_config.json"),
                            "{\"base_model_name_or_path\": \"my/base\"}");
                    Files.writeString(changed.path().resolve("modules.json"), "[]");
                }, Stream.concat(Stream.of(remedy), Stream.of("not a model: there is no config.json")).toArray(String[]::new)));
    }

    private static Arguments adapter(String what, String config, String... told) {
        return folder("an adapter " + what, changed -> Files.writeString(changed.path().resolve("adapter_config.json"), config),
                told);
    }

    static Stream<Arguments> files() {
        return Stream.of(
                tensors("a tensor is missing", all -> all.remove("cls.predictions.transform.dense.bias"),
                        "lacks the tensor", "cls.predictions.transform.dense.bias", "never made up"),
                tensors("the words are missing", all -> all.remove(WORDS), "lacks the tensor", "word_embeddings"),
                tensors("a matrix has another shape", all -> all.put(QUERY, Nd4j.zeros(8, 9)), QUERY, "[8, 9]", "[8, 8]"),
                tensors("a value is NaN", all -> all.get(QUERY).putScalar(9, Double.NaN), QUERY, "position 9"),
                tensors("a tensor is unknown", all -> all.put("bert.encoder.layer.0.adapter.weight", Nd4j.zeros(2)), "BERT",
                        "[bert.encoder.layer.0.adapter.weight]"),
                tensors("a tensor of the head is unknown", all -> all.put("cls.predictions.more.weight", Nd4j.zeros(2)),
                        "[cls.predictions.more.weight]"),
                tensors("a tensor has two names", all -> all.put(QUERY.substring(5), Nd4j.zeros(8, 8)), QUERY, "two names"),
                tensors("the decoder is another", all -> all.put("cls.predictions.decoder.weight", Nd4j.zeros(19, 8)),
                        "cls.predictions.decoder.weight", "differs from \"" + WORDS + "\"",
                        "\"tie_word_embeddings\": false"),
                folder("a type is no floating-point number", changed -> changed.bytes("\"F32\"", "\"I32\""), "dtype I32"),
                folder("the header is damaged", changed -> changed.bytes("data_offsets", "data_offsetz"), "data_offsetz"),
                folder("the file is cut", changed -> changed.shorten(5), "model.safetensors"),
                folder("the file is empty", changed -> changed.shorten(Files.size(changed.tensorFile())), "model.safetensors",
                        "0 bytes"),
                folder("there are no tensors", changed -> Files.delete(changed.tensorFile()), "neither model.safetensors nor"),
                folder("there is a pickle", changed -> Files.move(changed.tensorFile(), changed.path().resolve(
                        "pytorch_model.bin")), "pytorch_model.bin", "safe_serialization=True"),
                folder("there are sharded pickles", changed -> Files.move(changed.tensorFile(), changed.path().resolve(
                        "pytorch_model.bin.index.json")), "pytorch_model.bin.index.json and the .bin files",
                        "safe_serialization=True"),
                place("../model.safetensors"), place("/etc/passwd"), place("more/model.safetensors"),
                place("..\\\\a.safetensors"),
                index("a shard is missing", index -> ((ObjectNode) index.get("weight_map")).put(WORDS, "other.safetensors"),
                        "other.safetensors", "does not exist"),
                index("a tensor is in two shards", index -> ((ObjectNode) index.get("weight_map")).put(QUERY,
                        "model-00002-of-00002.safetensors"), QUERY, "model-00001-of-00002.safetensors"),
                index("a tensor is in no shard", index -> ((ObjectNode) index.get("weight_map")).put("more",
                        "model-00002-of-00002.safetensors"), "lacks tensors", "more"),
                index("there is no map", index -> index.remove("weight_map"), "weight_map"),
                index("the map is a list", index -> index.putArray("weight_map"), "weight_map"));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource({"configurations", "adapters", "files"})
    void endsInAnExceptionThatNamesWhatIsWrong(String what, Change change, String[] told) throws IOException {
        ChangedFolder changed = unchanged();
        change.to(changed);

        assertThatThrownBy(() -> Checkpoint.open(changed.path()).model().network()).as(what)
                .isInstanceOf(CheckpointException.class).hasMessageContaining(changed.path().toString())
                .hasMessageContainingAll(told);
    }

    @Test
    void theFolderThatIsChangedIsFine() throws IOException {
        assertThat(Checkpoint.open(unchanged().path()).model().network().params().length()).isPositive();
    }

    private ChangedFolder unchanged() throws IOException {
        ChangedFolder unchanged = ChangedFolder.of("bert-lm-old", folder.resolve("it"));
        unchanged.tensors(all -> {
            all.remove("cls.predictions.decoder.weight");
            rename(all);
        });
        return unchanged;
    }

    /** To the names of today. */
    private static void rename(Map<String, INDArray> all) {
        for (String name : all.keySet().toArray(String[]::new)) {
            all.put(name.replace("gamma", "weight").replace("beta", "bias"), all.remove(name));
        }
    }

    @Test
    void settingsOfGpt2ThatAreNotSupportedAreRefused() throws IOException {
        ChangedFolder changed = ChangedFolder.of("gpt2-lm", folder.resolve("it"));
        changed.config(config -> config.put("scale_attn_by_inverse_layer_idx", true));

        assertThatThrownBy(() -> Checkpoint.open(changed.path())).isInstanceOf(CheckpointException.class)
                .hasMessageContaining("\"scale_attn_by_inverse_layer_idx\": true");

        changed.config(config -> config.put("scale_attn_by_inverse_layer_idx", false).put("scale_attn_weights", false));
        assertThatThrownBy(() -> Checkpoint.open(changed.path())).isInstanceOf(CheckpointException.class)
                .hasMessageContaining("\"scale_attn_weights\": false");

        changed.config(config -> config.put("scale_attn_weights", true).put("is_causal", false));
        assertThatThrownBy(() -> Checkpoint.open(changed.path())).isInstanceOf(CheckpointException.class)
                .hasMessageContaining("\"is_causal\": false");
    }

    @Test
    void aHeadOfAnotherProblemThanItsLabelsOrThanWasAskedForIsRefused() throws IOException {
        ChangedFolder changed = ChangedFolder.of("roberta-classifier", folder.resolve("it"));
        changed.config(config -> config.put("problem_type", "multi_label_classification"));

        assertThatThrownBy(() -> Checkpoint.open(changed.path()).classifier()).isInstanceOf(CheckpointException.class)
                .hasMessageContainingAll("MULTI_LABEL with 3 outputs", "model()");
        assertThatThrownBy(() -> Checkpoint.open(changed.path()).reranker()).isInstanceOf(CheckpointException.class)
                .hasMessageContaining("3 outputs");

        changed.config(config -> config.put("problem_type", "ranking"));
        assertThatThrownBy(() -> Checkpoint.open(changed.path()).model()).isInstanceOf(CheckpointException.class)
                .hasMessageContainingAll("\"problem_type\": \"ranking\"", "multi_label_classification", "regression");

        changed.config(config -> config.put("problem_type", "single_label_classification").put("num_labels", 7));
        assertThatThrownBy(() -> Checkpoint.open(changed.path()).model()).isInstanceOf(CheckpointException.class)
                .hasMessageContaining("7 labels").hasMessageContaining("3 classes");
    }

    @Test
    @DisabledOnOs(OS.WINDOWS)
    void linksAreFollowedWithinTheFolderAndHuggingFacesCacheAlone() throws IOException {
        Path snapshot = Files.createDirectories(folder.resolve("models--tiny/snapshots/1"));
        Path blobs = Files.createDirectories(folder.resolve("models--tiny/blobs"));
        Path original = ChangedFolder.original("gpt2-lm");
        Files.copy(original.resolve("config.json"), blobs.resolve("a"));
        Files.copy(original.resolve("model.safetensors"), blobs.resolve("b"));
        Files.createSymbolicLink(snapshot.resolve("config.json"), Path.of("../../blobs/a"));
        Files.createSymbolicLink(snapshot.resolve("model.safetensors"), Path.of("../../blobs/b"));
        assertThat(Checkpoint.open(snapshot).model().network().params().length()).isPositive();

        Path elsewhere = Files.copy(original.resolve("model.safetensors"), folder.resolve("elsewhere.safetensors"));
        Files.delete(snapshot.resolve("model.safetensors"));
        Files.createSymbolicLink(snapshot.resolve("model.safetensors"), elsewhere);

        assertThatThrownBy(() -> Checkpoint.open(snapshot)).isInstanceOf(CheckpointException.class)
                .hasMessageContaining("link to").hasMessageContaining(elsewhere.toString());
    }

    @Test
    void aFileThatIsReplacedMeanwhileIsNoticed() throws IOException {
        ChangedFolder changed = ChangedFolder.of("gpt2-lm", folder.resolve("it"));
        var source = Checkpoint.open(changed.path()).model();
        changed.tensors(all -> all.put("transformer.h.0.ln_1.weight", Nd4j.zeros(9)));

        assertThatThrownBy(source::network).isInstanceOf(CheckpointException.class).hasMessageContainingAll("has been replaced",
                "model.safetensors", "Open the checkpoint again");
    }

    /** As the next save of a training is. */
    @Test
    void aFileThatIsReplacedByOneOfTheSameShapesIsNoticed() throws IOException {
        ChangedFolder changed = ChangedFolder.of("gpt2-lm", folder.resolve("it"));
        var source = Checkpoint.open(changed.path()).model();
        changed.tensors(all -> all.replaceAll((name, tensor) -> tensor.mul(2)));

        assertThatThrownBy(source::network).isInstanceOf(CheckpointException.class).hasMessageContainingAll("has been replaced",
                "model.safetensors", "Open the checkpoint again");
    }
}
