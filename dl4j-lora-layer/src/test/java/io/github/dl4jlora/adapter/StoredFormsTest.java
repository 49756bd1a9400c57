package io.github.dl4jlora.adapter;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.LogCapture;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.adapter.LoRAAdapter.ApplyOption;
import io.github.dl4jlora.bank.AdapterBank;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.LoRAInit;
import io.github.dl4jlora.conf.LoRASettings;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.internal.adapted.AdaptedConfiguration;
import io.github.dl4jlora.internal.base.FrozenWeightsRegistry;
import io.github.dl4jlora.internal.content.Delta;
import io.github.dl4jlora.internal.content.Kind;
import io.github.dl4jlora.variant.DoRA;
import io.github.dl4jlora.variant.PlainLoRA;
import io.github.dl4jlora.variant.Variant;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;

import java.io.IOException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

/** Adapters and the ways in which their base is kept. */
class StoredFormsTest {

    private static final DataSet DATA = Networks.data(DataType.FLOAT, 16, 5);

    private final MultiLayerNetwork base = Networks.trainedLayers();

    private MultiLayerNetwork tuned(Quantization scheme) {
        MultiLayerNetwork tuned = LoRA.apply(base, LoRAConfig.builder().rank(2).quantize(scheme).build());
        tuned.fit(DATA);
        return tuned;
    }

    @Test
    void theBaseIsTheOriginalWhicheverWayItIsKept() {
        LoRAAdapter onFloats = LoRAAdapter.of(tuned(null));
        LoRAAdapter onBytes = LoRAAdapter.of(tuned(Quantization.INT8));

        assertThat(onBytes.baseId("fc1")).isEqualTo(onFloats.baseId("fc1"));
        assertThat(onBytes.storedAs("fc1")).hasValue("INT8");
        assertThat(onFloats.storedAs("fc1")).hasValue("FLOAT");
        assertThat(onBytes.relativeNorm("fc1", LoRA.freeze(base, Quantization.INT8)))
                .isCloseTo(onBytes.relativeNorm("fc1", base), within(1e-2));
    }

    @Test
    void anAdapterTellsHowEachLayerWasAdapted(@TempDir Path folder) throws IOException {
        MultiLayerNetwork tuned = LoRA.apply(base, LoRAConfig.builder().rank(4).alpha(16).scaling(Scaling.ALPHA_OVER_RANK)
                .loraDropout(0.25).override("fc2", o -> o.rank(2).alpha(6).variant(new DoRA())).build());
        tuned.fit(DATA);
        LoRA.save(tuned, folder.resolve("network.zip"), false);

        LoRAAdapter adapter = LoRAAdapter.of(LoRA.loadMultiLayerNetwork(folder.resolve("network.zip")));

        assertThat(adapter.settings("fc1")).isEqualTo(LoRASettings.builder().rank(4).alpha(16).scaling(Scaling.ALPHA_OVER_RANK)
                .loraDropout(0.25).build());
        assertThat(adapter.settings("fc1").factor()).isEqualTo(4);
        assertThat(adapter.settings("fc2").variant()).isEqualTo(new DoRA());
        assertThat(adapter.settings("fc2").factor()).isEqualTo(3);
        assertThatThrownBy(() -> adapter.settings("fc9")).isInstanceOf(NoSuchElementException.class).hasMessageContaining("fc9");
        assertThatThrownBy(() -> adapter.storedAs("fc9")).isInstanceOf(NoSuchElementException.class);
    }

    @Test
    void anotherFormIsWarnedOfOnceNamingTheFirstLayerAndBoth() {
        MultiLayerNetwork onFours = tuned(Quantization.NF4);
        LoRAAdapter adapter = LoRAAdapter.of(onFours);
        try (LogCapture log = new LogCapture(LoRAAdapter.class)) {
            adapter.applyTo(onFours);
            LoRA.apply(LoRA.freeze(base, Quantization.NF4), adapter);
            assertThat(log.messages()).isEmpty();

            MultiLayerNetwork onFloats = LoRA.apply(base, adapter);

            assertThat(log.messages()).singleElement().asString().contains("\"fc1\"", "NF4", "FLOAT", "STRICT")
                    .doesNotContain("fc2");
            assertThat(LoRAAdapter.of(onFloats).deltaWeight("fc1")).isEqualTo(adapter.deltaWeight("fc1"));
        }
        try (LogCapture log = new LogCapture(LoRAAdapter.class)) {
            LoRAAdapter.of(tuned(null)).applyTo(onFours);
            assertThat(log.messages()).singleElement().asString().contains("\"fc1\"", "kept as FLOAT", "keeps it as NF4");
        }
    }

    @Test
    void aBankWarnsOfAnotherFormWhenAnAdapterIsAdded() {
        LoRAAdapter adapter = LoRAAdapter.of(tuned(Quantization.INT8));
        try (AdapterBank bank = new AdapterBank(base, 1); LogCapture log = new LogCapture(LoRAAdapter.class)) {
            bank.add("task", adapter);
            bank.output("task", DATA.getFeatures());

            assertThat(log.messages()).singleElement().asString().contains("\"fc1\"", "INT8", "FLOAT");
        }
    }

    @Test
    void strictRefusesAnotherFormAndChangesNothing() {
        LoRAAdapter adapter = LoRAAdapter.of(tuned(Quantization.INT8));
        MultiLayerNetwork onFours = tuned(Quantization.NF4);
        INDArray before = onFours.params().dup();

        assertThatThrownBy(() -> adapter.applyTo(onFours, ApplyOption.STRICT)).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContainingAll("\"fc1\"", "kept as INT8", "keeps it as NF4", "Give the network its base as INT8");
        assertThat(onFours.params()).isEqualTo(before);
        adapter.applyTo(tuned(Quantization.INT8), ApplyOption.STRICT);
    }

    @Test
    void filesCarryTheFormAndOldOnesLackItWithoutAWarning(@TempDir Path folder) throws IOException {
        LoRAAdapter adapter = LoRAAdapter.of(tuned(Quantization.INT8));
        adapter.save(folder);
        assertThat(LoRAAdapter.load(folder).content().delta("fc2").storedAs()).isEqualTo("INT8");

        AdapterFiles.Tensors file = AdapterFiles.open(folder.resolve(AdapterFiles.TENSORS));
        Map<String, String> metadata = new LinkedHashMap<>(file.metadata());
        metadata.keySet().removeIf(key -> key.startsWith("dl4j_lora.stored."));
        AdapterFiles.write(folder.resolve(AdapterFiles.TENSORS), file.values(), metadata);
        LoRAAdapter old = LoRAAdapter.load(folder);

        assertThat(old.storedAs("fc1")).isEmpty();
        try (LogCapture log = new LogCapture(LoRAAdapter.class)) {
            old.applyTo(LoRA.apply(base, old.config()), ApplyOption.STRICT);
            assertThat(log.messages()).isEmpty();
        }
    }

    @Test
    void algebraKeepsAFormThatAllShareAndForgetsMixedOnes() {
        LoRAAdapter onBytes = LoRAAdapter.of(tuned(Quantization.INT8));
        LoRAAdapter onFloats = LoRAAdapter.of(tuned(null));

        assertThat(combined(onBytes, onBytes).storedAs()).isEqualTo("INT8");
        assertThat(combined(onBytes, onFloats).storedAs()).isNull();
        assertThat(combined(onBytes, onFloats).baseId()).isEqualTo(onFloats.content().delta("fc1").baseId());
        assertThat(onBytes.compress(1).adapter().content().delta("fc1").storedAs()).isEqualTo("INT8");
    }

    private LoRAAdapter started(LoRAInit init, Variant variant) {
        MultiLayerNetwork tuned = LoRA.apply(base, LoRAConfig.builder().rank(2).quantize(Quantization.NF4).loraInit(init)
                .variant(variant).build());
        tuned.fit(DATA);
        return LoRAAdapter.of(tuned);
    }

    private static INDArray output(MultiLayerNetwork network) {
        return network.output(DATA.getFeatures());
    }

    /** PEFT would take another start from the base that it has. */
    @ParameterizedTest
    @EnumSource(names = {"PISSA", "OLORA"})
    void aStartThatWasTakenFromFewerBitsIsInTheWrittenMatrices(LoRAInit init, @TempDir Path folder) throws IOException {
        LoRAAdapter adapter = started(init, new PlainLoRA());
        for (LoRAAdapter saved : List.of(adapter, LoRAAdapter.of(LoRA.apply(base, adapter)))) {
            saved.save(folder);

            assertThat(AdapterFiles.config(folder).path("init_lora_weights").isBoolean()).isTrue();
            AdapterFiles.Tensors file = AdapterFiles.open(folder.resolve(AdapterFiles.TENSORS));
            assertThat(file.names()).hasSize(4);
            double factor = AdapterFiles.config(folder).path("lora_alpha").asDouble() / 4;
            INDArray added = file.read("base_model.model.fc1.lora_B.weight")
                    .mmul(file.read("base_model.model.fc1.lora_A.weight")).transpose().mul(factor);
            assertThat(Networks.difference(added, adapter.deltaWeight("fc1"))).isLessThan(1e-5);
            LoRAAdapter loaded = LoRAAdapter.load(folder);
            assertThat(loaded.settings("fc1").loraInit()).isEqualTo(init);
            assertThat(loaded.rank("fc1")).isEqualTo(2);
            assertThat(output(LoRA.apply(base, loaded))).isEqualTo(output(LoRA.apply(base, adapter)));
        }
    }

    @Test
    void filesThatHoldSuchAStartBesideTheMatricesAreReadAndWrittenWithoutIt(@TempDir Path folder) throws IOException {
        LoRAAdapter adapter = started(LoRAInit.PISSA, new PlainLoRA());
        Map<String, Delta> asBefore = new LinkedHashMap<>();
        adapter.content().deltas().forEach((layer, delta) -> asBefore.put(layer, new Delta(delta.a(), delta.b(), delta.alpha(),
                delta.scaling(), delta.baseId(), delta.layout(), delta.more(), new Kind(new PlainLoRA(), LoRAInit.PISSA, 0),
                delta.storedAs())));
        Adapters.adapter(asBefore, Map.of(), 0).save(folder);
        assertThat(AdapterFiles.config(folder).path("init_lora_weights").asText()).isEqualTo("pissa");

        LoRAAdapter loaded = LoRAAdapter.load(folder);

        MultiLayerNetwork fours = LoRA.freeze(base, Quantization.NF4);
        assertThat(output(LoRA.apply(fours, loaded))).isEqualTo(output(LoRA.apply(fours, adapter)));
        loaded.save(folder);
        assertThat(AdapterFiles.config(folder).path("init_lora_weights").isBoolean()).isTrue();
    }

    @Test
    void ofDoraSuchAStartIsWrittenWithAWarning(@TempDir Path folder) throws IOException {
        LoRAAdapter adapter = started(LoRAInit.OLORA, new DoRA());

        try (LogCapture log = new LogCapture(LoRAAdapter.class)) {
            adapter.save(folder);
            assertThat(log.messages()).singleElement().asString()
                    .contains("[fc1, fc2]", "fewer bits", "PEFT takes another start");
        }
        assertThat(output(LoRA.apply(base, LoRAAdapter.load(folder)))).isEqualTo(output(LoRA.apply(base, adapter)));
    }

    /** As PEFT writes it: without its start, and without a word on its base. */
    private static LoRAAdapter ofPeft(LoRAAdapter adapter) {
        Map<String, Delta> deltas = new LinkedHashMap<>();
        adapter.content().deltas().forEach((layer, delta) -> deltas.put(layer, new Delta(delta.a(), delta.b(), delta.alpha(),
                delta.scaling(), null, delta.layout(), Map.of(), delta.kind(), null)));
        return Adapters.adapter(deltas, Map.of(), 0);
    }

    private LoRAAdapter ofPeft(LoRAInit init) {
        MultiLayerNetwork tuned = LoRA.apply(base, LoRAConfig.builder().rank(2).loraInit(init).build());
        tuned.fit(DATA);
        return ofPeft(LoRAAdapter.of(tuned));
    }

    @Test
    void aStartThatMustBeTakenFromFewerBitsIsWarnedOfAndStrictRefusesIt() {
        LoRAAdapter peft = ofPeft(LoRAInit.PISSA);
        MultiLayerNetwork fours = LoRA.freeze(base, Quantization.NF4);
        try (LogCapture log = new LogCapture(LoRAAdapter.class)) {
            LoRA.apply(base, peft, ApplyOption.STRICT);
            assertThat(log.messages()).isEmpty();
            LoRA.apply(fours, peft);
            assertThat(log.messages()).singleElement().asString().contains("[fc1, fc2]", "fewer bits", "LoRAAdapter.of",
                    "path_initial_model_for_weight_conversion", "STRICT");
        }
        try (AdapterBank bank = new AdapterBank(fours, 1); LogCapture log = new LogCapture(LoRAAdapter.class)) {
            bank.add("task", peft);
            assertThat(log.messages()).singleElement().asString().contains("[fc1, fc2]", "fewer bits");
        }
        assertThatThrownBy(() -> LoRA.apply(fours, peft, ApplyOption.STRICT)).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContainingAll("[fc1, fc2]", "fewer bits", "path_initial_model_for_weight_conversion");
    }

    @Test
    void aStartIsNotWarnedOfWhereFewerBitsLoseNothing() {
        base.params().assign(base.params().castTo(DataType.BFLOAT16).castTo(DataType.FLOAT));
        LoRAAdapter peft = ofPeft(LoRAInit.OLORA);

        MultiLayerNetwork halves = LoRA.apply(LoRA.freeze(base, Quantization.BF16), peft, ApplyOption.STRICT);

        assertThat(Networks.difference(output(halves), output(LoRA.apply(base, peft)))).isLessThan(1e-5);
    }

    @ParameterizedTest
    @EnumSource(names = {"PISSA", "OLORA"})
    void aStartThatTheFileLacksIsTakenFromTheOriginalThatIsQuantised(LoRAInit init) {
        LoRAAdapter peft = ofPeft(init);
        LoRAAdapter whole = LoRAAdapter.of(LoRA.apply(base, peft));

        MultiLayerNetwork fours = LoRA.apply(base, peft, LoRAConfig.builder().quantize(Quantization.NF4).build());

        assertThat(LoRAAdapter.of(fours).deltaWeight("fc1")).isEqualTo(whole.deltaWeight("fc1"));
        assertThat(LoRAAdapter.of(fours).storedAs("fc1")).hasValue("NF4");
    }

    private static Delta combined(LoRAAdapter one, LoRAAdapter other) {
        return LoRAAdapter.combine(Combination.Method.SVD).add(one, 0.5).add(other, 0.5).build().content().delta("fc1");
    }

    @Test
    void whatATrainedLayersBaseHeldInFewerBitsIsMadeOfTheOriginalAgain(@TempDir Path folder) throws Exception {
        Path file = folder.resolve("tuned.zip");
        Map.Entry<String, INDArray> before = idAndUnloadedOf(file);
        for (int i = 0; i < 100 && FrozenWeightsRegistry.find(before.getKey()).isPresent(); i++) {
            System.gc();
            Thread.sleep(20);
        }
        MultiLayerNetwork restored = ModelSerializer.restoreMultiLayerNetwork(file.toFile());
        assertThatThrownBy(() -> LoRA.unload(restored)).hasMessageContaining("fc1");

        LoRA.attach(restored, base);

        assertThat(LoRA.unload(restored).params()).isEqualTo(before.getValue());
    }

    /** In a frame of its own, so that nothing here has hold of the network. */
    private Map.Entry<String, INDArray> idAndUnloadedOf(Path file) throws IOException {
        MultiLayerNetwork tuned = LoRA.apply(LoRA.freeze(base, Quantization.INT8),
                LoRAConfig.builder().rank(2).trainable("out").build());
        ModelSerializer.writeModel(tuned, file.toFile(), true);
        AdaptedConfiguration first = (AdaptedConfiguration) tuned.getLayer("fc1").conf().getLayer();
        return Map.entry(first.getFrozen().getTrainedInFull().get("out").getId(), LoRA.unload(tuned).params());
    }
}
