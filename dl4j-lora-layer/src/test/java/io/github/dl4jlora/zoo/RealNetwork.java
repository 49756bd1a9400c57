package io.github.dl4jlora.zoo;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.internal.network.BaseValues;
import org.deeplearning4j.nn.api.Model;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;

import java.io.IOException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;

/** What must hold for any network, whoever made it. */
final class RealNetwork {

    private RealNetwork() {
    }

    /** @return how many parameters the adapted network trains */
    static long check(Model base, LoRAConfig config, DataSet batch, Path folder) throws IOException {
        INDArray x = batch.getFeatures();
        INDArray before = Models.output(base, x);
        double rounding = 5e-6 * Math.max(1, largest(before));

        Model adapted = Models.apply(base, config);

        assertThat(difference(adapted, x, before)).as("fresh rewrite against base").isLessThan(rounding);
        assertThat(adapted.params().length()).isLessThan(base.params().length() / 5);
        Map<String, INDArray> start = copy(adapted.paramTable());
        Map<String, String> ids = frozenIds(adapted);
        for (int step = 0; step < 2; step++) {
            Models.fit(adapted, batch);
        }
        // Hashes all frozen values again.
        assertThat(frozenIds(adapted)).isEqualTo(ids).isNotEmpty();
        assertThat(difference(base, x, before)).as("base before and after").isZero();
        assertAdaptersMoved(start, adapted.paramTable());
        INDArray after = Models.output(adapted, x);
        double moved = Networks.difference(after, before);
        assertThat(moved).as("adapted against base").isGreaterThan(1e-5);

        assertThat(difference(Models.merge(adapted), x, after)).as("merged against adapted")
                .isLessThan(Math.min(rounding, moved / 10));

        LoRA.save(adapted, folder.resolve("model.zip"), true);
        Model restored = LoRA.load(folder.resolve("model.zip"));
        assertThat(difference(restored, x, after)).as("restored against saved").isZero();
        assertThat(Models.updaterState(restored)).isEqualTo(Models.updaterState(adapted));

        LoRAAdapter.of(adapted).save(folder);
        Model again = Models.with(base, LoRAAdapter.load(folder));
        assertThat(difference(again, x, after)).as("base with the saved adapter against adapted").isZero();
        return adapted.params().length();
    }

    private static double difference(Model model, INDArray x, INDArray expected) {
        return Networks.difference(Models.output(model, x), expected);
    }

    /**
     * Of A and B one starts at zero (B; of embeddings, as in PEFT, A) and leaves it with the first step. The other follows
     * with the second, by a gradient that is proportional to the first: far from the loss of a deep network without trained
     * weights that is less than rounding.
     */
    private static void assertAdaptersMoved(Map<String, INDArray> start, Map<String, INDArray> now) {
        assertThat(now.keySet()).allMatch(name -> name.matches(".*[_.][AB]"));
        List<String> zeros = start.keySet().stream().filter(name -> largest(start.get(name)) == 0).toList();
        assertThat(zeros).hasSize(now.size() / 2).allSatisfy(name -> assertThat(largest(now.get(name))).isPositive());
        assertThat(now.keySet()).as("the others").anyMatch(
                name -> !zeros.contains(name) && Networks.difference(now.get(name), start.get(name)) > 1e-4);
    }

    private static double largest(INDArray array) {
        return array.amaxNumber().doubleValue();
    }

    private static Map<String, String> frozenIds(Model adapted) {
        Map<String, String> ids = new LinkedHashMap<>();
        BaseValues.verified(adapted).forEach((layer, weights) -> ids.put(layer, weights.id()));
        return ids;
    }

    private static Map<String, INDArray> copy(Map<String, INDArray> table) {
        Map<String, INDArray> copy = new LinkedHashMap<>();
        table.forEach((name, value) -> copy.put(name, value.dup()));
        return copy;
    }
}
