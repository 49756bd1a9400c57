package io.github.dl4jlora.internal.peft;

import io.github.dl4jlora.BiasTraining;
import io.github.dl4jlora.Scaling;
import io.github.dl4jlora.adapter.AdapterFormatException;

import java.util.Collection;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.function.Function;
import java.util.stream.Collectors;

/**
 * PEFT's {@code adapter_config.json}, as far as it says what the adapter computes. {@link PeftConfigJson} is its text.
 *
 * @param rank          {@code r}
 * @param alpha         {@code lora_alpha}
 * @param useRsLora     scale by 1/√r instead of 1/r
 * @param ranks         {@code rank_pattern}
 * @param alphas        {@code alpha_pattern}
 * @param targets       adapted modules
 * @param modulesToSave modules trained in full
 * @param dropout       {@code lora_dropout}
 * @param saveId        tells one save from another; null in files of other programs
 * @param useDora       {@code use_dora}
 * @param init          {@code init_lora_weights}, true, false or a word
 * @param bias          {@code bias}
 */
public record PeftConfig(int rank, double alpha, boolean useRsLora, ModulePatterns<Integer> ranks, ModulePatterns<Double> alphas,
                  List<String> targets, List<String> modulesToSave, double dropout, String saveId, boolean useDora, Object init,
                  BiasTraining bias) {

    /** Of a new save. */
    public static PeftConfig of(AdapterContent adapter) {
        boolean rsLora = adapter.deltas().values().stream().allMatch(delta -> delta.scaling() == Scaling.ALPHA_OVER_SQRT_RANK);
        Map<String, Integer> ranks = new LinkedHashMap<>();
        Map<String, Double> alphas = new LinkedHashMap<>();
        adapter.deltas().forEach((name, delta) -> {
            ranks.put(name, delta.rank());
            alphas.put(name, LoraAlpha.ofAlpha(delta.alpha(), delta.scaling(), delta.rank(), rsLora));
        });
        int rank = mostCommon(ranks.values());
        double alpha = mostCommon(alphas.values());
        Kind kind = adapter.deltas().values().iterator().next().kind();
        return new PeftConfig(rank, alpha, rsLora, ModulePatterns.of(ranks, rank), ModulePatterns.of(alphas, alpha),
                adapter.layers(), adapter.trainedLayers(), adapter.dropout(), UUID.randomUUID().toString(),
                !kind.variant().isAdditive(), kind.peftInit(), adapter.biasTraining());
    }

    private static <T> T mostCommon(Collection<T> values) {
        Map<T, Long> counts = values.stream()
                .collect(Collectors.groupingBy(Function.identity(), LinkedHashMap::new, Collectors.counting()));
        return counts.entrySet().stream().max(Comparator.comparingLong(Map.Entry::getValue)).orElseThrow().getKey();
    }

    public int rankOf(String module) throws AdapterFormatException {
        return ranks.of(module, rank);
    }

    public double alphaOf(String module) throws AdapterFormatException {
        return alphas.of(module, alpha);
    }
}
