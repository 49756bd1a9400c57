package io.github.dl4jlora.internal.peft;

import io.github.dl4jlora.exception.AdapterFormatException;
import io.github.dl4jlora.internal.untrusted.Budget;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** What a file's tensors are, by their names and the configuration alone. */
class TensorIndexTest {

    private static final String OURS = "\"auto_mapping\":{\"dl4j_lora_save\":\"1\"}";

    /** Of layer fc, which is adapted, and of these. */
    private static TensorIndex index(String fields, String... names) throws AdapterFormatException {
        List<String> all = new ArrayList<>(List.of("fc.lora_A.weight", "fc.lora_B.weight"));
        all.addAll(Arrays.asList(names));
        return of(fields, all);
    }

    private static TensorIndex of(String fields, List<String> names) throws AdapterFormatException {
        PeftConfig config = PeftConfigJson.parse(("{\"peft_type\":\"LORA\",\"r\":2,\"lora_alpha\":1"
                + (fields.isEmpty() ? "" : "," + fields) + "}").getBytes(StandardCharsets.UTF_8));
        return new TensorIndex(names.stream().map(name -> "base_model.model." + name).toList(), config, new Budget(1_000_000));
    }

    @Test
    void anAdaptedLayerIsItsTwoFactors() throws AdapterFormatException {
        TensorIndex index = index("");

        assertThat(index.layers()).containsExactly("fc");
        assertThat(index.a("fc")).isEqualTo("base_model.model.fc.lora_A.weight");
        assertThat(index.b("fc")).isEqualTo("base_model.model.fc.lora_B.weight");
        assertThat(index.trained()).isEmpty();
        assertThat(index.biases()).isEmpty();
        assertThat(index.missing()).isEmpty();
        assertThat(index.surplus()).isEmpty();
        assertThat(index.incomplete()).isEmpty();
    }

    @Test
    void aLayerThatLacksOneIsIncomplete() throws AdapterFormatException {
        TensorIndex index = index("", "x.lora_A.weight", "y.lora_B.weight");

        assertThat(index.layers()).containsExactly("fc");
        assertThat(index.incomplete()).containsExactly("x", "y");
        assertThat(index.missing()).containsExactly("base_model.model.x.lora_B.weight", "base_model.model.y.lora_A.weight");
    }

    /** Only files of this library name in full what was saved. */
    @Test
    void aSavedLayerMayBearTheNameOfAFactor() throws AdapterFormatException {
        String saved = "\"modules_to_save\":[\"model.enc.lora_A\"]";

        assertThat(index(saved + "," + OURS, "enc.lora_A.weight").trained()).isEqualTo(Map.of("enc.lora_A",
                Map.of("weight", "base_model.model.enc.lora_A.weight")));
        assertThat(index(saved, "enc.lora_A.weight").incomplete()).containsExactly("enc");
    }

    @ParameterizedTest
    @ValueSource(strings = {"out.num_batches_tracked", "out.1.num_batches_tracked", "out.original_module.bias",
        "out.modules_to_save.bias"})
    void whatWasNotTrainedOfASavedModuleIsNothing(String name) throws AdapterFormatException {
        TensorIndex index = index("\"modules_to_save\":[\"out\"]", name);

        assertThat(index.trained()).isEmpty();
        assertThat(index.missing()).isEmpty();
        assertThat(index.surplus()).isEmpty();
        assertThat(index("", name).surplus()).containsExactly("base_model.model." + name);
    }

    @Test
    void aSavedModuleIsWhatItSays() throws AdapterFormatException {
        TensorIndex index = index("\"modules_to_save\":[\"out\",\"head\"]", "out.weight", "out.bias");

        assertThat(index.trained()).isEqualTo(Map.of("out", Map.of("weight", "base_model.model.out.weight", "bias",
                "base_model.model.out.bias")));
        assertThat(index.missing()).containsExactly("base_model.model.head.*");
    }

    /** PEFT names all heads that such a model may have. */
    @Test
    void ofSeveralHeadsOneIsEnough() throws AdapterFormatException {
        String heads = "\"modules_to_save\":[\"classifier\",\"score\"]";

        assertThat(index(heads, "score.weight").missing()).isEmpty();
        assertThat(index(heads).missing()).containsExactly("base_model.model.classifier.*", "base_model.model.score.*");
        String savedTwice = heads.replace("]", ",\"classifier\",\"score\"]");
        assertThat(index(savedTwice, "score.weight").missing()).isEmpty();
        assertThat(index(savedTwice).missing()).containsExactly("base_model.model.classifier.*", "base_model.model.score.*");
    }

    /** PEFT up to 0.10 did not write down what it adds to modules_to_save for a task, but saved it. */
    @ParameterizedTest
    @CsvSource({"SEQ_CLS, classifier", "SEQ_CLS, score", "TOKEN_CLS, classifier", "QUESTION_ANS, qa_outputs"})
    void aTaskSavesItsHead(String task, String head) throws AdapterFormatException {
        String fields = "\"modules_to_save\":null,\"task_type\":\"" + task + "\"";

        TensorIndex index = index(fields, head + ".dense.weight");

        assertThat(index.trained()).isEqualTo(Map.of(head + ".dense", Map.of("weight",
                "base_model.model." + head + ".dense.weight")));
        assertThat(index.missing()).isEmpty();
        assertThat(index(fields).missing()).as("a file without the head").isEmpty();
        assertThat(index(fields.replace("null", "[\"norm\"]"), head + ".weight", "norm.weight").trained())
                .containsOnlyKeys(head, "norm");
        assertThat(index(fields.replace(task, "CAUSAL_LM"), head + ".weight").surplus()).hasSize(1);
        assertThat(index(fields + "," + OURS, head + ".weight").surplus()).hasSize(1);
    }

    /** {@code save_embedding_layers}, or a vocabulary that was resized. */
    @ParameterizedTest
    @ValueSource(strings = {"bert.embeddings.word_embeddings.weight", "model.embed_tokens.weight", "transformer.wte.weight",
        "lm_head.weight", "cls.predictions.decoder.bias", "lm_head.decoder.weight", "vocab_projector.bias"})
    void wordEmbeddingsAreSavedWithoutAnEntry(String name) throws AdapterFormatException {
        int dot = name.lastIndexOf('.');

        assertThat(index("", name).trained()).isEqualTo(Map.of(name.substring(0, dot), Map.of(name.substring(dot + 1),
                "base_model.model." + name)));
        assertThat(index(OURS, name).surplus()).containsExactly("base_model.model." + name);
        assertThat(index("", "x" + name.substring(name.lastIndexOf('.', dot - 1) + 1)).surplus()).hasSize(1);
    }

    /** PEFT's rule for "all" is {@code "bias" in name}. MPNet has such a matrix. */
    @Test
    void withAllBiasesWhateverIsCalledSoWasTrained() throws AdapterFormatException {
        assertThat(index("\"bias\":\"all\"", "encoder.relative_attention_bias.weight").trained())
                .isEqualTo(Map.of("encoder.relative_attention_bias", Map.of("weight",
                        "base_model.model.encoder.relative_attention_bias.weight")));
        assertThat(index("\"bias\":\"lora_only\"", "encoder.relative_attention_bias.weight").surplus()).hasSize(1);
    }

    @Test
    void aMagnitudeMayBeTheWeightOfAModule() throws AdapterFormatException {
        assertThat(index("\"use_dora\":true", "fc.lora_magnitude_vector.weight").extra()).isEqualTo(Map.of("fc",
                Map.of(ExtraPart.MAGNITUDE, "base_model.model.fc.lora_magnitude_vector.weight")));
    }

    @ParameterizedTest
    @ValueSource(strings = {"fc.lora_A.spam.weight", "fc.lora_B.spam.weight", "emb.lora_embedding_A.spam",
        "fc.lora_magnitude_vector.spam.weight", "fc.lora_magnitude_vector.spam", "fc.lora_B.spam.bias"})
    void namesOfAModelsStateAreRefusedWithTheLineThatChangesThem(String name) {
        assertThatThrownBy(() -> TensorNames.requireReadable(List.of("fc.lora_A.weight", name)))
                .isInstanceOf(AdapterFormatException.class)
                .hasMessageContainingAll(name, "\"spam\"", "k.replace(\".spam\", \"\")", "model.save_pretrained(folder)");
    }

    /** Of RoBERTa's classifier, with the target "dense". */
    @ParameterizedTest
    @ValueSource(strings = {"classifier.original_module.dense.lora_A.weight", "classifier.modules_to_save.dense.lora_B.weight"})
    void anAdapterInsideASavedModuleIsRefusedWithItsCause(String name) throws AdapterFormatException {
        assertThatThrownBy(() -> TensorNames.requireReadable(List.of(name))).isInstanceOf(AdapterFormatException.class)
                .hasMessageContainingAll(name, "PEFT before 0.16", "merge_and_unload");
        TensorNames.requireReadable(List.of("fc.lora_A.weight", "fc.lora_B.bias", "fc.lora_magnitude_vector",
                "fc.lora_magnitude_vector.weight", "emb.lora_embedding_A", "classifier.modules_to_save.dense.bias"));
    }

    @Test
    void aBiasIsOneOnlyWhereBiasesAreTrained() throws AdapterFormatException {
        assertThat(index("\"bias\":\"all\"", "out.bias").biases()).isEqualTo(Map.of("out", "base_model.model.out.bias"));
        assertThat(index("", "out.bias").surplus()).containsExactly("base_model.model.out.bias");
        assertThat(index("\"bias\":\"all\"", "out.weight").surplus()).containsExactly("base_model.model.out.weight");
        for (String bias : List.of("fc.bias", "fc.base_layer.bias")) {
            assertThat(index("\"bias\":\"lora_only\"", bias).extra()).as(bias).isEqualTo(Map.of("fc", Map.of(ExtraPart.BIAS,
                    "base_model.model." + bias)));
        }
    }

    @Test
    void whatIsTiedToASavedModuleHasNoEntry() throws AdapterFormatException {
        assertThat(index("\"ensure_weight_tying\":true", "enc.decoder.weight").trained()).isEqualTo(Map.of("enc.decoder",
                Map.of("weight", "base_model.model.enc.decoder.weight")));
        assertThat(index("\"ensure_weight_tying\":true", "enc.decoder.bias").surplus())
                .containsExactly("base_model.model.enc.decoder.bias");
        assertThat(index("", "enc.decoder.weight").surplus()).containsExactly("base_model.model.enc.decoder.weight");
    }

    @ParameterizedTest
    @ValueSource(strings = {"lora_velora_embed", "lora_monteclora_sampler.std"})
    void whatServesTrainingOnlyIsNothing(String part) throws AdapterFormatException {
        assertThat(index("", "fc." + part).surplus()).isEmpty();
        assertThat(index("", "out." + part).surplus()).containsExactly("base_model.model.out." + part);
    }

    @Test
    void whatWouldBeComputedWithIsNotLeftOut() {
        assertThatThrownBy(() -> index("", "fc.lora_C.weight")).isInstanceOf(AdapterFormatException.class)
                .hasMessageContainingAll("[base_model.model.fc.lora_C.weight]", "neither known here");
        assertThatThrownBy(() -> index("", "fc.lora_magnitude_vector")).isInstanceOf(AdapterFormatException.class)
                .hasMessageContainingAll("[base_model.model.fc.lora_magnitude_vector]", "neither known here");
    }

    @Test
    void partsBesideTheFactorsAreWantedOrLeft() throws AdapterFormatException {
        String dora = "\"use_dora\":true";

        assertThat(index(dora, "fc.lora_magnitude_vector").extra()).isEqualTo(Map.of("fc", Map.of(ExtraPart.MAGNITUDE,
                "base_model.model.fc.lora_magnitude_vector")));
        assertThat(index(dora).missing()).containsExactly("base_model.model.fc.lora_magnitude_vector");
        assertThat(index(dora).layers()).isEmpty();
        assertThat(index(dora, "fc.lora_magnitude_vector", "out.lora_magnitude_vector").surplus())
                .containsExactly("base_model.model.out.lora_magnitude_vector");
        assertThat(index("", "fc.initial_A.weight").missing()).containsExactly("base_model.model.fc.initial_B.weight");
        assertThat(index("", "fc.initial_B.weight").missing()).containsExactly("base_model.model.fc.initial_A.weight");
        assertThat(index("\"lora_bias\":true").missing()).containsExactly("base_model.model.fc.lora_B.bias");
    }

    @Test
    void filesOfThisLibraryHaveAllTargets() throws AdapterFormatException {
        String targets = "\"target_modules\":[\"fc\",\"out\"]";

        assertThat(index(targets).missing()).isEmpty();
        assertThat(index(targets + "," + OURS).missing()).containsExactly("base_model.model.out.lora_A.weight",
                "base_model.model.out.lora_B.weight");
    }

    @Test
    void twoNamesOfOneTensorAreRefused() {
        assertThatThrownBy(() -> of("", List.of("fc.lora_A.weight", "fc.lora_B.weight", "fc.lora_embedding_A")))
                .isInstanceOf(AdapterFormatException.class).hasMessageContainingAll("\"fc\"", "fc.lora_A.weight and ");
    }
}
