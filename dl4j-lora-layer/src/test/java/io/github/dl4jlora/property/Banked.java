package io.github.dl4jlora.property;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.LoRASummary;
import io.github.dl4jlora.Quantization;
import io.github.dl4jlora.bank.AdapterBank;
import io.github.dl4jlora.adapter.LoRAAdapter;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

import static org.assertj.core.api.Assertions.assertThat;

/** The adapters of two networks, and none, from one bank. */
final class Banked {

    private Banked() {
    }

    static void check(Trial trial) {
        // First: what cannot be adapted is refused here.
        Model one = trial.tuned();
        Model two = trial.trained();
        Quantization scheme = trial.spec.settings().place().scheme;
        Model base = scheme == null ? trial.original : frozen(trial.original, scheme);
        NotApplicable.unless(scheme == null || isKeptAlike(base, one), "layers whose biases train are kept as they are");
        Map<String, Model> networks = Map.of("one", one, "two", two, AdapterBank.BASE, base);
        try (AdapterBank bank = new AdapterBank(base, 1)) {
            bank.add("one", LoRAAdapter.of(one));
            bank.add("two", LoRAAdapter.of(two));
            networks.forEach((name, network) -> assertThat(Trial.distance(bank.output(name, trial.features.dup()),
                    trial.output(network))).as("distance: " + name + ", by itself").isLessThan(trial.tolerance()));
            int examples = (int) trial.features.size(0);
            String[] names = IntStream.range(0, examples).mapToObj(i -> new String[] {"two", "one", AdapterBank.BASE}[i % 3])
                    .toArray(String[]::new);
            // The second time what is known of the rows' order counts.
            for (int time = 0; time < 2; time++) {
                INDArray mixed;
                try {
                    mixed = bank.output(names, trial.features.dup());
                } catch (IllegalArgumentException e) {
                    assertThat(e).hasMessageContaining("nobody can tell which adapter's they are");
                    throw new NotApplicable("the output's rows are no examples");
                }
                for (int i = 0; i < examples; i++) {
                    assertThat(Trial.distance(rows(mixed, i, examples), rows(trial.output(networks.get(names[i])), i, examples)))
                            .as("distance: " + names[i] + " for example " + i + " of a mixed batch, time " + time)
                            .isLessThan(trial.tolerance());
                }
            }
        }
    }

    private static Model frozen(Model network, Quantization scheme) {
        return network instanceof ComputationGraph graph ? LoRA.freeze(graph, scheme)
                : LoRA.freeze((MultiLayerNetwork) network, scheme);
    }

    private static boolean isKeptAlike(Model base, Model adapted) {
        Map<String, String> forms = LoRA.summary(adapted).rows().stream()
                .collect(Collectors.toMap(LoRASummary.Row::name, row -> String.valueOf(row.storedAs()), (one, other) -> one));
        return LoRA.summary(base).rows().stream()
                .allMatch(row -> forms.getOrDefault(row.name(), row.storedAs()).equals(String.valueOf(row.storedAs())));
    }

    /** Of an output with as many rows for each example, one after the other. */
    private static INDArray rows(INDArray output, int example, int examples) {
        long each = output.size(0) / examples;
        return output.reshape('c', examples, output.length() / examples).slice(example).dup().reshape(each, -1);
    }
}
