package io.github.dl4jlora.adapter;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.LogCapture;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.LoRAInit;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.internal.content.Delta;
import io.github.dl4jlora.internal.content.Kind;
import io.github.dl4jlora.internal.content.TensorLayout;
import io.github.dl4jlora.variant.DoRA;
import io.github.dl4jlora.variant.FrozenALoRA;
import io.github.dl4jlora.variant.PlainLoRA;
import io.github.dl4jlora.variant.Variant;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Sgd;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** Layers of several kinds in one network, whose file PEFT reads as of one kind. */
class MixedKindsTest {

    @TempDir
    private Path folder;
    private final ComputationGraph base = Networks.trainedGraph(DataType.DOUBLE);
    private final INDArray x = Networks.random(DataType.DOUBLE, 5, 4, Networks.IN);

    private ComputationGraph tuned(LoRAConfig.Builder config) {
        ComputationGraph tuned = LoRA.apply(base, config.rank(2).alpha(3).scaling(Scaling.ALPHA_OVER_RANK).build());
        Networks.randomizeAdapters(tuned.paramTable(), 3);
        return tuned;
    }

    private static LoRAConfig.Builder with(Consumer<LoRAConfig.LayerOverride.Builder> fc2) {
        return LoRAConfig.builder().override("fc2", fc2);
    }

    private static double difference(INDArray a, INDArray b) {
        return Networks.difference(a, b);
    }

    private void comesBack(ComputationGraph tuned) throws IOException {
        LoRAAdapter.of(tuned).save(folder);
        LoRAAdapter loaded = LoRAAdapter.load(folder);
        ComputationGraph again = LoRA.apply(base, loaded);
        assertThat(difference(again.outputSingle(x), tuned.outputSingle(x))).isLessThan(1e-10);
        loaded.applyTo(tuned);
        assertThat(difference(again.outputSingle(x), tuned.outputSingle(x))).isLessThan(1e-10);
        assertThat(LoRAAdapter.of(again).config().toString()).isEqualTo(LoRAAdapter.of(tuned).config().toString());
    }

    /** PEFT's formula of a file without start: W + lora_alpha/r·B·A, here of what it finds. */
    private void peftComputesTheSame(ComputationGraph tuned) throws IOException {
        assertThat(AdapterFiles.config(folder).path("init_lora_weights").asBoolean()).isTrue();
        assertThat(AdapterFiles.config(folder).path("use_dora").asBoolean()).isFalse();
        AdapterFiles.Tensors file = AdapterFiles.open(folder.resolve(AdapterFiles.TENSORS));
        for (String layer : new String[] {"fc1", "fc2"}) {
            INDArray a = file.read("base_model.model." + layer + ".lora_A.weight");
            INDArray b = file.read("base_model.model." + layer + ".lora_B.weight");
            double rank = AdapterFiles.config(folder).path("rank_pattern").path(layer)
                    .asDouble(AdapterFiles.config(folder).path("r").asDouble());
            double alpha = AdapterFiles.config(folder).path("alpha_pattern").path(layer)
                    .asDouble(AdapterFiles.config(folder).path("lora_alpha").asDouble());
            assertThat((double) a.size(0)).isEqualTo(rank);
            INDArray merged = Models.merge(tuned).paramTable().get(layer + "_W");
            INDArray expected = base.getParam(layer + "_W").add(b.mmul(a).transpose().mul(alpha / rank));
            assertThat(difference(merged, expected)).as(layer).isLessThan(1e-10);
        }
    }

    @Test
    void aStartTakenFromWBesideARandomOne() throws IOException {
        ComputationGraph tuned = tuned(with(o -> o.loraInit(LoRAInit.PISSA)));

        comesBack(tuned);
        peftComputesTheSame(tuned);
    }

    @Test
    void twoStartsTakenFromW() throws IOException {
        ComputationGraph tuned = tuned(with(o -> o.loraInit(LoRAInit.PISSA).pissaIterations(3)).loraInit(LoRAInit.OLORA));

        comesBack(tuned);
        peftComputesTheSame(tuned);
    }

    @Test
    void aStartThatPeftWouldDrawAnew() throws IOException {
        ComputationGraph tuned = tuned(LoRAConfig.builder().loraInit(LoRAInit.PISSA).pissaIterations(2));

        comesBack(tuned);
        peftComputesTheSame(tuned);
    }

    @Test
    void aStartTakenFromWBesideAFrozenA() throws IOException {
        ComputationGraph tuned = tuned(with(o -> o.loraInit(LoRAInit.OLORA)).override("fc1", o -> o.variant(new FrozenALoRA())));

        comesBack(tuned);
        peftComputesTheSame(tuned);
    }

    @Test
    void randomStartsOfSeveralKinds() throws IOException {
        ComputationGraph tuned = tuned(with(o -> o.loraInit(LoRAInit.GAUSSIAN)).loraInit(LoRAInit.ORTHOGONAL));

        comesBack(tuned);
        peftComputesTheSame(tuned);
    }

    @Test
    void doraBesideOthersHasNoFile() {
        ComputationGraph tuned = tuned(with(o -> o.variant(new DoRA())));

        assertThatThrownBy(() -> LoRAAdapter.of(tuned).save(folder)).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("[fc2] are DoRA, but [fc1] are not").hasMessageContaining("LoRA.save");
        assertThat(folder).isEmptyDirectory();
        assertThat(difference(LoRA.apply(base, LoRAAdapter.of(tuned)).outputSingle(x), tuned.outputSingle(x))).isLessThan(1e-10);
    }

    /** DoRA has no plain form that includes the start, and PEFT's own randomised start would be another one. */
    @Test
    void doraWithARandomisedStartIsWrittenWithAWarning() throws IOException {
        ComputationGraph randomised = tuned(LoRAConfig.builder().variant(new DoRA()).loraInit(LoRAInit.PISSA).pissaIterations(4));
        ComputationGraph exact = tuned(LoRAConfig.builder().variant(new DoRA()).loraInit(LoRAInit.PISSA));

        try (LogCapture log = new LogCapture(LoRAAdapter.class)) {
            LoRAAdapter.of(exact).save(folder);
            assertThat(log.messages()).isEmpty();
            LoRAAdapter.of(randomised).save(folder);
            assertThat(log.messages()).singleElement().asString()
                    .contains("[fc1, fc2]", "PEFT takes another start", "pissaIterations(0)");
        }
        ComputationGraph again = LoRA.apply(base, LoRAAdapter.load(folder));
        assertThat(difference(again.outputSingle(x), randomised.outputSingle(x))).isZero();
    }

    @Test
    void alphaComesBackFromThePlainFormAsItWas() {
        for (Scaling scaling : List.of(Scaling.ALPHA, Scaling.ALPHA_OVER_RANK)) {
            for (int rank = 1; rank <= 12; rank++) {
                INDArray a = Nd4j.ones(12, rank);
                INDArray b = Nd4j.ones(rank, 12);
                for (int alpha = 1; alpha <= 32; alpha++) {
                    Delta delta = new Delta(a, b, alpha, scaling, null, TensorLayout.LINEAR,
                            Map.of(Variant.START_A, a, Variant.START_B, b), new Kind(new PlainLoRA(), LoRAInit.PISSA, 4), null);
                    Delta plain = delta.plain("fc1", "this test");
                    assertThat(plain.factor()).isEqualTo(delta.factor());
                    assertThat(plain.split(delta.kind()).alpha()).isEqualTo(alpha);
                }
            }
        }
    }

    @Test
    void anAdapterIsSwappedOnlyIntoOneOfItsStart() {
        ComputationGraph pissa = tuned(LoRAConfig.builder().loraInit(LoRAInit.PISSA));
        ComputationGraph olora = tuned(LoRAConfig.builder().loraInit(LoRAInit.OLORA));
        ComputationGraph randomised = tuned(LoRAConfig.builder().loraInit(LoRAInit.PISSA).pissaIterations(4));
        INDArray before = pissa.params().dup();

        assertThatThrownBy(() -> LoRAAdapter.of(olora).applyTo(pissa)).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("\"fc1\": the adapter started from W with OLORA, but the network's with PISSA");
        assertThatThrownBy(() -> LoRAAdapter.of(randomised).applyTo(pissa))
                .hasMessageContaining("with PISSA with 4 iterations, but the network's with PISSA,");
        assertThat(pissa.params()).isEqualTo(before);
    }

    @Test
    void whatSomebodyEditedCountsAlsoWithoutTheSavesName() throws IOException {
        LoRAAdapter.of(tuned(LoRAConfig.builder())).save(folder);
        Path config = folder.resolve(AdapterFiles.CONFIG);
        String text = Files.readString(config);
        Files.writeString(config, text.replaceAll("\\+dl4jlora[^\"]*", "")
                .replace("\"lora_alpha\" : 3", "\"lora_alpha\" : 30"));
        assertThat(LoRAAdapter.load(folder).content().delta("fc1").factor()).isEqualTo(15.0);

        Files.writeString(config, text.replace("\"use_rslora\" : false", "\"use_rslora\" : true"));
        assertThat(LoRAAdapter.load(folder).content().delta("fc1").factor()).isEqualTo(3 / Math.sqrt(2));
    }

    @Test
    void twoTensorsOfOneNameAreNotSaved() {
        ComputationGraph tricky = Networks.of(new NeuralNetConfiguration.Builder().seed(1).updater(new Sgd(0.1))
                .graphBuilder().addInputs("in")
                .addLayer("fc", new DenseLayer.Builder().nIn(6).nOut(4).build(), "in")
                .addLayer("fc.lora_A", new DenseLayer.Builder().nIn(4).nOut(4).build(), "fc")
                .addLayer("out", new OutputLayer.Builder().nIn(4).nOut(2).build(), "fc.lora_A").setOutputs("out").build());
        LoRAAdapter adapter =
                LoRAAdapter.of(LoRA.apply(tricky, LoRAConfig.builder().rank(2).targets("fc").trainable("fc\\.lora_A").build()));

        assertThatThrownBy(() -> adapter.save(folder)).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("Layer \"fc.lora_A\"").hasMessageContaining("base_model.model.fc.lora_A.weight");
        assertThat(folder).isEmptyDirectory();
    }

    @Test
    void aRankThatNoArrayCanHoldIsRefused() {
        assertThatThrownBy(() -> LoRA.apply(base, LoRAConfig.builder().rank(Integer.MAX_VALUE).build()))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("\"fc1\": rank 2147483647").hasMessageContaining("at most 5");
    }

    @Test
    void aBaseOfOtherSizesIsToldByItsSizes() {
        LoRAAdapter adapter = LoRAAdapter.of(tuned(LoRAConfig.builder()));
        ComputationGraph wider = Networks.of(new NeuralNetConfiguration.Builder().seed(1).updater(new Sgd(0.1))
                .dataType(DataType.DOUBLE).graphBuilder().addInputs("in")
                .addLayer("fc1", new DenseLayer.Builder().nIn(6).nOut(9).build(), "in")
                .addLayer("fc2", new DenseLayer.Builder().nIn(9).nOut(5).build(), "fc1")
                .addLayer("out", new OutputLayer.Builder().nIn(5).nOut(2).build(), "fc2").setOutputs("out").build());

        assertThatThrownBy(() -> LoRA.apply(wider, adapter)).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("\"fc1\": the adapter is for weights of shape [6, 5], but the network's are [6, 9]");
    }
}
