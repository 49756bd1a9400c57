package io.github.dl4jlora.internal.peft;

import io.github.dl4jlora.conf.LoRAInit;
import io.github.dl4jlora.conf.LoRASettings;
import io.github.dl4jlora.exception.AdapterFormatException;
import io.github.dl4jlora.internal.content.AdapterContent;
import io.github.dl4jlora.internal.content.Delta;
import io.github.dl4jlora.internal.content.Kind;
import io.github.dl4jlora.variant.DoRA;
import io.github.dl4jlora.variant.FrozenALoRA;
import io.github.dl4jlora.variant.PlainLoRA;
import io.github.dl4jlora.variant.Variant;
import org.jspecify.annotations.Nullable;

import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;

/** What a file calls an adapter's {@link Kind}: PEFT's {@code use_dora} and {@code init_lora_weights}, and words of our own. */
final class KindNames {

    static final String ORTHOGONAL = "orthogonal";
    private static final String LORA_GA = "lora_ga";
    private static final String PISSA_ITERATIONS = "pissa_niter_";

    /** Variants that a file may name, by their names. */
    private static final Map<String, Variant> VARIANTS = Map.of(new PlainLoRA().name(), new PlainLoRA(),
            new FrozenALoRA().name(), new FrozenALoRA(), new DoRA().name(), new DoRA());

    private KindNames() {
    }

    /**
     * @throws IllegalArgumentException for a variant that a file has no name for, so that reading it would be refused
     */
    static void requireName(Kind kind) {
        Variant variant = kind.variant();
        if (!variant.equals(VARIANTS.get(variant.name()))) {
            throw new IllegalArgumentException("An adapter's file has no name for the variant \"" + variant.name()
                    + "\"; it can hold " + VARIANTS.keySet() + ". Save the network with LoRA.save instead");
        }
    }

    /** PEFT's {@code init_lora_weights}: true for its default, and for starts that it has no word for. */
    static Object init(Kind kind) {
        return switch (kind.init()) {
            case KAIMING_UNIFORM, KAIMING_UNIFORM_RANK, LOFTQ, EVA -> true;
            case GAUSSIAN -> "gaussian";
            case ORTHOGONAL -> ORTHOGONAL;
            case OLORA -> "olora";
            case LORA_GA -> LORA_GA;
            case PISSA -> kind.pissaIterations() == 0 ? "pissa" : PISSA_ITERATIONS + kind.pissaIterations();
        };
    }

    /** The {@link #init} of all layers but embeddings beside others, which PEFT starts at random whatever the word is. */
    static Set<Object> inits(AdapterContent adapter) {
        Collection<Delta> all = adapter.deltas().values();
        List<Delta> others = all.stream().filter(delta -> !delta.layout().embedding()).toList();
        return (others.isEmpty() ? all : others).stream().map(delta -> init(delta.kind())).collect(Collectors.toSet());
    }

    /**
     * The kind that a file names.
     *
     * @param init       {@code init_lora_weights}; null for its default
     * @param dora       {@code use_dora}
     * @param ourVariant what a file of ours records beside; null in PEFT's
     * @param ourInit    likewise
     * @throws AdapterFormatException for a start or variant that is unknown
     */
    static Kind of(@Nullable Object init, boolean dora, @Nullable String ourVariant, @Nullable String ourInit)
            throws AdapterFormatException {
        String peftInit = init == null ? null : init.toString();
        Variant variant = dora ? new DoRA() : ourVariant == null ? new PlainLoRA() : VARIANTS.get(ourVariant);
        if (variant == null || !dora && !variant.isAdditive()) {
            throw new AdapterFormatException("The variant \"" + ourVariant + "\" is not supported here; "
                    + VARIANTS.keySet() + " are supported, and DoRA with use_dora in adapter_config.json");
        }
        String start = peftInit == null ? "true" : peftInit.toLowerCase(Locale.ROOT);
        if (peftInit != null && start.startsWith(PISSA_ITERATIONS)) {
            return new Kind(variant, LoRAInit.PISSA, iterations(peftInit, start.substring(PISSA_ITERATIONS.length())));
        }
        return switch (start) {
            // What EVA starts from its data is in A, what MiCA takes from W is in B; the base is as it was.
            case "true", "false", "eva", "mica" -> new Kind(variant, ourInit(ourInit), 0);
            case "gaussian" -> new Kind(variant, LoRAInit.GAUSSIAN, 0);
            case ORTHOGONAL -> new Kind(variant, LoRAInit.ORTHOGONAL, 0);
            case "olora" -> new Kind(variant, LoRAInit.OLORA, 0);
            case "pissa" -> new Kind(variant, LoRAInit.PISSA, 0);
            case "corda", LORA_GA -> throw unreadable(peftInit, "is not supported: its changes to the base cannot be "
                    + "reproduced here. Convert the adapter with PEFT's path_initial_model_for_weight_conversion");
            case "loftq" -> throw unreadable(peftInit, "is not supported: it stands for a base whose values were changed. Use "
                    + "the quantised base that was saved with the adapter, and set init_lora_weights to true");
            default -> throw unreadable(peftInit, "is not known. Known are true, false, \"gaussian\", \"orthogonal\", "
                    + "\"eva\", \"mica\", \"pissa\", \"pissa_niter_4\" (with any number), \"olora\". If it did not "
                    + "change the base, set it to true");
        };
    }

    private static AdapterFormatException unreadable(@Nullable String init, String why) {
        return new AdapterFormatException("adapter_config.json: init_lora_weights is \"" + init + "\", which " + why);
    }

    private static int iterations(String init, String number) throws AdapterFormatException {
        try {
            int iterations = Math.max(1, Integer.parseInt(number));
            if (iterations > LoRASettings.MOST_PISSA_ITERATIONS) {
                throw new AdapterFormatException("adapter_config.json: init_lora_weights is \"" + init + "\"; at most "
                        + LoRASettings.MOST_PISSA_ITERATIONS + " iterations are computed here");
            }
            return iterations;
        } catch (NumberFormatException e) {
            throw new AdapterFormatException("adapter_config.json: init_lora_weights is \"" + init + "\", which does not name a "
                    + "number of iterations", e);
        }
    }

    /** As {@link #of}, for what this library recorded beside an adapter that is stored as a plain one. */
    static Kind recorded(String init, Variant variant) throws AdapterFormatException {
        return init.equals(LORA_GA) ? new Kind(variant, LoRAInit.LORA_GA, 0) : of(init, false, variant.name(), null);
    }

    /** Whether PEFT, which computes the start anew when it reads a file, would arrive at another one. */
    static boolean isStartOfItsOwn(Kind kind) {
        return kind.pissaIterations() > 0 || kind.init() == LoRAInit.LORA_GA || kind.startedElsewhere();
    }

    /** A start that PEFT has no word for, or none for all layers. */
    private static LoRAInit ourInit(@Nullable String recorded) {
        return Arrays.stream(LoRAInit.values()).filter(init -> init.name().equals(recorded) && !init.isTakenFromW()).findFirst()
                .orElse(LoRAInit.KAIMING_UNIFORM);
    }
}
