package io.github.dl4jlora.integration;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.LoRAMerge;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.LoRAInit;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.internal.base.FrozenWeights;
import io.github.dl4jlora.internal.network.BaseValues;
import io.github.dl4jlora.report.LoRAMergeReport;
import io.github.dl4jlora.report.LoRASummary;
import io.github.dl4jlora.variant.DoRA;
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
import java.util.Locale;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

/** A network on a base in fewer bits, from apply to merge; the property suite has the other ways. */
class QuantizedBaseTest {

    private static final DataSet DATA = Networks.data(DataType.FLOAT, 16, 5);

    private final MultiLayerNetwork base = Networks.trainedLayers();

    private static LoRAConfig.Builder config(Quantization scheme) {
        return LoRAConfig.builder().rank(2).alpha(2).quantize(scheme);
    }

    private static INDArray output(MultiLayerNetwork network) {
        return network.output(DATA.getFeatures());
    }

    @ParameterizedTest
    @EnumSource(Quantization.class)
    void trainsAsOnTheRestoredValues(Quantization scheme) {
        MultiLayerNetwork tuned = LoRA.apply(base, config(scheme).build());
        MultiLayerNetwork restored = LoRA.unload(tuned);
        MultiLayerNetwork oracle = LoRA.apply(restored, config(null).build());

        assertThat(Networks.difference(output(tuned), output(restored))).isLessThan(1e-6);
        for (int i = 0; i < 5; i++) {
            tuned.fit(DATA);
            oracle.fit(DATA);
        }

        assertThat(Networks.difference(tuned.params(), oracle.params())).isLessThan(1e-4);
        assertThat(Networks.difference(output(tuned), output(oracle))).isLessThan(1e-4);
        assertThat(Networks.difference(output(LoRA.merge(tuned)), output(tuned))).isLessThan(1e-5);
        assertThat(output(LoRA.unload(tuned))).isEqualTo(output(restored));
    }

    @ParameterizedTest
    @EnumSource(Quantization.class)
    void savesAndLoads(Quantization scheme, @TempDir Path folder) throws IOException {
        MultiLayerNetwork tuned = LoRA.apply(base, config(scheme).variant(new DoRA()).build());
        tuned.fit(DATA);
        LoRA.save(tuned, folder.resolve("tuned.zip"), true);

        assertThat(output(LoRA.loadMultiLayerNetwork(folder.resolve("tuned.zip")))).isEqualTo(output(tuned));
    }

    @Test
    void theScopeWithoutAdaptersComputesTheRestoredBaseBitForBit() {
        MultiLayerNetwork tuned = LoRA.apply(base, config(Quantization.INT8).build());
        tuned.fit(DATA);

        try (LoRA.Scope scope = LoRA.disabled(tuned)) {
            assertThat(output(tuned)).isEqualTo(output(LoRA.unload(tuned)));
        }
    }

    @Test
    void loftQStartsCloserToTheOriginal() {
        LoRAConfig.Builder all = config(Quantization.NF4).rank(3).targets(".*");
        INDArray quantized = output(LoRA.apply(base, all.build()));
        INDArray started = output(LoRA.apply(base, all.loraInit(LoRAInit.LOFTQ).build()));
        INDArray original = output(base);

        assertThat(original.distance2(started)).isLessThan(0.6 * original.distance2(quantized));
    }

    @Test
    void loftQWithoutQuantisationIsRefused() {
        assertThatThrownBy(() -> LoRA.apply(base, config(null).loraInit(LoRAInit.LOFTQ).build()))
                .hasMessageContaining("fc1").hasMessageContaining("FLOAT").hasMessageContaining("quantize(Quantization.NF4)");
    }

    @Test
    void theBaseIsFreeToGo() {
        MultiLayerNetwork tuned = LoRA.apply(base, config(Quantization.INT8).trainable("out").build());
        INDArray before = output(tuned);
        base.params().muli(3);
        base.close();

        assertThat(output(tuned)).isEqualTo(before);
        tuned.fit(DATA);
        assertThat(LoRA.unload(tuned).params().length()).isPositive();
    }

    @ParameterizedTest
    @EnumSource(Quantization.class)
    void aFileIsReadLayerByLayerIntoTheSameNetwork(Quantization scheme, @TempDir Path folder) throws IOException {
        ModelSerializer.writeModel(base, folder.resolve("base.zip").toFile(), true);
        LoRAConfig config = config(scheme).trainable("out").loraInit(LoRAInit.LOFTQ).build();
        MultiLayerNetwork read = (MultiLayerNetwork) LoRA.loadQuantized(folder.resolve("base.zip"), config);
        MultiLayerNetwork applied = LoRA.apply(base, config);

        assertThat(read.params()).isEqualTo(applied.params());
        assertThat(read.getLayerWiseConfigurations().toJson()).isEqualTo(applied.getLayerWiseConfigurations().toJson());
        assertThat(output(read)).isEqualTo(output(applied));
        assertThat(output((MultiLayerNetwork) LoRA.loadQuantized(folder.resolve("base.zip"), scheme)))
                .isEqualTo(output(LoRA.freeze(base, scheme)));
    }

    @Test
    void aFrozenBaseInFewerBitsIsAdaptedAndAttachedAsItIs() {
        MultiLayerNetwork frozen = LoRA.freeze(base, Quantization.NF4);
        MultiLayerNetwork tuned = LoRA.apply(frozen, config(null).build());
        tuned.fit(DATA);
        INDArray trained = output(tuned);
        LoRA.attach(tuned, frozen);

        assertThat(output(tuned)).isEqualTo(trained);
        LoRA.attach(tuned, base);
        assertThat(output(tuned)).isEqualTo(trained);
        assertThatThrownBy(() -> LoRA.attach(LoRA.apply(base, config(Quantization.INT8).build()), frozen))
                .hasMessageContaining("fc1").hasMessageContaining("NF4").hasMessageContaining("INT8");
        assertThatThrownBy(() -> LoRA.apply(frozen, config(Quantization.INT8).build()))
                .hasMessageContaining("fc1").hasMessageContaining("NF4");
    }

    @ParameterizedTest
    @EnumSource(Quantization.class)
    void theSummaryTellsHowEachLayerIsKeptAndWhatThatLost(Quantization scheme) {
        MultiLayerNetwork tuned = LoRA.apply(base, config(scheme).targets("fc1").trainable("out").build());

        LoRASummary summary = LoRA.summary(tuned);

        assertThat(summary.rows()).extracting(LoRASummary.Row::storedAs).containsExactly(scheme.name(), scheme.name(), "FLOAT");
        LoRASummary.Row row = summary.rows().get(0);
        INDArray w = base.getLayer("fc1").getParam("W");
        INDArray lost = LoRA.unload(tuned).getLayer("fc1").getParam("W").sub(w);
        assertThat(row.error()).isCloseTo(lost.norm2Number().doubleValue() / w.norm2Number().doubleValue(), within(1e-6));
        assertThat(row.bytes()).isLessThan(4 * row.frozen());
        assertThat(summary.rows().get(2)).satisfies(trained -> {
            assertThat(trained.bytes()).isZero();
            assertThat(trained.error()).isNaN();
        });
        assertThat(summary.largestError()).hasValue(Math.max(row.error(), summary.rows().get(1).error()));
        assertThat(summary.frozenBytes()).isEqualTo(row.bytes() + summary.rows().get(1).bytes());
        assertThat(summary.toString().lines().toList().get(1)).contains(scheme.name())
                .endsWith(String.format(Locale.ROOT, "%.2f %%", 100 * row.error())).hasSizeLessThan(100);
        assertThat(LoRA.summary(LoRA.freeze(base, scheme)).rows()).extracting(LoRASummary.Row::storedAs)
                .containsOnly(scheme.name());
    }

    @Test
    void theSummaryCountsTheBytesThatAreThere() {
        MultiLayerNetwork tuned = LoRA.apply(base, config(Quantization.NF4).build());

        long kept = BaseValues.verified(tuned).values().stream().mapToLong(FrozenWeights::bytes).sum();

        assertThat(LoRA.summary(tuned).frozenBytes()).isEqualTo(kept);
        assertThat(LoRA.summary(LoRA.apply(base, config(null).build())).frozenBytes()).isEqualTo(4 * base.numParams());
    }

    @ParameterizedTest
    @EnumSource(Quantization.class)
    void theMergeReportComparesWithTheOriginalBase(Quantization scheme) {
        MultiLayerNetwork tuned = LoRA.apply(base, config(scheme).build());
        tuned.fit(DATA);

        LoRAMergeReport report = LoRA.merging(tuned).layers("fc2").against(base).report();

        assertThat(report.rows()).singleElement().satisfies(row -> assertThat(row.baseError())
                .isCloseTo(LoRA.summary(tuned).rows().get(1).error(), within(1e-6)));
        assertThat(report.toString().lines().toList().get(0)).endsWith("base error");
        LoRAMergeReport alone = LoRA.merging(tuned).report();
        assertThat(alone.rows()).extracting(LoRAMergeReport.Row::baseError).containsOnly(Double.NaN);
        assertThat(alone.toString()).doesNotContain("base error", "NaN");
        assertThat(LoRA.merging(LoRA.apply(base, config(null).build())).against(base).report().rows())
                .extracting(LoRAMergeReport.Row::baseError).containsOnly(0.0);
    }

    @Test
    void theMergeReportRefusesAnotherBaseByLayer() {
        LoRAMerge<MultiLayerNetwork> merge = LoRA.merging(LoRA.apply(base, config(Quantization.INT8).build()));
        MultiLayerNetwork other = base.clone();
        other.getLayer("out").getParam("W").addi(0.5);

        assertThatThrownBy(() -> merge.against(other).report()).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContainingAll("\"out\"", "against(...)", "Give the original base");
        assertThatThrownBy(() -> merge.against(LoRA.freeze(base, Quantization.INT8)).report())
                .hasMessageContainingAll("\"fc1\"", "keeps it as INT8");
        assertThatThrownBy(() -> merge.against(null)).hasMessageContaining("do not call against(...)");
    }
}
