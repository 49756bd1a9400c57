package io.github.dl4jlora.internal.peft;

import io.github.dl4jlora.conf.BiasTraining;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.exception.AdapterFormatException;
import io.github.dl4jlora.internal.content.AdapterContent;
import io.github.dl4jlora.internal.content.Delta;
import io.github.dl4jlora.internal.content.TensorLayout;
import io.github.dl4jlora.internal.content.TorchModel;
import io.github.dl4jlora.internal.untrusted.Budget;
import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.UUID;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * What PEFT's {@code adapter_config.json} says of what the adapter computes. {@link PeftConfigJson} reads and writes it.
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
 * @param loraBias      {@code lora_bias}
 * @param targetParameters {@code target_parameters}: adapted parameters, or the ends of their names
 * @param init          {@code init_lora_weights}, true, false or a word; null for PEFT's default
 * @param bias          {@code bias}
 * @param fanInFanOut   {@code fan_in_fan_out}: PyTorch has W of the adapted layers as {@code [nIn, nOut]}
 * @param tiesWeights   {@code ensure_weight_tying}: what is tied to a module that is saved is saved too, without being named
 * @param model         {@code base_model_name_or_path} and {@code task_type}
 * @param adapted       which modules PEFT adapts
 */
public record PeftConfig(int rank, double alpha, boolean useRsLora, ModulePatterns<Integer> ranks, ModulePatterns<Double> alphas,
                  List<String> targets, List<String> modulesToSave, double dropout, @Nullable String saveId, boolean useDora,
                  boolean loraBias, List<String> targetParameters, @Nullable Object init, BiasTraining bias, boolean fanInFanOut,
                  boolean tiesWeights, TorchModel model, TargetModules adapted) {

    /** The configuration of a new save. */
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
        return new PeftConfig(rank, alpha, rsLora, ModulePatterns.of(ranks, rank), ModulePatterns.of(alphas, alpha),
                adapter.layers(), SavedModules.entries(adapter), adapter.dropout(),
                UUID.randomUUID().toString(), adapter.deltas().values().stream().anyMatch(delta -> delta.kind().isDora()),
                adapter.deltas().values().stream().anyMatch(delta -> delta.has(Delta.LORA_BIAS)), List.of(), init(adapter),
                adapter.ownBiases(), adapter.deltas().values().stream().allMatch(delta -> delta.layout().inByOut()), false,
                adapter.model(), TargetModules.ALL);
    }

    /** PEFT's word for how all layers started; true, its default, where it has none: the file's values replace that start. */
    private static Object init(AdapterContent adapter) {
        Set<Object> inits = KindNames.inits(adapter);
        boolean orthogonal = adapter.deltas().values().stream()
                .allMatch(delta -> delta.rank() % 2 == 0 && delta.layout().isLike(TensorLayout.LINEAR));
        Object init = inits.size() == 1 ? inits.iterator().next() : true;
        return init.equals(KindNames.ORTHOGONAL) && !orthogonal ? true : init;
    }

    /** The same with the id of another save. */
    PeftConfig ofSave(@Nullable String id) {
        return new PeftConfig(rank, alpha, useRsLora, ranks, alphas, targets, modulesToSave, dropout, id, useDora, loraBias,
                targetParameters, init, bias, fanInFanOut, tiesWeights, model, adapted);
    }

    /** The modules that PEFT up to 0.10 saved for a task without writing them down. Files of this library name all of theirs. */
    private List<String> heads() {
        return isOurs() ? List.of() : model.heads();
    }

    /** The modules that were saved in full. */
    SavedModules saved() {
        return new SavedModules(Stream.concat(modulesToSave.stream(), heads().stream()).toList());
    }

    /** Whether an adapter of this configuration has such parts. */
    boolean wants(ExtraPart part) {
        return switch (part) {
            case MAGNITUDE -> useDora;
            case BIAS -> bias != BiasTraining.NONE;
            case LORA_BIAS -> loraBias;
            case START_A, START_B, BASE_WEIGHT -> true;
        };
    }

    /** What an adapted layer with these parts lacks. */
    List<ExtraPart> missing(Set<ExtraPart> parts) {
        List<ExtraPart> missing = new ArrayList<>();
        if (useDora && !parts.contains(ExtraPart.MAGNITUDE)) {
            missing.add(ExtraPart.MAGNITUDE);
        }
        if (loraBias && !parts.contains(ExtraPart.LORA_BIAS)) {
            missing.add(ExtraPart.LORA_BIAS);
        }
        if (parts.contains(ExtraPart.START_A) != parts.contains(ExtraPart.START_B)) {
            missing.add(parts.contains(ExtraPart.START_A) ? ExtraPart.START_B : ExtraPart.START_A);
        }
        return missing;
    }

    /** Whether this library wrote it. */
    public boolean isOurs() {
        return saveId != null;
    }

    private static <T> T mostCommon(Collection<T> values) {
        Map<T, Long> counts = values.stream()
                .collect(Collectors.groupingBy(Function.identity(), LinkedHashMap::new, Collectors.counting()));
        return counts.entrySet().stream().max(Comparator.comparingLong(Map.Entry::getValue)).orElseThrow().getKey();
    }

    /** The name that PEFT compares with patterns: a parameter's own, if that was adapted, and not its module. */
    private String patterned(String module) {
        for (String target : targetParameters) {
            String parameter = module + "." + target.substring(target.lastIndexOf('.') + 1);
            if (("." + parameter).endsWith("." + target)) {
                return parameter;
            }
        }
        return module;
    }

    public int rankOf(String module, Budget budget) throws AdapterFormatException {
        return ranks.of(patterned(module), rank, budget);
    }

    public double alphaOf(String module, Budget budget) throws AdapterFormatException {
        return alphas.of(patterned(module), alpha, budget);
    }
}
