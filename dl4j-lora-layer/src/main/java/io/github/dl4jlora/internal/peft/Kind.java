package io.github.dl4jlora.internal.peft;

import io.github.dl4jlora.conf.LoRAInit;
import io.github.dl4jlora.conf.LoRASettings;
import io.github.dl4jlora.exception.AdapterFormatException;
import io.github.dl4jlora.variant.DoRA;
import io.github.dl4jlora.variant.FrozenALoRA;
import io.github.dl4jlora.variant.PlainLoRA;
import io.github.dl4jlora.variant.Variant;

import java.util.Arrays;
import java.util.Locale;
import java.util.Map;

/**
 * What sort of adapter a layer has, beside its values.
 *
 * @param variant         what is computed with A and B
 * @param init            how they started
 * @param pissaIterations of that start
 */
public record Kind(Variant variant, LoRAInit init, int pissaIterations) {

    public static final Kind PLAIN = new Kind(new PlainLoRA(), LoRAInit.KAIMING_UNIFORM, 0);

    static final String ORTHOGONAL = "orthogonal";
    private static final String LORA_GA = "lora_ga";
    private static final String PISSA_ITERATIONS = "pissa_niter_";

    /** Variants that a file may name, by their names. */
    private static final Map<String, Variant> VARIANTS = Map.of(new PlainLoRA().name(), new PlainLoRA(),
            new FrozenALoRA().name(), new FrozenALoRA(), new DoRA().name(), new DoRA());

    /**
     * @throws IllegalArgumentException for a variant that a file has no name for, so that reading it would be refused
     */
    public void requireNameInFiles() {
        if (!variant.equals(VARIANTS.get(variant.name()))) {
            throw new IllegalArgumentException("An adapter's file has no name for the variant \"" + variant.name()
                    + "\"; it can hold " + VARIANTS.keySet() + ". Save the network with LoRA.save instead");
        }
    }

    /** What LoftQ and EVA start from is in the values by now; another base, or other data, would give another start. */
    public Kind {
        if (init == LoRAInit.LOFTQ || init == LoRAInit.EVA) {
            init = LoRAInit.KAIMING_UNIFORM;
            pissaIterations = 0;
        }
    }

    /** Whether it scales the columns of W + s·A·B instead of adding to W. */
    public boolean isDora() {
        return !variant.isAdditive();
    }

    /** In words. */
    public String start() {
        return init + (pissaIterations > 0 ? " with " + pissaIterations + " iterations" : "");
    }

    /** The same of A and B that are no longer what training made of their start. */
    public Kind started() {
        return new Kind(variant, PLAIN.init, 0);
    }

    /** PEFT's {@code init_lora_weights}: true for its default, and for starts that it has no word for. */
    public Object peftInit() {
        return switch (init) {
            case KAIMING_UNIFORM, KAIMING_UNIFORM_RANK, LOFTQ, EVA -> true;
            case GAUSSIAN -> "gaussian";
            case ORTHOGONAL -> ORTHOGONAL;
            case OLORA -> "olora";
            case LORA_GA -> LORA_GA;
            case PISSA -> pissaIterations == 0 ? "pissa" : PISSA_ITERATIONS + pissaIterations;
        };
    }

    /**
     * @param init        {@code init_lora_weights}; null for its default
     * @param ourVariant  as a file of ours records it, like {@code ourInit}; null in PEFT's
     * @throws AdapterFormatException for a start or variant that is unknown
     */
    public static Kind of(Object init, boolean dora, String ourVariant, String ourInit) throws AdapterFormatException {
        String peftInit = init == null ? null : init.toString();
        Variant variant = dora ? new DoRA() : ourVariant == null ? new PlainLoRA() : VARIANTS.get(ourVariant);
        if (variant == null || !dora && !variant.isAdditive()) {
            throw new AdapterFormatException("The variant \"" + ourVariant + "\" is not supported here; "
                    + VARIANTS.keySet() + " are, DoRA with use_dora in adapter_config.json");
        }
        String start = peftInit == null ? "true" : peftInit.toLowerCase(Locale.ROOT);
        if (start.startsWith(PISSA_ITERATIONS)) {
            try {
                int iterations = Math.max(1, Integer.parseInt(start.substring(PISSA_ITERATIONS.length())));
                if (iterations > LoRASettings.MOST_PISSA_ITERATIONS) {
                    throw new AdapterFormatException("adapter_config.json: init_lora_weights is \"" + peftInit + "\"; at most "
                            + LoRASettings.MOST_PISSA_ITERATIONS + " iterations are computed here");
                }
                return new Kind(variant, LoRAInit.PISSA, iterations);
            } catch (NumberFormatException e) {
                throw new AdapterFormatException("adapter_config.json: init_lora_weights is \"" + peftInit + "\", which names no "
                        + "number of iterations", e);
            }
        }
        return switch (start) {
            // What EVA starts from its data is in A, what MiCA takes from W is in B; the base is as it was.
            case "true", "false", "eva", "mica" -> new Kind(variant, ourInit(ourInit), 0);
            case "gaussian" -> new Kind(variant, LoRAInit.GAUSSIAN, 0);
            case ORTHOGONAL -> new Kind(variant, LoRAInit.ORTHOGONAL, 0);
            case "olora" -> new Kind(variant, LoRAInit.OLORA, 0);
            case "pissa" -> new Kind(variant, LoRAInit.PISSA, 0);
            default -> throw new AdapterFormatException("adapter_config.json: init_lora_weights is \"" + peftInit
                    + "\", which is not supported: what it has changed in the base cannot be had again here. Convert the adapter "
                    + "with PEFT's path_initial_model_for_weight_conversion");
        };
    }

    /** As {@link #of}, of what this library recorded beside an adapter that is stored as a plain one. */
    static Kind recorded(String init, Variant variant) throws AdapterFormatException {
        return init.equals(LORA_GA) ? new Kind(variant, LoRAInit.LORA_GA, 0) : of(init, false, variant.name(), null);
    }

    /** Whether PEFT, which computes the start anew when it reads a file, would not come to the same one. */
    boolean isStartOfItsOwn() {
        return pissaIterations > 0 || init == LoRAInit.LORA_GA;
    }

    /** Where PEFT has no word for it, or none for all layers. */
    private static LoRAInit ourInit(String recorded) {
        return Arrays.stream(LoRAInit.values()).filter(init -> init.name().equals(recorded) && !init.isTakenFromW()).findFirst()
                .orElse(LoRAInit.KAIMING_UNIFORM);
    }
}
