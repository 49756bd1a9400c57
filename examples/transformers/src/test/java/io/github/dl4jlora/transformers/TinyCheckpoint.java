package io.github.dl4jlora.transformers;

import io.github.dl4jlora.BaseSource;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.internal.untrusted.Safetensors;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

/** A folder of {@code write_checkpoints.py}: a checkpoint, an adapter, and what PyTorch computes. */
record TinyCheckpoint(Path folder, Map<String, INDArray> expected) {

    /** Logits are of the size of 1; processors add in different orders. */
    private static final double TOLERANCE = 5e-5;

    static TinyCheckpoint in(Path folder) throws IOException {
        Map<String, INDArray> expected = new HashMap<>();
        try (Safetensors file = Safetensors.open(folder.resolve("expected.safetensors"))) {
            for (String name : file.names()) {
                expected.put(name, file.read(name));
            }
        }
        return new TinyCheckpoint(folder, expected);
    }

    INDArray ids() {
        return expected.get("input_ids");
    }

    /** The ids, and the types of pairs. */
    private INDArray[] inputs() {
        return isOfPairs() ? new INDArray[] {ids(), expected.get("token_type_ids")} : new INDArray[] {ids()};
    }

    private boolean isOfPairs() {
        return expected.containsKey("token_type_ids");
    }

    /** With a decoder of its own where PEFT made the adapter's so, and with types where there are such. */
    Checkpoint open() throws IOException {
        Checkpoint checkpoint = open(folder);
        return expected.containsKey("untied") ? checkpoint.untied() : checkpoint;
    }

    private Checkpoint open(Path path) throws IOException {
        Checkpoint checkpoint = Checkpoint.open(path);
        return isOfPairs() ? checkpoint.pairs() : checkpoint;
    }

    LoRAAdapter adapter() throws IOException {
        return LoRAAdapter.load(folder.resolve("adapter"));
    }

    /** Every model that there are outputs of, by the name of these. */
    static Map<String, BaseSource<ComputationGraph>> models(Checkpoint checkpoint, Map<String, INDArray> expected)
            throws IOException {
        Map<String, BaseSource<ComputationGraph>> models = new HashMap<>();
        for (String name : expected.keySet()) {
            switch (name) {
                case "hidden" -> models.put(name, checkpoint.encoder());
                case "pooler" -> models.put(name, checkpoint.pooler());
                case "sentence" -> models.put(name, checkpoint.sentenceEncoder());
                case "logits", "probabilities", "values", "scores" -> models.put(name, checkpoint.model());
                default -> { }
            }
        }
        return models;
    }

    /**
     * Whether the adapter was made for the class of that output. If the file has logits, that is the class with a head, whose
     * layers have a prefix that the bare model ("hidden") lacks.
     */
    boolean isOfAdaptersClass(String output) {
        return !output.equals("hidden") || expected.keySet().stream().noneMatch("logits"::equals);
    }

    /** Compares outputs as far as they are of tokens that are no padding. */
    void assertComputes(String output, ComputationGraph network, int padding) {
        INDArray there = expected.get(output);
        INDArray here = network.outputSingle(inputs());
        INDArray rows = there.rank() == 3 ? there.reshape(there.size(0) * there.size(1), there.size(2)) : there;
        assertThat(here.shape()).as(output).isEqualTo(rows.shape());
        List<Integer> compared = new ArrayList<>();
        for (int i = 0; i < rows.rows(); i++) {
            if (there.rank() == 2 || ids().reshape(ids().length()).getInt(i) != padding) {
                compared.add(i);
            }
        }
        int[] which = compared.stream().mapToInt(Integer::intValue).toArray();
        assertThat(here.getRows(which).sub(rows.getRows(which)).amaxNumber().doubleValue()).as(folder + ": " + output)
                .isLessThan(TOLERANCE);
        assertThat(rows.getRows(which).amaxNumber().doubleValue()).isGreaterThan(0.1);
    }

    /** The loss of the labels, and the gradient of the head's last matrix. */
    private void assertLearns(ComputationGraph network) throws IOException {
        List<String> head = open().newHead(open().head());
        network.setInputs(inputs());
        network.setLabels(expected.get("labels"));
        network.computeGradientAndScore();
        assertThat(network.score()).as(folder + ": loss").isCloseTo(expected.get("loss").getDouble(0), within(TOLERANCE));
        // DL4J divides gradients by the minibatch later.
        INDArray gradient = network.gradient().getGradientFor(head.get(head.size() - 1) + "_W").transpose().div(ids().size(0));
        assertThat(gradient.sub(expected.get("gradient")).amaxNumber().doubleValue()).as(folder + ": gradient")
                .isLessThan(TOLERANCE);
    }

    /** Outputs with and without the adapter, and of what is written and read again. */
    void assertAgrees(Path empty) throws IOException {
        Checkpoint checkpoint = open();
        int padding = checkpoint.shape().padding();
        for (Map.Entry<String, BaseSource<ComputationGraph>> model : models(checkpoint, expected).entrySet()) {
            String output = model.getKey();
            ComputationGraph network = model.getValue().network();
            assertComputes(output, network, padding);
            if (expected.containsKey("labels")) {
                assertLearns(network);
            }
            if (!isOfAdaptersClass(output)) {
                continue;
            }
            assertThat(expected.get("adapted " + output).sub(expected.get(output)).amaxNumber().doubleValue())
                    .isGreaterThan(1e-2);
            ComputationGraph adapted = LoRA.apply(network, adapter());
            assertComputes("adapted " + output, adapted, padding);

            ComputationGraph merged = LoRA.merge(adapted);
            assertComputes("adapted " + output, merged, padding);
            Path written = empty.resolve(output);
            checkpoint.writeCheckpoint(merged, written, 3000);
            Checkpoint again = open(written);
            assertThat(again.architectures()).isEqualTo(checkpoint.architectures());
            assertThat(again.head()).isEqualTo(checkpoint.head());
            assertThat(models(again, Map.of(output, ids())).get(output).network().params()).isEqualTo(merged.params());
        }
    }
}
