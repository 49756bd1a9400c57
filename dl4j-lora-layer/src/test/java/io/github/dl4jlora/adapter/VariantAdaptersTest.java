package io.github.dl4jlora.adapter;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.bank.AdapterBank;
import io.github.dl4jlora.bank.AdapterMix;
import io.github.dl4jlora.conf.BiasTraining;
import io.github.dl4jlora.conf.FrozenStorage;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.LoRAInit;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.exception.AdapterFormatException;
import io.github.dl4jlora.internal.content.Delta;
import io.github.dl4jlora.variant.DoRA;
import io.github.dl4jlora.variant.PlainLoRA;
import io.github.dl4jlora.variant.Variant;
import io.github.dl4jlora.variant.Variants;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.EmbeddingLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.ObjectMapper;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** Adapters of every variant apart from networks: in files, swapped, converted, combined, served, or refused with a reason. */
@Tag("heavy")
class VariantAdaptersTest {

    private static final INDArray INPUT = Networks.random(DataType.DOUBLE, 77, 5, Networks.IN);

    private final ComputationGraph base = Networks.trainedGraph(DataType.DOUBLE, new Adam(0.02));
    @TempDir
    private Path folder;

    private ComputationGraph tuned(Variants variant) {
        return Variants.disturb(LoRA.apply(base, variant.config().build()));
    }

    private static double[] outputs(ComputationGraph network) {
        return Models.values(network.outputSingle(INPUT));
    }

    @ParameterizedTest
    @EnumSource
    void savedAdapterMakesTheSameNetworkAgain(Variants variant) throws IOException {
        ComputationGraph tuned = tuned(variant);

        LoRAAdapter.of(tuned).save(folder);
        LoRAAdapter loaded = LoRAAdapter.load(folder);
        ComputationGraph again = LoRA.apply(base, loaded);

        assertThat(outputs(again)).isEqualTo(outputs(tuned));
        assertThat(Models.params(again)).isEqualTo(Models.params(tuned));
        assertThat(LoRA.summary(again).toString()).isEqualTo(LoRA.summary(tuned).toString());
        LoRAConfig wanted = variant.config().build();
        assertThat(loaded.config().variant()).isEqualTo(wanted.variant());
        assertThat(loaded.config().loraInit()).isEqualTo(wanted.loraInit());
        assertThat(loaded.config().pissaIterations()).isEqualTo(wanted.pissaIterations());
        assertThat(loaded.config().bias()).isEqualTo(wanted.bias());
    }

    @ParameterizedTest
    @EnumSource
    void adapterIsSwappedInPlaceWhateverItsFactor(Variants variant) throws IOException {
        for (FrozenStorage storage : FrozenStorage.values()) {
            ComputationGraph other = Variants.disturb(LoRA.apply(base,
                    variant.config().alpha(0.4).scaling(Scaling.ALPHA_OVER_RANK).seed(99).build()));
            ComputationGraph network = LoRA.apply(base, variant.config().storage(storage).build());
            LoRAAdapter.of(other).save(folder);

            LoRAAdapter.load(folder).applyTo(network);

            assertThat(Networks.difference(network.outputSingle(INPUT), other.outputSingle(INPUT))).isLessThan(1e-12);
            assertThat(Models.params(LoRA.unload(network))).isEqualTo(Models.params(base));
            network.fit(Networks.data(DataType.DOUBLE, 8, 3));
            assertThat(Networks.difference(LoRA.merge(network).outputSingle(INPUT), network.outputSingle(INPUT)))
                    .isLessThan(1e-12);
        }
    }

    @ParameterizedTest
    @CsvSource({"PLAIN, true, false, none", "DORA, true, true, none", "PISSA, pissa, false, none",
            "PISSA_RANDOMISED, true, false, none", "OLORA, olora, false, none", "ORTHOGONAL, orthogonal, false, none",
            "BIAS, true, false, lora_only", "DORA_PISSA_BIAS, pissa, true, lora_only", "LORA_FA, true, false, none"})
    void configurationSpeaksPeftsWords(Variants variant, String init, boolean dora, String bias) throws IOException {
        LoRAAdapter.of(tuned(variant)).save(folder);

        JsonNode json = new ObjectMapper().readTree(folder.resolve("adapter_config.json").toFile());

        assertThat(json.get("init_lora_weights").asText()).isEqualTo(init);
        assertThat(json.get("init_lora_weights").isBoolean()).isEqualTo(init.equals("true"));
        assertThat(json.get("use_dora").booleanValue()).isEqualTo(dora);
        assertThat(json.get("bias").asText()).isEqualTo(bias);
    }

    @Test
    void tensorsHavePeftsNamesAndShapes() throws IOException {
        LoRAAdapter.of(tuned(Variants.DORA_PISSA_BIAS)).save(folder);

        AdapterFiles.Tensors file = AdapterFiles.open(folder.resolve("adapter_model.safetensors"));

        assertThat(file.names()).filteredOn(name -> name.contains("fc1")).containsExactlyInAnyOrder(
                "base_model.model.fc1.lora_A.weight", "base_model.model.fc1.lora_B.weight",
                "base_model.model.fc1.lora_magnitude_vector", "base_model.model.fc1.base_layer.bias",
                "base_model.model.fc1.initial_A.weight", "base_model.model.fc1.initial_B.weight");
        assertThat(file.shape("base_model.model.fc1.lora_magnitude_vector")).containsExactly(Networks.HIDDEN);
        assertThat(file.shape("base_model.model.fc1.base_layer.bias")).containsExactly(Networks.HIDDEN);
    }

    @ParameterizedTest
    @EnumSource(names = {"PISSA", "OLORA", "PISSA_RANDOMISED", "LORA_FA_OLORA_BIAS"})
    void startThatWasTakenFromWBecomesAPlainAdapterOfTwiceTheRank(Variants variant) throws IOException {
        for (Scaling scaling : Scaling.values()) {
            ComputationGraph tuned = Variants.disturb(LoRA.apply(base, variant.config().scaling(scaling).build()));

            LoRAAdapter plain = LoRAAdapter.of(tuned).toPlainLoRA();
            plain.save(folder);
            LoRAConfig config = LoRAAdapter.load(folder).config();

            assertThat(config.rank()).isEqualTo(4);
            assertThat(config.loraInit()).isEqualTo(LoRAInit.KAIMING_UNIFORM);
            assertThat(Networks.difference(LoRA.apply(base, LoRAAdapter.load(folder))
                    .outputSingle(INPUT), tuned.outputSingle(INPUT)))
                    .isLessThan(1e-12);
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"PISSA", "OLORA", "LORA_FA", "ORTHOGONAL"})
    void deltaWeightIsWhatAMergeAdds(Variants variant) {
        ComputationGraph tuned = tuned(variant);
        LoRAAdapter adapter = LoRAAdapter.of(tuned);
        INDArray added = LoRA.merge(tuned).getParam("fc1_W").sub(base.getParam("fc1_W"));

        assertThat(Networks.difference(adapter.deltaWeight("fc1"), added)).isLessThan(1e-12);
        assertThat(adapter.norm("fc1")).isCloseTo(added.norm2Number().doubleValue(),
                org.assertj.core.api.Assertions.within(1e-10));
        assertThat(adapter.compress(1).adapter().config().rank()).isEqualTo(1);
    }

    @Test
    void freshStartThatWasTakenFromWChangesNothing() {
        LoRAAdapter fresh = LoRAAdapter.of(LoRA.apply(base, Variants.PISSA.config().build()));

        assertThat(fresh.norm("fc1")).isLessThan(1e-12);
        assertThat(fresh.deltaWeight("fc1").amaxNumber().doubleValue()).isLessThan(1e-12);
    }

    @Test
    void adaptersOfAllStartsCombine() {
        LoRAAdapter pissa = LoRAAdapter.of(tuned(Variants.PISSA));
        LoRAAdapter plain = LoRAAdapter.of(tuned(Variants.PLAIN));

        LoRAAdapter both = LoRAAdapter.combine(Combination.Method.CAT).add(pissa, 0.5).add(plain, 2).build();

        INDArray expected = pissa.deltaWeight("fc1").mul(0.5).add(plain.deltaWeight("fc1").mul(2));
        assertThat(Networks.difference(both.deltaWeight("fc1"), expected)).isLessThan(1e-12);
        assertThat(both.config().rank()).isEqualTo(6);
    }

    @ParameterizedTest
    @EnumSource(Combination.Method.class)
    void theProductsThatAStartFromWIsADifferenceOfAreNotPrunedEachForItself(Combination.Method method) {
        LoRAAdapter pissa = LoRAAdapter.of(tuned(Variants.PISSA));
        Combination combination = LoRAAdapter.combine(method).add(pissa, 1);
        if (!method.needsDensity()) {
            assertThat(Networks.difference(combination.build().deltaWeight("fc1"), pissa.deltaWeight("fc1"))).isLessThan(1e-12);
        } else if (method.takesRank()) {
            assertThat(Networks.difference(combination.density(1).build().deltaWeight("fc1"), pissa.deltaWeight("fc1")))
                    .isLessThan(1e-12);
        } else {
            assertThatThrownBy(combination.density(1)::build).isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContainingAll("\"fc1\": adapter 1 started from a part of W", "PISSA", method + "_SVD");
        }
    }

    @Test
    void nothingButTheBiasComesFromTheAdapterThatBroughtIt() {
        LoRAAdapter biased = LoRAAdapter.of(tuned(Variants.LORA_FA_OLORA_BIAS));
        Delta plain = LoRAAdapter.of(tuned(Variants.PLAIN)).content().delta("fc1");
        Map<String, Delta> unnamed = new LinkedHashMap<>();
        biased.content().deltas().forEach((layer, delta) -> unnamed.put(layer, new Delta(delta.a(), delta.b(), delta.alpha(),
                delta.scaling(), null, delta.layout(), delta.more(), delta.kind(), null)));

        LoRAAdapter both = LoRAAdapter.combine(Combination.Method.CAT).add(Adapters.adapter(unnamed, Map.of(), 0), 1)
                .add(LoRAAdapter.of(tuned(Variants.PLAIN)), 1).build();

        Delta combined = both.content().delta("fc1");
        assertThat(combined.kind()).isEqualTo(plain.kind());
        assertThat(combined.baseId()).isNotNull().isEqualTo(plain.baseId());
        assertThat(combined.more()).containsOnlyKeys("b");
    }

    @Test
    void oneAdapterMayBringBiasesIntoACombination() {
        LoRAAdapter biased = LoRAAdapter.of(tuned(Variants.BIAS));
        LoRAAdapter plain = LoRAAdapter.of(tuned(Variants.PLAIN));

        LoRAAdapter both = LoRAAdapter.combine(Combination.Method.CAT).add(plain, 1).add(biased, 1).build();

        assertThat(both.config().bias()).isEqualTo(BiasTraining.LORA_ONLY);
        assertThat(LoRA.apply(base, both).getParam("fc1_b")).isEqualTo(tuned(Variants.BIAS).getParam("fc1_b"));
        assertThatThrownBy(() -> LoRAAdapter.combine(Combination.Method.CAT).add(biased, 1).add(biased, 1).build())
                .isInstanceOf(IllegalArgumentException.class).hasMessageContainingAll("fc1", "bias was trained by 2");
    }

    @Test
    void whatHasNoMeaningForDoraIsRefusedByName() {
        LoRAAdapter dora = LoRAAdapter.of(tuned(Variants.DORA));

        assertThatThrownBy(() -> dora.deltaWeight("fc1")).hasMessageContainingAll("fc1", "deltaWeight", "DoRA", "LoRA.merge");
        assertThatThrownBy(() -> dora.norm("fc1")).hasMessageContainingAll("norm", "DoRA");
        assertThatThrownBy(() -> dora.spectrum("fc1")).hasMessageContainingAll("spectrum", "DoRA");
        assertThatThrownBy(() -> dora.compress(1)).hasMessageContainingAll("compress", "DoRA");
        assertThatThrownBy(() -> LoRAAdapter.combine(Combination.Method.CAT).add(dora, 1).build())
                .hasMessageContainingAll("combining", "DoRA");
        assertThatThrownBy(() -> LoRAAdapter.of(tuned(Variants.DORA_PISSA_BIAS)).toPlainLoRA())
                .hasMessageContainingAll("toPlainLoRA", "DoRA");
        try (AdapterBank bank = new AdapterBank(base)) {
            bank.add("d", dora);
            bank.add("b", LoRAAdapter.of(tuned(Variants.BIAS)));
            INDArray x = Networks.random(DataType.DOUBLE, 1, 2, Networks.IN);
            assertThatThrownBy(() -> bank.output(AdapterMix.of("d", 0.5), x)).hasMessageContainingAll("\"d\"", "DoRA", "alone");
            assertThatThrownBy(() -> bank.output(AdapterMix.of("b").plus("d", 1), x))
                    .hasMessageContainingAll("\"b\"", "trained biases", "alone");
        }
    }

    @Test
    void bankServesStartsThatWereTakenFromWBesidePlainOnesOnOneWholeBase() {
        ComputationGraph pissa = tuned(Variants.PISSA);
        ComputationGraph frozenA = tuned(Variants.LORA_FA);
        try (AdapterBank bank = new AdapterBank(base)) {
            bank.add("pissa", LoRAAdapter.of(pissa));
            bank.add("frozen a", LoRAAdapter.of(frozenA));

            INDArray mixed = bank.output(new String[] {"pissa", "frozen a", "pissa", "frozen a", "pissa"}, INPUT);

            assertThat(Networks.difference(mixed.getRow(2), pissa.outputSingle(INPUT).getRow(2))).isLessThan(1e-12);
            assertThat(Networks.difference(mixed.getRow(3), frozenA.outputSingle(INPUT).getRow(3))).isLessThan(1e-12);
        }
    }

    @Test
    void adapterOfAnotherKindIsRefused() {
        LoRAAdapter plain = LoRAAdapter.of(tuned(Variants.PLAIN));
        for (Variants variant : new Variants[] {Variants.DORA, Variants.PISSA, Variants.BIAS}) {
            ComputationGraph network = LoRA.apply(base, variant.config().build());
            double[] before = Models.params(network);
            assertThatThrownBy(() -> plain.applyTo(network)).isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContainingAll("fc1", "[A, B]", "LoRA.apply(base, adapter)");
            assertThat(Models.params(network)).isEqualTo(before);
        }
        assertThatThrownBy(() -> LoRAAdapter.of(tuned(Variants.PISSA)).applyTo(tuned(Variants.PLAIN)))
                .hasMessageContainingAll("started from a part of W", "toPlainLoRA()");
        // What is computed is the same, whether A trains or not.
        ComputationGraph frozenA = LoRA.apply(base, Variants.LORA_FA.config().build());
        plain.applyTo(frozenA);
        assertThat(outputs(frozenA)).isEqualTo(outputs(tuned(Variants.PLAIN)));
    }

    /** As PEFT writes a PiSSA or OLoRA adapter: without its start, which the reader computes from the base. */
    @ParameterizedTest
    @EnumSource(names = {"PISSA", "OLORA", "PISSA_RANDOMISED"})
    void filesWithoutTheirStartComputeItFromTheBase(Variants variant) throws IOException {
        ComputationGraph tuned = tuned(variant);
        Map<String, Delta> withoutStart = new LinkedHashMap<>();
        LoRAAdapter.of(tuned).content().deltas().forEach((layer, delta) -> withoutStart.put(layer, new Delta(delta.a(), delta.b(),
                delta.alpha(), delta.scaling(), delta.baseId(), delta.layout(), Map.of(), delta.kind(), null)));
        Adapters.adapter(withoutStart, Map.of(), 0).save(folder);
        assertThat(AdapterFiles.open(folder.resolve("adapter_model.safetensors")).names()).hasSize(4);

        LoRAAdapter loaded = LoRAAdapter.load(folder);

        assertThat(AdapterFiles.config(folder).path("init_lora_weights").asText()).isEqualTo(switch (variant) {
            case PISSA -> "pissa";
            case OLORA -> "olora";
            default -> "pissa_niter_4";
        });
        assertThat(Networks.difference(LoRA.apply(base, loaded).outputSingle(INPUT), tuned.outputSingle(INPUT)))
                .isLessThan(1e-12);
        assertThatThrownBy(() -> loaded.deltaWeight("fc1")).hasMessageContainingAll("fc1", variant.config().build().loraInit()
                .name(), "LoRAAdapter.of");
        ComputationGraph otherFactor = LoRA.apply(base, variant.config().alpha(7).build());
        loaded.applyTo(otherFactor);
        assertThat(Networks.difference(otherFactor.outputSingle(INPUT), tuned.outputSingle(INPUT))).isLessThan(1e-12);
    }

    private LoRAAdapter withoutStart(LoRAAdapter adapter) {
        return withMore(adapter, more -> {
            more.keySet().removeAll(List.of(Variant.START_A, Variant.START_B));
            return more;
        });
    }

    private LoRAAdapter withMore(LoRAAdapter adapter, UnaryOperator<Map<String, INDArray>> change) {
        Map<String, Delta> deltas = new LinkedHashMap<>();
        adapter.content().deltas().forEach((layer, delta) ->
                deltas.put(layer, delta.withMore(change.apply(new LinkedHashMap<>(delta.more())))));
        return Adapters.adapter(deltas, Map.of(), 0);
    }

    @ParameterizedTest
    @EnumSource(names = {"PISSA", "OLORA", "PISSA_RANDOMISED", "DORA_PISSA_BIAS"})
    void banksComputeAStartThatTheFileLacks(Variants variant) {
        ComputationGraph tuned = tuned(variant);
        LoRAAdapter withoutStart = withoutStart(LoRAAdapter.of(tuned));
        try (AdapterBank bank = new AdapterBank(base)) {
            bank.add("whole", LoRAAdapter.of(tuned));
            bank.add("without", withoutStart);

            assertThat(Networks.difference(bank.output("without", INPUT), tuned.outputSingle(INPUT))).isLessThan(1e-12);
            assertThat(Networks.difference(bank.output("whole", INPUT), tuned.outputSingle(INPUT))).isLessThan(1e-12);
        }
    }

    @ParameterizedTest
    @CsvSource({"DORA, m, 1", "BIAS, b, 3", "PISSA, A0, 6", "PISSA, B0, 2", "OLORA, B0, 5"})
    void banksRefusePartsOfAnotherShape(Variants variant, String part, int columns) {
        LoRAAdapter misshapen = withMore(LoRAAdapter.of(tuned(variant)), more -> {
            more.put(part, Networks.random(DataType.DOUBLE, 3, 1, columns));
            return more;
        });
        try (AdapterBank bank = new AdapterBank(base)) {
            assertThatThrownBy(() -> bank.check("misshapen", misshapen)).isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContainingAll("misshapen", "Layer \"fc1\": the adapter's " + part + " has shape [1, " + columns
                            + "]");
            assertThatThrownBy(() -> bank.add("misshapen", misshapen)).isInstanceOf(IllegalArgumentException.class);
        }
    }

    /** What another adapter started from does not stay when one without a start of its own follows. */
    @ParameterizedTest
    @EnumSource(names = {"PISSA", "OLORA", "PISSA_RANDOMISED", "DORA_PISSA_BIAS"})
    void aStartThatTheFileLacksIsThatOfTheBaseWhateverWasSwappedInBefore(Variants variant) {
        ComputationGraph tuned = tuned(variant);
        LoRAAdapter withoutStart = withoutStart(LoRAAdapter.of(tuned));
        ComputationGraph otherBase = base.clone();
        otherBase.params().addi(Networks.random(DataType.DOUBLE, 6, otherBase.params().shape()));
        ComputationGraph network = LoRA.apply(base, withoutStart);

        LoRAAdapter.of(LoRA.apply(otherBase, variant.config().build())).applyTo(network, LoRAAdapter.ApplyOption.FORCE);
        withoutStart.applyTo(network);

        assertThat(Networks.difference(network.outputSingle(INPUT), tuned.outputSingle(INPUT))).isLessThan(1e-12);
    }

    @ParameterizedTest
    @EnumSource(names = {"PISSA", "OLORA"})
    void aStartOfAnotherBaseIsWrittenSoThatPeftTakesNoOther(Variants variant) throws IOException {
        ComputationGraph otherBase = base.clone();
        otherBase.params().addi(Networks.random(DataType.DOUBLE, 6, otherBase.params().shape()));
        ComputationGraph forced = LoRA.apply(otherBase, LoRAAdapter.of(tuned(variant)), LoRAAdapter.ApplyOption.FORCE);

        LoRAAdapter.of(forced).save(folder);

        assertThat(AdapterFiles.config(folder).path("init_lora_weights").isBoolean()).isTrue();
        assertThat(AdapterFiles.config(folder).path("r").asInt()).isEqualTo(4);
        LoRAAdapter loaded = LoRAAdapter.load(folder);
        assertThat(outputs(LoRA.apply(otherBase, loaded))).isEqualTo(outputs(forced));
        loaded.save(folder);
        assertThat(AdapterFiles.config(folder).path("r").asInt()).isEqualTo(4);
    }

    @ParameterizedTest
    @EnumSource(value = DataType.class, names = {"DOUBLE", "FLOAT", "HALF", "BFLOAT16"})
    void theBasesOwnStartIsOneInEveryTypeAndWhateverTheFactor(DataType type) throws IOException {
        ComputationGraph typed = base.convertDataType(type);
        for (Variants variant : List.of(Variants.PISSA, Variants.OLORA)) {
            ComputationGraph network = LoRA.apply(typed, variant.config().build());
            LoRAAdapter.of(LoRA.apply(typed, variant.config().alpha(7).build())).applyTo(network);

            LoRAAdapter.of(network).save(folder);

            assertThat(AdapterFiles.config(folder).path("init_lora_weights").asText()).isEqualToIgnoringCase(variant.name());
        }
    }

    private interface Keep {
        boolean test(String name, INDArray value);
    }

    private void rewrite(Keep keep) throws IOException {
        AdapterFiles.Tensors file = AdapterFiles.open(folder.resolve("adapter_model.safetensors"));
        Map<String, INDArray> kept = new LinkedHashMap<>();
        for (String name : file.names()) {
            if (keep.test(name, file.read(name))) {
                kept.put(name, file.read(name));
            }
        }
        AdapterFiles.write(folder.resolve("adapter_model.safetensors"), kept, Map.of("format", "pt"));
    }

    /** PEFT writes such files: it starts embeddings at random whatever the word for its linear layers is. */
    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void aStartOfLinearLayersBesideAnEmbeddingIsReadAndWritten(boolean dora) throws IOException {
        MultiLayerNetwork words = Networks.of(new NeuralNetConfiguration.Builder().seed(1).dataType(DataType.DOUBLE)
                .updater(new Sgd(0.1)).list().layer(new EmbeddingLayer.Builder().name("words").nIn(5).nOut(4).build())
                .layer(new DenseLayer.Builder().name("fc").nOut(4).build())
                .layer(new OutputLayer.Builder().name("out").nOut(2).activation(Activation.SOFTMAX).build()).build());
        MultiLayerNetwork tuned = LoRA.apply(words, LoRAConfig.builder().rank(2).targets("words", "fc")
                .variant(dora ? new DoRA() : new PlainLoRA()).loraInit(LoRAInit.PISSA)
                .override("words", o -> o.loraInit(LoRAInit.KAIMING_UNIFORM)).build());
        tuned.params().addi(Networks.random(DataType.DOUBLE, 4, tuned.params().shape()).muli(0.3));
        LoRAAdapter.of(tuned).save(folder);
        assertThat(AdapterFiles.config(folder).path("init_lora_weights").asText()).isEqualTo("pissa");
        computesTheSame(words, LoRAAdapter.load(folder), tuned);
        rewrite((name, value) -> !name.contains("initial_"));
        Path config = folder.resolve("adapter_config.json");
        Files.writeString(config, Files.readString(config).replace("+dl4jlora.", "+other."));

        LoRAAdapter peft = LoRAAdapter.load(folder);

        Path again = folder.resolve("again");
        peft.save(again);
        computesTheSame(words, LoRAAdapter.load(again), tuned);
        LoRAAdapter.of(LoRA.apply(words, peft)).save(again);
        computesTheSame(words, LoRAAdapter.load(again), tuned);
    }

    private static void computesTheSame(MultiLayerNetwork base, LoRAAdapter adapter, MultiLayerNetwork tuned) {
        INDArray words = Nd4j.createFromArray(0.0, 3.0, 4.0).reshape(3, 1);
        assertThat(Networks.difference(LoRA.apply(base, adapter).output(words), tuned.output(words))).isLessThan(1e-12);
    }

    @Test
    void missingAndSurplusPartsAreNamed() throws IOException {
        LoRAAdapter.of(tuned(Variants.DORA)).save(folder);
        rewrite((name, value) -> !name.equals("base_model.model.fc2.lora_magnitude_vector"));
        assertThatThrownBy(() -> LoRAAdapter.load(folder)).isInstanceOf(AdapterFormatException.class)
                .hasMessageContaining("missing tensors [base_model.model.fc2.lora_magnitude_vector]");

        LoRAAdapter.of(tuned(Variants.DORA)).save(folder);
        rewrite((name, value) -> true);
        Path config = folder.resolve("adapter_config.json");
        Files.writeString(config, Files.readString(config).replace("\"use_dora\" : true", "\"use_dora\" : false"));
        assertThatThrownBy(() -> LoRAAdapter.load(folder))
                .hasMessageContaining("The tensors [base_model.model.fc1.lora_magnitude_vector")
                .hasMessageContaining("their use is neither known here");
        assertThatThrownBy(() -> LoRAAdapter.loader().strict(false).load(folder))
                .hasMessageContaining("their use is neither known here");
    }

    @ParameterizedTest
    @ValueSource(strings = {"loftq", "corda", "pissa_niter_many", "lora_ga"})
    void startsThatCannotBeHadAgainAreRefusedByName(String init) throws IOException {
        LoRAAdapter.of(tuned(Variants.OLORA)).save(folder);
        rewrite((name, value) -> true);
        Path config = folder.resolve("adapter_config.json");
        Files.writeString(config, Files.readString(config).replace("\"olora\"", "\"" + init + "\""));

        assertThatThrownBy(() -> LoRAAdapter.load(folder)).isInstanceOf(AdapterFormatException.class)
                .hasMessageContainingAll("init_lora_weights", init);
    }

    @Test
    void biasesWithoutBaseLayerInTheirNamesAreReadToo() throws IOException {
        ComputationGraph tuned = tuned(Variants.BIAS);
        LoRAAdapter.of(tuned).save(folder);
        AdapterFiles.Tensors file = AdapterFiles.open(folder.resolve("adapter_model.safetensors"));
        Map<String, INDArray> renamed = new LinkedHashMap<>();
        for (String name : file.names()) {
            renamed.put(name.replace("base_layer.", ""), file.read(name));
        }
        AdapterFiles.write(folder.resolve("adapter_model.safetensors"), renamed, Map.of("format", "pt"));

        assertThat(Networks.difference(LoRA.apply(base, LoRAAdapter.load(folder)).outputSingle(INPUT), tuned.outputSingle(INPUT)))
                .isLessThan(1e-12);
    }

    @Test
    void variantOfTheLayerIsReadFromTheFileNotGuessed() throws IOException {
        LoRAAdapter.of(tuned(Variants.DORA)).save(folder);
        assertThat(LoRAAdapter.load(folder).config().variant()).isEqualTo(new DoRA());
        LoRAAdapter.of(tuned(Variants.PLAIN)).save(folder);
        assertThat(LoRAAdapter.load(folder).config().variant()).isEqualTo(new PlainLoRA());
    }

    @ParameterizedTest
    @CsvSource({"true, did not start from W", "\"pissa_niter_2000000000\", at most 1000 iterations"})
    void aStartThatContradictsTheFileOrNeverEndsIsRefused(String init, String message) throws IOException {
        LoRAAdapter.of(tuned(Variants.PISSA)).save(folder);
        Path config = folder.resolve("adapter_config.json");
        Files.writeString(config, Files.readString(config).replace("\"pissa\"", init));

        assertThatThrownBy(() -> LoRAAdapter.load(folder)).isInstanceOf(AdapterFormatException.class)
                .hasMessageContaining(message);
    }
}
