package io.github.dl4jlora.property;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.bank.AdapterBank;
import io.github.dl4jlora.bank.AdapterMix;
import io.github.dl4jlora.bank.BankConfig;
import io.github.dl4jlora.bank.BankRequest;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.report.LoRASummary;
import org.deeplearning4j.nn.api.Model;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.time.Duration;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

import static org.assertj.core.api.Assertions.assertThat;

/** The adapters of two networks, and none, from one bank, for one caller and for several. */
final class Banked {

    private Banked() {
    }

    static void check(Trial trial) {
        // First: what cannot be adapted is refused here.
        Model one = trial.tuned();
        Model two = trial.trained();
        Quantization scheme = trial.spec.settings().place().scheme;
        Model base = scheme == null ? trial.source() : trial.frozen();
        NotApplicable.unless(scheme == null || isKeptAlike(base, one), "layers whose biases train are kept as they are");
        Map<String, Model> networks = Map.of("one", one, "two", two, AdapterBank.BASE, base);
        int examples = (int) trial.features.size(0);
        // Three requests are a batch, and nothing less is until the bank is closed.
        BankConfig config = BankConfig.builder().maxNetworks(1).maxBatch(3 * examples).maxDelay(Duration.ofDays(1)).build();
        try (AdapterBank bank = new AdapterBank(base, config)) {
            bank.add("one", LoRAAdapter.of(one));
            bank.add("two", LoRAAdapter.of(two));
            networks.forEach((name, network) -> assertThat(Trial.distance(
                    bank.outputs(request(trial, List.of(AdapterMix.of(name))))[0], trial.output(network)))
                    .as("distance: " + name + ", by itself").isLessThan(trial.tolerance()));
            String[] names = IntStream.range(0, examples).mapToObj(i -> new String[] {"two", "one", AdapterBank.BASE}[i % 3])
                    .toArray(String[]::new);
            List<AdapterMix> mixes = Arrays.stream(names).map(AdapterMix::of).toList();
            // The second time what is known of the rows' order counts.
            for (int time = 0; time < 2; time++) {
                requireSubmitted(trial, bank, networks);
                INDArray mixed;
                try {
                    mixed = bank.outputs(request(trial, mixes))[0];
                } catch (IllegalArgumentException e) {
                    assertThat(e).hasMessageContaining("its rows cannot be assigned to adapters");
                    throw new NotApplicable("the output's rows are no examples");
                }
                for (int i = 0; i < examples; i++) {
                    Model network = networks.get(names[i]);
                    // No adapter has two examples.
                    INDArray expected = trial.mixesUpMasks() ? rows(trial.output(network, i), 0, 1)
                            : rows(trial.output(network), i, examples);
                    assertThat(Trial.distance(rows(mixed, i, examples), expected))
                            .as("distance: " + names[i] + " for example " + i + " of a mixed batch, time " + time)
                            .isLessThan(trial.tolerance());
                }
            }
        }
    }

    private static BankRequest request(Trial trial, List<AdapterMix> mixes) {
        // Some of DL4J's layers write to their input.
        INDArray features = trial.features.dup();
        BankRequest request = mixes.size() == 1 ? BankRequest.of(mixes.get(0), features) : BankRequest.of(mixes, features);
        return trial.featuresMask == null ? request : request.masks(trial.featuresMask.dup());
    }

    /** Three callers' requests, which the bank computes at once where it can. */
    private static void requireSubmitted(Trial trial, AdapterBank bank, Map<String, Model> networks) {
        Map<String, CompletableFuture<INDArray[]>> answers = new LinkedHashMap<>();
        networks.keySet().forEach(name -> answers.put(name, bank.submit(request(trial, List.of(AdapterMix.of(name))))));
        answers.forEach((name, answer) -> {
            INDArray output;
            try {
                output = answer.join()[0];
            } catch (CompletionException e) {
                throw e.getCause() instanceof RuntimeException cause ? cause : e;
            }
            assertThat(Trial.distance(output, trial.output(networks.get(name)))).as("distance: " + name + ", of three callers")
                    .isLessThan(trial.tolerance());
        });
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
