package io.github.dl4jlora.bank;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.adapter.Adapters;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;

import static org.assertj.core.api.Assertions.assertThat;

/** Runs the guide's code about banks; {@code GuideTest} looks here for its lines. */
class BankGuideTest {

    private final ComputationGraph base = Networks.trainedGraph();
    private final INDArray input = Networks.random(DataType.FLOAT, 5, 3, Networks.IN);
    private final INDArray threeRows = input;

    @Test
    void bank(@TempDir Path folder) throws IOException {
        LoRAAdapter spam = Adapters.on(base, LoRAConfig.builder().rank(3), 1);
        LoRAAdapter tone = Adapters.on(base, LoRAConfig.builder().rank(3), 20);
        Path spamFolder = folder.resolve("spam");
        Path toneFolder = folder.resolve("tone");
        spam.save(spamFolder);
        tone.save(toneFolder);
        INDArray ofTone = LoRA.apply(base, tone).outputSingle(input);

        try (AdapterBank bank = new AdapterBank(base)) {
            bank.add("spam", LoRAAdapter.load(spamFolder));
            bank.add("tone", LoRAAdapter.load(toneFolder));
            INDArray one = bank.output("spam", input);
            INDArray none = bank.output(AdapterBank.BASE, input);
            INDArray each = bank.output(new String[] {"spam", "tone", "__base__"}, threeRows);
            INDArray sum = bank.output(AdapterMix.parse("spam:0.7 + tone:0.3"), input);
            bank.replace("spam", LoRAAdapter.load(toneFolder));
            INDArray replaced = bank.output("spam", input);
            bank.remove("spam");

            assertThat(Networks.difference(each.getRow(0), one.getRow(0))).isLessThan(1e-6);
            assertThat(Networks.difference(each.getRow(1), ofTone.getRow(1))).isLessThan(1e-6);
            assertThat(Networks.difference(each.getRow(2), none.getRow(2))).isLessThan(1e-6);
            assertThat(Networks.difference(none, base.outputSingle(input))).isLessThan(1e-6);
            assertThat(Networks.difference(sum, one)).isGreaterThan(1e-3);
            assertThat(Networks.difference(replaced, ofTone)).isLessThan(1e-6);
            assertThat(bank.names()).containsExactly("tone");
        }
    }

    @Test
    void adaptersOfAFolder(@TempDir Path adapters) throws IOException {
        INDArray row = input.getRow(0, true);
        LoRAAdapter spam = Adapters.on(base, LoRAConfig.builder().rank(3), 1);
        LoRAAdapter other = Adapters.on(base, LoRAConfig.builder().rank(3), 20);
        spam.save(adapters.resolve("spam"));

        BankConfig config = BankConfig.builder()
                .source(AdapterSource.folder(adapters))
                .maxBytes(256L << 20)
                .build();
        AdapterBank bank = new AdapterBank(base, config);
        INDArray read = bank.output("spam", input);
        CompletableFuture<INDArray[]> answer = bank.submit(BankRequest.of("spam", row), Duration.ofSeconds(30));
        INDArray output = answer.join()[0];
        other.save(adapters.resolve("spam"));
        bank.refresh("spam");

        assertThat(Networks.difference(read, LoRA.apply(base, spam).outputSingle(input))).isLessThan(1e-6);
        assertThat(Networks.difference(output.getRow(0), read.getRow(0))).isLessThan(1e-6);
        assertThat(Networks.difference(bank.output("spam", input), LoRA.apply(base, other).outputSingle(input))).isLessThan(1e-6);
        bank.close();
    }

    @Test
    void stepByStep() {
        ComputationGraph base = recurrent();
        LoRAAdapter tone = Adapters.on(base, LoRAConfig.builder().rank(2).targets("lstm"), 3);
        ComputationGraph alone = LoRA.apply(base, tone);
        INDArray step = Networks.random(DataType.FLOAT, 4, 2, Networks.IN);
        AdapterBank bank = new AdapterBank(base);
        bank.add("tone", tone);

        try (BankSession session = bank.session(AdapterMix.of("tone"))) {
            INDArray first = session.output(step);
            INDArray second = session.output(step);
            assertThat(Networks.difference(first, alone.rnnTimeStep(step)[0])).isLessThan(1e-6);
            assertThat(Networks.difference(second, alone.rnnTimeStep(step)[0])).isLessThan(1e-6);
            session.reset();
            assertThat(Networks.difference(session.output(step), first)).isLessThan(1e-6);
        }
        bank.close();
    }

    private static ComputationGraph recurrent() {
        ComputationGraph graph = new ComputationGraph(new NeuralNetConfiguration.Builder().seed(5).graphBuilder().addInputs("in")
                .addLayer("lstm", new LSTM.Builder().nIn(Networks.IN).nOut(Networks.HIDDEN).build(), "in")
                .addLayer("out", new RnnOutputLayer.Builder().nIn(Networks.HIDDEN).nOut(2).activation(Activation.SOFTMAX)
                        .lossFunction(LossFunction.MCXENT).build(), "lstm")
                .setOutputs("out").build());
        graph.init();
        return graph;
    }
}
