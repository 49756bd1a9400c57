package io.github.dl4jlora.adapter;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.bank.AdapterBank;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Scaling;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.AttentionVertex;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.regex.Pattern;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** Adapters of layers with several matrices: each matrix a module of its own, everywhere. */
class DeltaAdaptersTest {

    private static final INDArray FEATURES = Networks.random(DataType.FLOAT, 1, 2, 3, 5);

    @TempDir
    private Path folder;

    private ComputationGraph base;

    @BeforeEach
    void makeBase() {
        base = Networks.of(new NeuralNetConfiguration.Builder().seed(5).updater(new Sgd(0.1)).activation(Activation.TANH)
                .graphBuilder().addInputs("in").addLayer("lstm", new LSTM.Builder().nOut(4).build(), "in")
                .addVertex("attention", new AttentionVertex.Builder().nInKeys(4).nInQueries(4).nInValues(4).nOut(4).nHeads(2)
                        .projectInput(true).build(), "lstm", "lstm", "lstm")
                .addLayer("out", new RnnOutputLayer.Builder(LossFunction.MSE).nOut(2).activation(Activation.IDENTITY)
                        .build(), "attention")
                .setOutputs("out").setInputTypes(InputType.recurrent(3)).build());
    }

    private ComputationGraph adapted(long seed, Scaling scaling) {
        ComputationGraph adapted = LoRA.apply(base, LoRAConfig.builder().rank(2).alpha(3).scaling(scaling)
                .targets("lstm/RW", "attention")
                .override("attention/Wo", o -> o.rank(1).alpha(5)).build());
        Networks.randomizeAdapters(adapted.paramTable(), seed);
        return adapted;
    }

    private static double[] output(ComputationGraph network) {
        return network.outputSingle(FEATURES).ravel().toDoubleVector();
    }

    @Test
    void filesNameEachMatrix() throws IOException {
        ComputationGraph adapted = adapted(3, Scaling.ALPHA_OVER_RANK);

        LoRAAdapter.of(adapted).save(folder);

        AdapterFiles.Tensors file = AdapterFiles.open(folder.resolve("adapter_model.safetensors"));
        String prefix = "base_model.model.";
        assertThat(file.names()).contains(prefix + "lstm.RW.lora_A.weight", prefix + "lstm.RW.lora_B.weight",
                prefix + "attention.Wq.lora_A.weight", prefix + "attention.Wo.lora_B.weight").hasSize(10);
        assertThat(file.shape(prefix + "lstm.RW.lora_A.weight")).containsExactly(2, 4);
        assertThat(file.shape(prefix + "lstm.RW.lora_B.weight")).containsExactly(16, 2);
        assertThat(file.read(prefix + "lstm.RW.lora_A.weight")).isEqualTo(adapted.getParam("lstm_RW.A").transpose());
        String json = Files.readString(folder.resolve("adapter_config.json"));
        assertThat(json).contains("\"lstm.RW\"", "\"attention.Wo\"", "\"attention\\\\.Wo\" : 1");
        assertThat(output(LoRA.apply(base, LoRAAdapter.load(folder)))).containsExactly(output(adapted));
    }

    @Test
    void deltaWeightIsWhatAMergeAdds() {
        ComputationGraph adapted = adapted(3, Scaling.ALPHA);
        LoRAAdapter adapter = LoRAAdapter.of(adapted);
        ComputationGraph merged = LoRA.merge(adapted);

        INDArray rw = merged.getParam("lstm_RW").sub(base.getParam("lstm_RW"));
        assertThat(Networks.difference(adapter.deltaWeight("lstm.RW"), rw)).isLessThan(1e-6);
        // [heads, size, in] read as [in, heads · size].
        INDArray wq = merged.getVertex("attention").paramTable(false).get("Wq")
                .sub(base.getVertex("attention").paramTable(false).get("Wq"));
        assertThat(Networks.difference(adapter.deltaWeight("attention.Wq"), wq.dup('c').reshape('c', 4, 4).transpose()))
                .isLessThan(1e-6);
        assertThat(adapter.norm("attention.Wq")).isCloseTo(wq.norm2Number().doubleValue(),
                org.assertj.core.api.Assertions.within(1e-4));
        assertThat(adapter.spectrum("attention.Wo")).hasSize(1);
        assertThatThrownBy(() -> adapter.deltaWeight("lstm.W")).isInstanceOf(NoSuchElementException.class)
                .hasMessageContainingAll("lstm.W", "lstm.RW", "attention.Wq");
    }

    @Test
    void adaptersAreSwappedWithTheirScaling() {
        ComputationGraph one = adapted(3, Scaling.ALPHA);
        ComputationGraph two = adapted(5, Scaling.ALPHA_OVER_SQRT_RANK);
        double[] ofTwo = output(two);
        one.outputSingle(FEATURES);

        LoRAAdapter.of(two).applyTo(one);

        assertThat(output(one)).containsExactly(ofTwo);
        assertThat(LoRAAdapter.of(one).content().deltas().get("lstm.RW").scaling()).isEqualTo(Scaling.ALPHA_OVER_SQRT_RANK);
    }

    @Test
    void adaptersAreCombinedAndCompressed() {
        LoRAAdapter one = LoRAAdapter.of(adapted(3, Scaling.ALPHA));
        LoRAAdapter two = LoRAAdapter.of(adapted(5, Scaling.ALPHA));

        LoRAAdapter sum = LoRAAdapter.combine(Combination.Method.CAT).add(one, 0.5).add(two, -1).build();

        INDArray expected = one.deltaWeight("attention.Wv").mul(0.5).sub(two.deltaWeight("attention.Wv"));
        assertThat(Networks.difference(sum.deltaWeight("attention.Wv"), expected)).isLessThan(1e-5);
        assertThat(output(LoRA.apply(base, sum))).hasSize(20);
        assertThat(sum.compress(1).relativeErrors()).containsOnlyKeys("lstm.RW", "attention.Wq", "attention.Wk", "attention.Wv",
                "attention.Wo");
    }

    @Test
    void aBankServesThemByNameAndByRow() {
        ComputationGraph one = adapted(3, Scaling.ALPHA);
        ComputationGraph two = adapted(5, Scaling.ALPHA_OVER_RANK);
        try (AdapterBank bank = new AdapterBank(base, 1)) {
            bank.add("one", LoRAAdapter.of(one));
            bank.add("two", LoRAAdapter.of(two));

            for (int round = 0; round < 2; round++) {
                assertThat(Networks.difference(bank.output("one", FEATURES), one.outputSingle(FEATURES))).isLessThan(1e-6);
                assertThat(Networks.difference(bank.output("two", FEATURES), two.outputSingle(FEATURES))).isLessThan(1e-6);
            }
            INDArray mixed = bank.output(new String[]{"two", "one"}, FEATURES);
            INDArray expected = Nd4j.concat(0, two.outputSingle(FEATURES.get(interval(0))),
                    one.outputSingle(FEATURES.get(interval(1))));
            assertThat(Networks.difference(mixed, expected)).isLessThan(1e-6);
        }
    }

    private static org.nd4j.linalg.indexing.INDArrayIndex interval(int row) {
        return org.nd4j.linalg.indexing.NDArrayIndex.interval(row, row + 1);
    }

    @Test
    void theAdapterOfAnotherBaseIsRefusedByLayer() {
        LoRAAdapter adapter = LoRAAdapter.of(adapted(3, Scaling.ALPHA));
        ComputationGraph other = base.clone();
        other.getParam("lstm_RW").addi(1);
        ComputationGraph adaptedOther = LoRA.apply(other, adapter.config());

        assertThatThrownBy(() -> adapter.applyTo(adaptedOther)).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContainingAll("\"lstm.RW\"", "was made for the base weights");
        adapter.applyTo(adaptedOther, LoRAAdapter.ApplyOption.FORCE);
        assertThat(adaptedOther.getParam("lstm_RW.A")).isEqualTo(adapter.content().deltas().get("lstm.RW").a());
    }

    @Test
    void matricesThatTheNetworkLacksAreNamed() {
        LoRAAdapter adapter = LoRAAdapter.of(adapted(3, Scaling.ALPHA));
        ComputationGraph fewer = LoRA.apply(base, LoRAConfig.builder().rank(2).targets("lstm/RW").build());

        assertThatThrownBy(() -> adapter.applyTo(fewer)).hasMessageContainingAll("surplus in it", "attention.Wq");
        assertThat(adapter.config().targets()).extracting(Pattern::pattern).contains(Pattern.quote("lstm.RW"));
        assertThat(Map.copyOf(adapter.content().deltas())).hasSize(5);
    }
}
