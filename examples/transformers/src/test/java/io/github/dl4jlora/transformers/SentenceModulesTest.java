package io.github.dl4jlora.transformers;

import ch.qos.logback.classic.Level;
import io.github.dl4jlora.LogCapture;
import io.github.dl4jlora.internal.untrusted.Safetensors;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.offset;

/** What sentence-transformers' modules.json says is computed, or refused by name. */
@Tag("heavy")
class SentenceModulesTest {

    private static final INDArray IDS = Nd4j.createFromArray(new float[][] {{3, 5, 7}, {4, 2, 0}});
    private static final String TRANSFORMER = module("", "sentence_transformers.models.Transformer");
    private static final String POOLING = module("1_Pooling", "sentence_transformers.models.Pooling");
    private static final String NORMALIZE = module("2_Normalize", "sentence_transformers.models.Normalize");
    private static final String MEAN = "{\"word_embedding_dimension\": 8, \"pooling_mode_cls_token\": false, "
            + "\"pooling_mode_mean_tokens\": true, \"pooling_mode_max_tokens\": false, \"include_prompt\": true}";

    private static final String DENSE = module("2_Dense", "sentence_transformers.models.Dense");

    @TempDir
    Path folder;

    private static String module(String path, String type) {
        return "{\"idx\": 0, \"name\": \"0\", \"path\": \"" + path + "\", \"type\": \"" + type + "\"}";
    }

    @BeforeEach
    void copy() throws IOException {
        ChangedFolder.of("bert-lm-old", folder);
    }

    private void modules(String... modules) throws IOException {
        Files.writeString(folder.resolve("modules.json"), "[" + String.join(", ", modules) + "]");
    }

    private void pooling(String settings) throws IOException {
        Files.writeString(Files.createDirectories(folder.resolve("1_Pooling")).resolve("config.json"), settings);
    }

    private void dense(int out) throws IOException {
        Path path = Files.createDirectories(folder.resolve("2_Dense"));
        Files.writeString(path.resolve("config.json"), "{\"in_features\": 8, \"out_features\": " + out + ", \"bias\": true, "
                + "\"activation_function\": \"torch.nn.modules.activation.Tanh\"}");
        Nd4j.getRandom().setSeed(1);
        try (OutputStream stream = Files.newOutputStream(path.resolve("model.safetensors"))) {
            Safetensors.write(stream, Map.of("linear.weight", Nd4j.rand(out, 8), "linear.bias", Nd4j.rand(out)), Map.of());
        }
    }

    private INDArray embed() throws IOException {
        return Checkpoint.open(folder).sentenceEncoder().network().outputSingle(IDS);
    }

    private INDArray means() throws IOException {
        INDArray rows = Checkpoint.open(folder).encoder().network().outputSingle(IDS);
        return Nd4j.vstack(rows.getRows(0, 1, 2).mean(0), rows.getRows(3, 4).mean(0));
    }

    private void assertRefused(String... told) {
        assertThatThrownBy(this::embed).isInstanceOf(CheckpointException.class).hasMessageContaining(folder.toString())
                .hasMessageContainingAll(told);
    }

    @Test
    void withoutModulesItIsTheMeanOfLengthOne() throws IOException {
        INDArray means = means();
        assertThat(embed().sub(means.divColumnVector(means.norm2(1))).amaxNumber().doubleValue()).isLessThan(1e-5);
    }

    @Test
    void withModulesItIsAsLongAsTheySay() throws IOException {
        pooling(MEAN);
        INDArray means = means();
        modules(TRANSFORMER, POOLING, NORMALIZE);
        assertThat(embed().sub(means.divColumnVector(means.norm2(1))).amaxNumber().doubleValue()).isLessThan(1e-5);

        modules(TRANSFORMER, POOLING);
        assertThat(embed().sub(means).amaxNumber().doubleValue()).isLessThan(1e-5);
        assertThat(means.norm2(1).getDouble(0)).isGreaterThan(1.5);
    }

    /** As sentence-transformers does from 5.4 on; the old keys have one order. */
    @Test
    void severalPoolingsStandInTheOrderOfTheFileAndAreWrittenSo(@TempDir Path written) throws IOException {
        modules(TRANSFORMER, POOLING);
        pooling("{\"pooling_mode\": [\"mean\", \"cls\"]}");
        INDArray firsts = Checkpoint.open(folder).encoder().network().outputSingle(IDS).getRows(0, 3);
        INDArray expected = Nd4j.hstack(means(), firsts);
        assertThat(embed().sub(expected).amaxNumber().doubleValue()).isLessThan(1e-5);
        Checkpoint checkpoint = Checkpoint.open(folder);

        checkpoint.writeCheckpoint(checkpoint.sentenceEncoder().network(), written);

        assertThat(Checkpoint.open(written).sentenceEncoder().network().outputSingle(IDS)).isEqualTo(embed());
        INDArray given = checkpoint.sentenceEncoder(Pooling.MEAN, Pooling.FIRST_TOKEN).network().outputSingle(IDS);
        assertThat(given.sub(expected.divColumnVector(expected.norm2(1))).amaxNumber().doubleValue()).isLessThan(1e-5);
        pooling("{\"pooling_mode_cls_token\": true, \"pooling_mode_mean_tokens\": true}");
        assertThat(embed().sub(Nd4j.hstack(firsts, means())).amaxNumber().doubleValue()).isLessThan(1e-5);
    }

    /** As sentence-transformers reads them from version 5.4 on. */
    @Test
    void oldKeysOfPoolingsCountWhereTheyAreTrueAndTheMeanWhereNoneIs() throws IOException {
        modules(TRANSFORMER, POOLING);
        INDArray firsts = Checkpoint.open(folder).encoder().network().outputSingle(IDS).getRows(0, 3);
        pooling("{\"pooling_mode_cls_token\": true}");
        assertThat(embed().sub(firsts).amaxNumber().doubleValue()).isLessThan(1e-5);

        for (String none : new String[] {"{}", "{\"pooling_mode_mean_tokens\": false}", "{\"pooling_mode_cls_token\": null}"}) {
            pooling(none);
            assertThat(embed().sub(means()).amaxNumber().doubleValue()).as(none).isLessThan(1e-5);
        }
    }

    /** Such files come from version 5.4 and later. */
    @ParameterizedTest
    @CsvSource(delimiter = ';', quoteCharacter = '`', value = {
        "config_sentence_transformers.json; {'truncate_dim': 4}; 'truncate_dim': 4, so that; SubsetVertex",
        "config_sentence_transformers.json; {'truncate_dim': '4'}; 'truncate_dim': '4'; whole number",
        "sentence_bert_config.json; {'transformer_task': 'fill-mask'}; 'transformer_task': 'fill-mask'; 'feature-extraction'",
        "sentence_bert_config.json; {'module_output_name': 'sentence_embedding'}; 'sentence_embedding'; 'token_embeddings'",
        "sentence_bert_config.json; {'modality_config': {'text': {'method': 'get_text_features'}}}; 'get_text_features'; "
                + "'forward'",
        "sentence_bert_config.json; {'modality_config': {'text': {'method_output_name': 'pooler_output'}}}; 'pooler_output'; "
                + "'last_hidden_state'",
        "sentence_bert_config.json; {'modality_config': {'text': {'method_output_name': ['hidden_states', -2]}}}; "
                + "'hidden_states'; 'last_hidden_state'",
        "sentence_bert_config.json; {'modality_config': 3}; 'modality_config': 3; an object",
        "sentence_bert_config.json; {'config_args': {'hidden_act': 'relu'}}; 'config_args': {'hidden_act': 'relu'}; "
                + "Set it in config.json",
        "sentence_bert_config.json; {'config_kwargs': {'dtype': 'float32', 'a': 1}}; 'config_kwargs': {'a': 1}; remove it here",
        "sentence_bert_config.json; {'model_args': {'is_decoder': true}}; 'model_args': {'is_decoder': true}; remove it here",
        "sentence_bert_config.json; {'model_kwargs': {'variant': 'old'}}; 'model_kwargs': {'variant': 'old'}; remove it here",
        "sentence_bert_config.json; {'model_args': 3}; 'model_args': 3; an object",
        "sentence_bert_config.json; {'tokenizer_args': {'padding_side': 'left'}}; 'tokenizer_args': {'padding_side': 'left'}; "
                + "Load the tokenizer with it in Python and save it, so that tokenizer.json has it",
        "sentence_bert_config.json; {'tokenizer_kwargs': {'model_max_length': 4}}; {'model_max_length': 4}; remove it here",
        "sentence_bert_config.json; {'processor_kwargs': {'do_lower_case': true}}; {'do_lower_case': true}; remove it here"})
    void vectorsOfSomethingElseAreRefusedByKeyAndValueAndAPoolingOfOnesOwnIsWrittenWithout(String file, String settings,
            String told, String expected, @TempDir Path written) throws IOException {
        pooling(MEAN);
        modules(TRANSFORMER, POOLING);
        Files.writeString(folder.resolve(file), settings.replace('\'', '"'));
        assertRefused(file, told.replace('\'', '"'), expected.replace('\'', '"'));

        Checkpoint checkpoint = Checkpoint.open(folder);
        ComputationGraph means = checkpoint.sentenceEncoder(Pooling.MEAN).network();
        checkpoint.writeCheckpoint(means, written);
        assertThat(Checkpoint.open(written).sentenceEncoder().network().outputSingle(IDS)).isEqualTo(means.outputSingle(IDS));
    }

    @Test
    void theUsualVectorsMayBeNamed() throws IOException {
        pooling(MEAN);
        modules(TRANSFORMER, POOLING);
        Files.writeString(folder.resolve("config_sentence_transformers.json"), "{\"truncate_dim\": null}");
        Files.writeString(folder.resolve("sentence_bert_config.json"), "{\"transformer_task\": \"feature-extraction\", "
                + "\"modality_config\": {\"text\": {\"method\": \"forward\", \"method_output_name\": \"last_hidden_state\"}}, "
                + "\"module_output_name\": \"token_embeddings\", \"config_args\": {\"trust_remote_code\": true, "
                + "\"revision\": null}, \"model_args\": {\"attn_implementation\": \"eager\", \"torch_dtype\": \"float16\", "
                + "\"add_pooling_layer\": false}, \"tokenizer_args\": {\"trust_remote_code\": false}, \"model_kwargs\": null}");

        assertThat(embed().sub(means()).amaxNumber().doubleValue()).isLessThan(1e-5);
    }

    @Test
    void aNormalisationOfSomethingElseIsRefused() throws IOException {
        pooling(MEAN);
        modules(TRANSFORMER, POOLING, NORMALIZE);
        Path settings = Files.createDirectories(folder.resolve("2_Normalize")).resolve("config.json");
        Files.writeString(settings, "{\"module_input_name\": \"sentence_embedding\"}");
        assertThat(embed().norm2(1).getDouble(0)).isCloseTo(1, offset(1e-5));

        Files.writeString(settings, "{\"module_input_name\": \"token_embeddings\"}");
        assertRefused("2_Normalize", "\"module_input_name\": \"token_embeddings\"");
    }

    /** Folders may be called as vertices are. */
    @ParameterizedTest
    @ValueSource(strings = {"sentence", "input_ids", "pooling", "embeddings", "2_Dense.linear"})
    void aFolderOfAModuleHasAnyName(String path) throws IOException {
        pooling(MEAN);
        dense(5);
        modules(TRANSFORMER, POOLING, module("3_Normalize", "sentence_transformers.models.Normalize"), DENSE);
        INDArray embeddings = embed();

        modules(TRANSFORMER, POOLING, module(path, "sentence_transformers.models.Normalize"), DENSE);

        assertThat(embed()).isEqualTo(embeddings);
    }

    @Test
    void aDenseLayerWithADotInItsNameIsWrittenAndOneWithTheNameOfThePoolingIsNot(@TempDir Path written) throws IOException {
        dense(5);
        pooling(MEAN);
        Files.move(folder.resolve("2_Dense"), folder.resolve("dense.v2"));
        modules(TRANSFORMER, POOLING, module("dense.v2", "sentence_transformers.models.Dense"));
        Checkpoint checkpoint = Checkpoint.open(folder);

        checkpoint.writeCheckpoint(checkpoint.sentenceEncoder().network(), written);

        assertThat(Checkpoint.open(written).sentenceEncoder().network().outputSingle(IDS)).isEqualTo(embed());
        Files.move(folder.resolve("1_Pooling"), folder.resolve("0_Pooling"));
        Files.move(folder.resolve("dense.v2"), folder.resolve("1_Pooling"));
        modules(TRANSFORMER, module("0_Pooling", "sentence_transformers.models.Pooling"),
                module("1_Pooling", "sentence_transformers.models.Dense"));
        Checkpoint other = Checkpoint.open(folder);
        assertThatThrownBy(() -> other.writeCheckpoint(other.sentenceEncoder().network(), written.resolve("other")))
                .isInstanceOf(IllegalArgumentException.class).hasMessageContainingAll("\"1_Pooling.linear\"", "another module");
    }

    @ParameterizedTest
    @ValueSource(strings = {"sentence_transformers.models.Dropout", "sentence_transformers.models.LayerNorm",
        "sentence_transformers.models.LSTM", "sentence_transformers.models.Pooling"})
    void aModuleThatIsNotComputedIsRefusedByName(String type) throws IOException {
        pooling(MEAN);
        String name = type.substring(type.lastIndexOf('.') + 1);
        modules(TRANSFORMER, POOLING, module("2_" + name, type));
        assertRefused("modules.json", "[Transformer, Pooling, " + name + "]", "encoder()");

        modules(TRANSFORMER, POOLING, module("2_" + name, type), NORMALIZE);
        assertRefused("modules.json", "[Transformer, Pooling, " + name + ", Normalize]");
    }

    @Test
    void otherListsOfModulesAreRefused() throws IOException {
        pooling(MEAN);
        modules(TRANSFORMER);
        assertRefused("[Transformer]");
        modules(TRANSFORMER, module("1_WeightedLayerPooling", "sentence_transformers.models.WeightedLayerPooling"), POOLING);
        assertRefused("[Transformer, WeightedLayerPooling, Pooling]");
        modules(TRANSFORMER, NORMALIZE, POOLING);
        assertRefused("[Transformer, Normalize, Pooling]");
        modules(module("0_StaticEmbedding", "sentence_transformers.models.StaticEmbedding"), NORMALIZE);
        assertRefused("[StaticEmbedding, Normalize]");
        modules(module("", "sentence_transformers.sentence_transformer.modules.router.Router"));
        assertRefused("[Router]");
        modules();
        assertRefused("modules.json has the modules []");
        modules(TRANSFORMER, POOLING, module("", "custom_code.Whitening"));
        assertRefused("\"type\": \"custom_code.Whitening\"", "encoder()");
        modules(module("0_Transformer", "sentence_transformers.models.Transformer"), POOLING);
        assertRefused("\"0_Transformer\"", "move its files");
    }

    @ParameterizedTest
    @CsvSource(delimiter = ';', value = {
        "{\"pooling_mode\": \"median\"}; has the poolings [median]",
        "{\"pooling_mode\": [\"mean\", \"mean\"]}; has the poolings [mean, mean]",
        "{\"pooling_mode\": 3}; \"pooling_mode\": 3",
        "{\"pooling_mode_max_tokens\": 1}; \"pooling_mode_max_tokens\": 1",
        "{\"include_prompt\": false}; \"include_prompt\": false, so that",
        "{\"word_embedding_dimension\": 384}; \"word_embedding_dimension\": 384",
        "{\"embedding_dimension\": 384}; \"embedding_dimension\": 384",
        "[]; not a JSON object", "{; not JSON"})
    void anotherPoolingIsRefusedByKeyAndValueWithModulesAndWithout(String settings, String told) throws IOException {
        pooling(settings);
        assertRefused("1_Pooling", told);
        modules(TRANSFORMER, POOLING, NORMALIZE);
        assertRefused("1_Pooling", told);
    }

    @ParameterizedTest
    @CsvSource(delimiter = ';', value = {
        "{\"in_features\": 9, \"out_features\": 5, \"activation_function\": \"torch.nn.modules.activation.Tanh\"}; "
                + "\"in_features\": 9",
        "{\"in_features\": 8, \"out_features\": 6, \"activation_function\": \"torch.nn.modules.activation.Tanh\"}; [6, 8]",
        "{\"in_features\": 8, \"activation_function\": \"torch.nn.modules.activation.Tanh\"}; lacks \"out_features\"",
        "{\"in_features\": 8, \"out_features\": 2147483647, \"activation_function\": \"torch.nn.modules.linear.Identity\"}; "
                + "[2147483647, 8]",
        "{\"in_features\": 8, \"out_features\": 5, \"activation_function\": \"os.system\"}; \"os.system\"",
        "{\"in_features\": 8, \"out_features\": 5, \"bias\": false, \"activation_function\": "
                + "\"torch.nn.modules.linear.Identity\"}; 2_Dense.linear.bias",
        "{\"in_features\": 8, \"out_features\": 5, \"use_residual\": true}; \"use_residual\": true",
        "{\"in_features\": 8, \"out_features\": 5, \"module_input_name\": \"token_embeddings\"}; \"module_input_name\""})
    void aDenseLayerThatDoesNotFitIsRefusedByKeyAndValue(String settings, String told) throws IOException {
        pooling(MEAN);
        modules(TRANSFORMER, POOLING, DENSE);
        dense(5);
        Files.writeString(folder.resolve("2_Dense/config.json"), settings);
        assertRefused("2_Dense", told);
    }

    @Test
    void aDenseLayerIsStoredAsSafetensors() throws IOException {
        pooling(MEAN);
        modules(TRANSFORMER, POOLING, DENSE);
        dense(5);
        Files.move(folder.resolve("2_Dense/model.safetensors"), folder.resolve("2_Dense/pytorch_model.bin"));
        assertRefused("2_Dense has no model.safetensors, only pytorch_model.bin", "SentenceTransformer(folder).save(new_folder)");
        Files.delete(folder.resolve("2_Dense/pytorch_model.bin"));
        assertRefused("2_Dense has no model.safetensors");
        modules(TRANSFORMER, POOLING, DENSE, DENSE);
        assertRefused("two modules with the \"path\": \"2_Dense\"");
    }

    @Test
    void aModelWithoutATransformerIsRefusedByItsModules(@TempDir Path other) throws IOException {
        Files.writeString(other.resolve("modules.json"), "[" + module("0_CLIPModel", "sentence_transformers.models.CLIPModel")
                + "]");
        assertThatThrownBy(() -> Checkpoint.open(other)).isInstanceOf(CheckpointException.class)
                .hasMessageContainingAll("[CLIPModel]", "expected are [Transformer, Pooling]");
        Files.writeString(other.resolve("modules.json"), "[" + module("0_Transformer",
                "sentence_transformers.models.Transformer") + ", " + POOLING + "]");
        assertThatThrownBy(() -> Checkpoint.open(other)).isInstanceOf(CheckpointException.class)
                .hasMessageContainingAll("\"0_Transformer\"", "move its files");
    }

    @ParameterizedTest
    @ValueSource(strings = {"..", "../1_Pooling", "/etc", "1_Pooling/../../more", ".", "a\\\\b"})
    void settingsLieInFoldersBesideTheList(String path) throws IOException {
        pooling(MEAN);
        modules(TRANSFORMER, module(path, "sentence_transformers.models.Pooling"));
        assertRefused("modules.json", "\"path\"", "name of a folder beside it");
    }

    @Test
    @DisabledOnOs(OS.WINDOWS)
    void linksLeadNowhereElse(@TempDir Path elsewhere) throws IOException {
        Files.writeString(elsewhere.resolve("config.json"), MEAN);
        Files.createSymbolicLink(folder.resolve("1_Pooling"), elsewhere);
        assertRefused("link to", elsewhere.toRealPath().toString());
        modules(TRANSFORMER, POOLING);
        assertRefused("link to", elsewhere.toRealPath().toString());
        Files.move(folder.resolve("modules.json"), elsewhere.resolve("modules.json"));
        Files.createSymbolicLink(folder.resolve("modules.json"), elsewhere.resolve("modules.json"));
        assertRefused("modules.json is a link to");

        Path tokenizer = Files.writeString(elsewhere.resolve("tokenizer.json"), "{}");
        Files.createSymbolicLink(folder.resolve("tokenizer.json"), tokenizer);
        assertThat(Checkpoint.open(folder).tokenizer()).isEmpty();
    }

    @Test
    void filesThatAreDamagedAreNamed() throws IOException {
        pooling(MEAN);
        for (String text : new String[] {"", "{}", "3", "[3]", "[[]]", "[{\"type\": 3}]", "[{}]", "[", "null"}) {
            Files.writeString(folder.resolve("modules.json"), text);
            assertRefused("modules.json");
        }
        modules(TRANSFORMER, module("2_Pooling", "sentence_transformers.models.Pooling"));
        assertRefused("2_Pooling", "does not exist");
    }

    @Test
    void aDefaultPromptIsTold() throws IOException {
        pooling(MEAN);
        modules(TRANSFORMER, POOLING, NORMALIZE);
        try (LogCapture log = new LogCapture("io.github.dl4jlora.transformers", Level.WARN)) {
            Files.writeString(folder.resolve("config_sentence_transformers.json"), "{\"default_prompt_name\": null}");
            embed();
            assertThat(log.messages()).isEmpty();
            Files.writeString(folder.resolve("config_sentence_transformers.json"), "{\"prompts\": {\"query\": \"query: \"}, "
                    + "\"default_prompt_name\": \"query\"}");
            embed();
            assertThat(log.messages()).singleElement().asString().contains("\"query\"", "before every text");
        }
    }
}
