package io.github.dl4jlora.internal.peft;

import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.BiasTraining;
import io.github.dl4jlora.conf.LoRAInit;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.exception.AdapterFormatException;
import io.github.dl4jlora.internal.content.AdapterContent;
import io.github.dl4jlora.internal.content.Biases;
import io.github.dl4jlora.internal.content.Delta;
import io.github.dl4jlora.internal.content.Kind;
import io.github.dl4jlora.internal.content.TensorLayout;
import io.github.dl4jlora.internal.untrusted.Budget;
import io.github.dl4jlora.variant.DoRA;
import io.github.dl4jlora.variant.FrozenALoRA;
import io.github.dl4jlora.variant.PlainLoRA;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.ObjectMapper;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** What the text of {@code adapter_config.json} and the metadata of the tensors say, and what of it is refused. */
class PeftTextTest {

    private static final PeftFolder FOLDER = new PeftFolder(Path.of("adapter"));

    private final Budget budget = new Budget(1_000_000);

    private static Delta delta(int rank, double alpha, Scaling scaling, Kind kind) {
        return new Delta(Networks.random(DataType.FLOAT, 1, 6, rank), Networks.random(DataType.FLOAT, 2, rank, 5), alpha, scaling,
                null, TensorLayout.LINEAR, Map.of(), kind, null);
    }

    private static AdapterContent content(Map<String, Delta> deltas, Map<String, Map<String, INDArray>> trained) {
        return new AdapterContent(deltas, trained, Biases.NONE, 0.25);
    }

    private static Map<String, Delta> ordered(String one, Delta first, String other, Delta second) {
        Map<String, Delta> deltas = new LinkedHashMap<>();
        deltas.put(one, first);
        deltas.put(other, second);
        return deltas;
    }

    private static JsonNode json(AdapterContent content) throws IOException {
        return new ObjectMapper().readTree(PeftConfigJson.bytes(PeftConfig.of(content)));
    }

    private static PeftConfig parsed(String fields) throws AdapterFormatException {
        return PeftConfigJson.parse(("{\"peft_type\":\"LORA\"," + fields + "}").getBytes(StandardCharsets.UTF_8));
    }

    @ParameterizedTest
    @CsvSource({"3, 6, true", "-3, -6, true", "0.3, 0.6, false", "4503599627370495, 9007199254740990, true",
        "4503599627370496, 9.007199254740992E15, false"})
    void anAlphaIsAWholeNumberWhereItCanBe(double alpha, String written, boolean whole) throws IOException {
        JsonNode field = json(content(Map.of("fc", delta(2, alpha, Scaling.ALPHA, Kind.PLAIN)), Map.of())).path("lora_alpha");

        assertThat(field.asText()).isEqualTo(written);
        assertThat(field.isIntegralNumber()).isEqualTo(whole);
    }

    @Test
    void whatIsWrittenIsRead() throws IOException {
        AdapterContent content = content(ordered("fc", delta(2, 3, Scaling.ALPHA_OVER_RANK, Kind.PLAIN), "enc.fc",
                delta(4, 5, Scaling.ALPHA_OVER_RANK, Kind.PLAIN)), Map.of("out", Map.of()));
        PeftConfig config = PeftConfig.of(content);

        PeftConfig read = PeftConfigJson.parse(PeftConfigJson.bytes(config));

        assertThat(read.rankOf("fc", budget)).isEqualTo(2);
        assertThat(read.rankOf("enc.fc", budget)).isEqualTo(4);
        assertThat(read.alphaOf("fc", budget)).isEqualTo(3);
        assertThat(read.alphaOf("enc.fc", budget)).isEqualTo(5);
        assertThat(read.targets()).containsExactly("fc", "enc.fc");
        assertThat(read.modulesToSave()).containsExactly("model.out");
        assertThat(read.dropout()).isEqualTo(0.25);
        assertThat(read.saveId()).isEqualTo(config.saveId());
        assertThat(read.isOurs()).isTrue();
        assertThat(read.bias()).isEqualTo(BiasTraining.NONE);
        assertThat(read.useDora()).isFalse();
        assertThat(read.loraBias()).isFalse();
        assertThat(read.useRsLora()).isFalse();
        assertThat(read.targetParameters()).isEmpty();
    }

    @Test
    void rsLoraIsWrittenWhereAllLayersHaveIt() throws IOException {
        Delta rsLora = delta(4, 3, Scaling.ALPHA_OVER_SQRT_RANK, Kind.PLAIN);

        assertThat(json(content(Map.of("fc", rsLora), Map.of())).path("use_rslora").asBoolean()).isTrue();
        assertThat(json(content(Map.of("fc", rsLora), Map.of())).path("lora_alpha").asDouble()).isEqualTo(3);
        assertThat(json(content(ordered("fc", rsLora, "out", delta(4, 3, Scaling.ALPHA, Kind.PLAIN)), Map.of()))
                .path("use_rslora").asBoolean()).isFalse();
    }

    @Test
    void anOrthogonalStartIsWrittenWherePeftCanMakeOne() throws IOException {
        Kind kind = new Kind(new PlainLoRA(), LoRAInit.ORTHOGONAL, 0);

        assertThat(json(content(Map.of("fc", delta(2, 1, Scaling.ALPHA, kind)), Map.of())).path("init_lora_weights").asText())
                .isEqualTo("orthogonal");
        assertThat(json(content(Map.of("fc", delta(3, 1, Scaling.ALPHA, kind)), Map.of())).path("init_lora_weights").asText())
                .as("of an odd rank").isEqualTo("true");
        assertThat(json(content(ordered("fc", delta(2, 1, Scaling.ALPHA, kind), "out", delta(2, 1, Scaling.ALPHA, Kind.PLAIN)),
                Map.of())).path("init_lora_weights").asText()).as("of some layers").isEqualTo("true");
    }

    @Test
    void fieldsThatPeftNeverHadAreToldUnlessTheyAreOff() throws AdapterFormatException {
        byte[] text = ("{\"peft_type\":\"LORA\",\"use_kasa\":true,\"x\":{\"scale\":3},\"a\":null,\"b\":false,\"c\":[],\"d\":\"\","
                + "\"e\":0,\"use_dora\":true,\"merge_weights\":true,\"kasa_config\":{\"beta\":1}}")
                .getBytes(StandardCharsets.UTF_8);

        assertThat(PeftConfigJson.unknown(text)).containsExactly("use_kasa = true", "x = {\"scale\":3}");
    }

    /** Python's json writes them. */
    @Test
    void nanIsReadWhereItDoesNotCount() throws AdapterFormatException {
        assertThat(parsed("\"r\":1,\"lora_alpha\":1,\"eva_config\":{\"tau\":NaN,\"rho\":-Infinity}").rank()).isEqualTo(1);
        assertThatThrownBy(() -> parsed("\"r\":1,\"lora_alpha\":NaN")).isInstanceOf(AdapterFormatException.class)
                .hasMessageContaining("lora_alpha is \"NaN\", but must be a finite number");
    }

    @ParameterizedTest
    @CsvSource({"use_qalora, true, merge_and_unload", "enable_lora, '[true,false]', merge_and_unload",
        "'alora_invocation_tokens', [1], no counterpart", "arrow_config, '{\"top_k\":2}', no counterpart"})
    void whatIsNotSupportedComesWithItsRemedy(String field, String value, String remedy) {
        assertThatThrownBy(() -> parsed("\"" + field + "\":" + value)).isInstanceOf(AdapterFormatException.class)
                .hasMessageContainingAll(field + " is " + value, remedy);
    }

    @Test
    void theSmallestNumbersAreAccepted() throws AdapterFormatException {
        PeftConfig config = parsed("\"r\":1,\"lora_alpha\":0.5,\"lora_dropout\":0,\"use_bdlora\":{\"nblocks\":1}");

        assertThat(config.rank()).isEqualTo(1);
        assertThat(config.alpha()).isEqualTo(0.5);
        assertThat(config.dropout()).isZero();
        assertThat(config.isOurs()).isFalse();
        assertThat(config.init()).isNull();
        assertThat(parsed("\"r\":1,\"lora_alpha\":1,\"target_modules\":\"fc\"").targets()).containsExactly("fc");
        assertThat(parsed("\"r\":1,\"lora_alpha\":1,\"lora_bias\":true").loraBias()).isTrue();
        assertThat(parsed("\"r\":1,\"lora_alpha\":1,\"use_rslora\":1").useRsLora()).isTrue();
        assertThat(parsed("\"r\":1,\"lora_alpha\":1,\"use_dora\":true").useDora()).isTrue();
        assertThat(parsed("\"r\":1,\"lora_alpha\":1,\"target_parameters\":[\"w\"]").targetParameters())
                .containsExactly("w");
        assertThat(parsed("\"r\":1,\"lora_alpha\":1,\"bias\":\"all\"").bias()).isEqualTo(BiasTraining.ALL);
    }

    @ParameterizedTest
    @ValueSource(strings = {"\"r\":0,\"lora_alpha\":1", "\"r\":1.5,\"lora_alpha\":1", "\"r\":1", "\"lora_alpha\":1",
        "\"r\":1,\"lora_alpha\":\"1\"", "\"r\":1,\"lora_alpha\":1e999", "\"r\":1,\"lora_alpha\":1,\"lora_dropout\":1",
        "\"r\":1,\"lora_alpha\":1,\"lora_dropout\":-0.1", "\"r\":1,\"lora_alpha\":1,\"use_bdlora\":{\"nblocks\":2}",
        "\"r\":1,\"lora_alpha\":1,\"use_bdlora\":{\"nblocks\":1.5}", "\"r\":1,\"lora_alpha\":1,\"use_dora\":\"no\"",
        "\"r\":1,\"lora_alpha\":1,\"rank_pattern\":[1]", "\"r\":1,\"lora_alpha\":1,\"rank_pattern\":{\"fc\":0}",
        "\"r\":1,\"lora_alpha\":1,\"alpha_pattern\":{\"fc\":\"x\"}", "\"r\":1,\"lora_alpha\":1,\"target_modules\":{\"a\":1}",
        "\"r\":1,\"lora_alpha\":1,\"target_modules\":[1]", "\"r\":1,\"lora_alpha\":1,\"bias\":\"some\"",
        "\"r\":1,\"lora_alpha\":1,\"kasa_config\":{\"a\":1}", "\"r\":1,\"lora_alpha\":1,\"r\":2"})
    void otherValuesAreRefused(String fields) {
        assertThatThrownBy(() -> parsed(fields)).isInstanceOf(AdapterFormatException.class)
                .hasMessageContaining("adapter_config.json");
    }

    @Test
    void whatIsMissingOrLongIsSaidInOneSentence() {
        assertThatThrownBy(() -> parsed("\"lora_alpha\":1")).hasMessageContaining("r is missing, but must be a whole number");
        assertThatThrownBy(() -> parsed("\"r\":1,\"lora_alpha\":[" + "1,".repeat(1000) + "1]"))
                .hasMessageContaining("lora_alpha is [1,1,1").hasMessageContaining("…, but must be a finite number")
                .satisfies(refusal -> assertThat(refusal.getMessage()).hasSizeLessThan(300));
    }

    @Test
    void onlyWhatDiffersFromTheFirstLayerIsRecordedOfALayer() throws IOException {
        Kind other = new Kind(new FrozenALoRA(), LoRAInit.GAUSSIAN, 0);
        AdapterContent content = content(ordered("fc", delta(2, 3, Scaling.ALPHA, Kind.PLAIN), "out", delta(2, 0.1,
                Scaling.ALPHA_OVER_RANK, other).onStored("NF4")), Map.of());

        Provenance provenance = Provenance.of(PeftForm.of(content), "{}".getBytes(StandardCharsets.UTF_8));

        assertThat(provenance.metadata().keySet()).contains("dl4j_lora.variant.out", "dl4j_lora.init.out")
                .doesNotContain("dl4j_lora.variant.fc", "dl4j_lora.init.fc", "dl4j_lora.base.fc", "dl4j_lora.stored.fc");
        assertThat(provenance.variant("fc")).isEqualTo(new PlainLoRA().name());
        assertThat(provenance.variant("out")).isEqualTo(new FrozenALoRA().name());
        assertThat(provenance.init("fc")).isEqualTo("KAIMING_UNIFORM");
        assertThat(provenance.init("out")).isEqualTo("GAUSSIAN");
        assertThat(provenance.scaling(FOLDER, "out")).contains(Scaling.ALPHA_OVER_RANK);
        assertThat(provenance.alpha(FOLDER, "out")).hasValue(0.1);
        assertThat(provenance.storedAs("out")).isEqualTo("NF4");
        assertThat(provenance.storedAs("fc")).isNull();
        assertThat(provenance.baseId("fc")).isNull();
        assertThat(provenance.doubled(FOLDER, "fc", new PlainLoRA())).isNull();
        assertThat(provenance.config()).hasValueSatisfying(text -> assertThat(text).asString().isEqualTo("{}"));
        assertThat(new Provenance(Map.of()).config()).isEmpty();
        assertThat(new Provenance(Map.of()).alpha(FOLDER, "fc")).isEmpty();
        assertThat(new Provenance(Map.of()).scaling(FOLDER, "fc")).isEmpty();
    }

    @Test
    void whatPyTorchHasOtherwiseIsRecorded() throws IOException {
        Delta reversed = new Delta(Networks.random(DataType.FLOAT, 1, 6, 2), Networks.random(DataType.FLOAT, 2, 2, 5), 1,
                Scaling.ALPHA, null, TensorLayout.CONV1D, Map.of(), Kind.PLAIN, null);
        AdapterContent content = new AdapterContent(ordered("fc", delta(2, 1, Scaling.ALPHA, Kind.PLAIN), "conv", reversed),
                Map.of("out", Map.of(), "lstm", Map.of()), Biases.NONE, 0, Set.of("lstm"), Set.of(), Set.of());

        Provenance provenance = Provenance.of(PeftForm.of(content), new byte[0]);

        assertThat(provenance.isInByOut("conv")).isTrue();
        assertThat(provenance.isInByOut("fc")).isFalse();
        assertThat(provenance.isOwn("lstm")).isTrue();
        assertThat(provenance.isOwn("out")).isFalse();
        assertThat(new Provenance(Map.of()).isOwn("out")).as("in version 0.1.0").isTrue();
    }

    private static Kind started(boolean dora, LoRAInit init) {
        return new Kind(dora ? new DoRA() : new PlainLoRA(), init, 0);
    }

    private static Delta startedFromW(boolean dora, LoRAInit init, TensorLayout layout) {
        return new Delta(Networks.random(DataType.FLOAT, 1, 6, 2), Networks.random(DataType.FLOAT, 2, 2, 5), 1, Scaling.ALPHA,
                null, layout, Map.of(), started(dora, init), null);
    }

    @Test
    void aStartThatNoFileHasAPlaceForIsRefused() {
        AdapterContent gradients = content(Map.of("fc", startedFromW(true, LoRAInit.LORA_GA, TensorLayout.LINEAR)), Map.of());
        AdapterContent reversed = content(Map.of("fc", startedFromW(true, LoRAInit.OLORA, TensorLayout.CONV1D)), Map.of());

        assertThatThrownBy(() -> PeftForm.of(gradients)).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContainingAll("[fc]", "LORA_GA");
        assertThatThrownBy(() -> PeftForm.of(reversed)).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContainingAll("[fc]", "OLORA", "[nIn, nOut]");
        assertThat(PeftForm.of(content(Map.of("fc", startedFromW(true, LoRAInit.OLORA, TensorLayout.LINEAR)), Map.of()))
                .doubled()).isEmpty();
    }

    /** PEFT starts these at random whatever the word for its linear layers is. */
    @Test
    void anEmbeddingBesideOthersDoesNotSayHowTheseStarted() throws IOException {
        Delta embedding = new Delta(Networks.random(DataType.FLOAT, 1, 6, 2), Networks.random(DataType.FLOAT, 2, 2, 5), 1,
                Scaling.ALPHA, null, TensorLayout.EMBEDDING, Map.of(), Kind.PLAIN, null);
        AdapterContent beside = content(ordered("emb", embedding, "fc", startedFromW(false, LoRAInit.PISSA,
                TensorLayout.LINEAR)), Map.of());

        assertThat(PeftForm.of(beside).adapter()).isEqualTo(beside);
        assertThat(json(beside).path("init_lora_weights").asText()).isEqualTo("pissa");
        assertThat(json(content(Map.of("emb", embedding), Map.of())).path("init_lora_weights").asBoolean()).isTrue();
    }

    @Test
    void ofDoraAndOthersNeitherIsWritten() {
        AdapterContent mixed = content(ordered("fc", delta(2, 1, Scaling.ALPHA, Kind.PLAIN), "out",
                delta(2, 1, Scaling.ALPHA, started(true, LoRAInit.KAIMING_UNIFORM))), Map.of());

        assertThatThrownBy(() -> PeftForm.of(mixed)).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContainingAll("The layers [out] are DoRA, but [fc] are not");
    }

    @Test
    void damagedMetadataIsRefusedByTheLayersName() {
        Provenance damaged = new Provenance(Map.of("dl4j_lora.alpha.fc", "x", "dl4j_lora.scaling.fc", "x", "dl4j_lora.doubled.fc",
                "gaussian"));

        assertThatThrownBy(() -> damaged.alpha(FOLDER, "fc")).isInstanceOf(AdapterFormatException.class)
                .hasMessageContainingAll("adapter", "\"fc\"", "alpha that is not a number");
        assertThatThrownBy(() -> damaged.scaling(FOLDER, "fc")).isInstanceOf(AdapterFormatException.class)
                .hasMessageContainingAll("\"fc\"", "unknown scaling x");
        assertThatThrownBy(() -> damaged.doubled(FOLDER, "fc", new PlainLoRA())).isInstanceOf(AdapterFormatException.class)
                .hasMessageContainingAll("\"fc\"", "unknown start gaussian");
    }

    @Test
    void ofTwoPatternsThatAreOneNameTheFirstCounts() throws AdapterFormatException {
        for (List<String> patterns : List.of(List.of("enc\\.fc", "enc.fc"), List.of("^enc\\.fc", "^enc.fc"),
                List.of("enc.fc", "enc\\.fc"))) {
            Map<String, Integer> values = new LinkedHashMap<>();
            patterns.forEach(pattern -> values.put(pattern, values.size() + 1));

            assertThat(new ModulePatterns<>(values).of("enc.fc", 0, budget)).as("%s", patterns).isEqualTo(1);
        }
    }

    @Test
    void patternsOfModulesNameThoseAloneWhateverTheyEndWith() throws AdapterFormatException {
        Map<String, Integer> ranks = new LinkedHashMap<>();
        ranks.put("enc.fc", 8);
        ranks.put("fc", 4);
        ranks.put("a+b", 3);
        ranks.put("dec.fc", 8);
        ranks.put("c", 2);
        ranks.put("x.y.c", 8);

        ModulePatterns<Integer> patterns = ModulePatterns.of(ranks, 8);

        assertThat(patterns.values().keySet()).containsExactly("^fc", "a\\+b", "^c");
        for (Map.Entry<String, Integer> rank : ranks.entrySet()) {
            assertThat(patterns.of(rank.getKey(), 8, budget)).as(rank.getKey()).isEqualTo(rank.getValue());
        }
    }

    @Test
    void longNamesArePatternsToo() throws AdapterFormatException {
        String longest = "a".repeat(500);
        ModulePatterns<Integer> patterns = new ModulePatterns<>(Map.of(longest, 1, longest + "a", 2));

        assertThat(patterns.of(longest, 0, budget)).isEqualTo(1);
        assertThat(patterns.of(longest + "a", 0, budget)).isEqualTo(2);
        assertThat(patterns.of("enc." + longest, 0, budget)).isEqualTo(1);
    }

    /** Dividing by the rank and multiplying again would round. */
    @ParameterizedTest
    @CsvSource({"ALPHA_OVER_RANK, false", "ALPHA_OVER_SQRT_RANK, true"})
    void anAlphaThatPeftDividesAlikeIsTheSameNumber(Scaling scaling, boolean rsLora) {
        assertThat(LoraAlpha.ofAlpha(0.7, scaling, 6, rsLora)).isEqualTo(0.7);
        assertThat(LoraAlpha.toAlpha(0.7, scaling, 6, rsLora)).isEqualTo(0.7);
    }

    @ParameterizedTest
    @CsvSource({"ALPHA, 6", "ALPHA_OVER_RANK, 0.5", "ALPHA_OVER_SQRT_RANK, 3"})
    void withRsLoraPeftComputesTheSameFactor(Scaling scaling, double alpha) {
        double loraAlpha = LoraAlpha.ofAlpha(alpha, scaling, 4, true);

        assertThat(loraAlpha / 2).isEqualTo(scaling.factor(alpha, 4));
        assertThat(LoraAlpha.toAlpha(loraAlpha, scaling, 4, true)).isEqualTo(alpha);
        assertThat(LoraAlpha.toAlpha(LoraAlpha.ofAlpha(alpha, scaling, 4, false), scaling, 4, false)).isEqualTo(alpha);
        assertThat(LoraAlpha.ofAlpha(alpha, scaling, 4, false) / 4).isEqualTo(scaling.factor(alpha, 4));
    }
}
