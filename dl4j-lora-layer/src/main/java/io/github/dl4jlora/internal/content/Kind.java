package io.github.dl4jlora.internal.content;

import io.github.dl4jlora.conf.LoRAInit;
import io.github.dl4jlora.conf.LoRASettings;
import io.github.dl4jlora.variant.PlainLoRA;
import io.github.dl4jlora.variant.Variant;

/**
 * What sort of adapter a layer has, beside its values.
 *
 * @param variant          what is computed with A and B
 * @param init             how they started
 * @param pissaIterations  of that start
 * @param startedElsewhere whether that start was taken from other values than those of the base: from fewer bits, or from
 *                         another base
 */
public record Kind(Variant variant, LoRAInit init, int pissaIterations, boolean startedElsewhere) {

    public static final Kind PLAIN = new Kind(new PlainLoRA(), LoRAInit.KAIMING_UNIFORM, 0);

    /** What LoftQ and EVA start from is in the values by now; another base, or other data, would give another start. */
    public Kind {
        if (init == LoRAInit.LOFTQ || init == LoRAInit.EVA) {
            init = LoRAInit.KAIMING_UNIFORM;
            pissaIterations = 0;
        }
    }

    public Kind(Variant variant, LoRAInit init, int pissaIterations) {
        this(variant, init, pissaIterations, false);
    }

    /** What these settings say of it. */
    public static Kind of(LoRASettings settings) {
        return new Kind(settings.variant(), settings.loraInit(), settings.pissaIterations());
    }

    /** Whether it scales the columns of W + s·A·B instead of adding to W. */
    public boolean isDora() {
        return !variant.isAdditive();
    }

    /** How it started, in words. */
    public String start() {
        return init + (pissaIterations > 0 ? " with " + pissaIterations + " iterations" : "");
    }

    /** The same, started from other values. */
    public Kind elsewhere() {
        return new Kind(variant, init, pissaIterations, true);
    }

    /** The same for A and B that no longer say how they started. */
    public Kind started() {
        return new Kind(variant, PLAIN.init, 0);
    }
}
