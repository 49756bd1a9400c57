package io.github.dl4jlora.property;

import io.github.dl4jlora.conf.BiasTraining;
import io.github.dl4jlora.conf.Engine;
import io.github.dl4jlora.conf.FrozenStorage;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.LoRAInit;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.variant.DoRA;
import io.github.dl4jlora.variant.FrozenALoRA;
import io.github.dl4jlora.variant.PlainLoRA;
import io.github.dl4jlora.variant.Variant;

import java.util.function.Supplier;

/**
 * How a network is adapted.
 *
 * @param everywhere whether settings that not every layer takes are asked of all adapted layers, which is refused; else
 *                   of those that take them, and the others stay frozen
 */
record Settings(Which variant, LoRAInit init, int pissaIterations, BiasTraining bias, boolean loraDropout, double loraPlusRatio,
                Scaling scaling, int rank, Engine engine, Place place, boolean everywhere) {

    /** The variants of LoRA. */
    enum Which {
        PLAIN(PlainLoRA::new), DORA(DoRA::new), FROZEN_A(FrozenALoRA::new);

        private final Supplier<Variant> make;

        Which(Supplier<Variant> make) {
            this.make = make;
        }
    }

    /** Where the frozen values are. */
    enum Place {
        SHARED, COPIED, EMBEDDED, BF16(Quantization.BF16, false), INT8(Quantization.INT8, false), NF4(Quantization.NF4, false),
        MAPPED(null, true), MAPPED_BF16(Quantization.BF16, true), MAPPED_INT8(Quantization.INT8, true),
        MAPPED_NF4(Quantization.NF4, true), PACKED, PACKED_BF16(Quantization.BF16, false), PACKED_INT8(Quantization.INT8, false),
        PACKED_MAPPED(null, true);

        /** How matrices are kept in fewer bits; null: as they are. */
        final Quantization scheme;
        /** Whether in a file that is mapped, which keeps them so already. */
        final boolean mapped;

        Place() {
            this(null, false);
        }

        Place(Quantization scheme, boolean mapped) {
            this.scheme = scheme;
            this.mapped = mapped;
        }

        /** Whether the values are the base's own arrays. */
        boolean needsBase() {
            return this == SHARED || this == PACKED;
        }

        /** Whether products use packed copies. */
        boolean isPacked() {
            return name().startsWith("PACKED");
        }
    }

    /** What computes a layer with a matrix, and so which settings it takes. */
    enum By {
        PRODUCT, KERNEL, EFFECTIVE_WEIGHTS
    }

    /** Whether a layer with a matrix takes these settings. */
    boolean isTakenBy(By layer) {
        boolean hasVariant = variant == Which.PLAIN || variant == Which.DORA && layer == By.KERNEL;
        return layer == By.PRODUCT ? engine != Engine.EFFECTIVE_WEIGHTS
                : engine != Engine.SAMEDIFF && hasVariant && !init.isTakenFromW() && !startsFromLoss() && !loraDropout
                && (init != LoRAInit.EVA || layer == By.KERNEL);
    }

    /** Asked of layers too that do not take them. */
    Settings everywhereAsked() {
        return new Settings(variant, init, pissaIterations, bias, loraDropout, loraPlusRatio, scaling, rank, engine, place,
                true);
    }

    /** What a network takes whose biases cannot all be trained. */
    Settings withoutBiasesOfFrozenLayers() {
        return bias != BiasTraining.ALL ? this : new Settings(variant, init, pissaIterations, BiasTraining.LORA_ONLY, loraDropout,
                loraPlusRatio, scaling, rank, engine, place, everywhere);
    }

    Settings by(Engine other) {
        return new Settings(variant, init, pissaIterations, bias, loraDropout, loraPlusRatio, scaling, rank, other, place,
                everywhere);
    }

    Settings at(Place other) {
        return new Settings(variant, init, pissaIterations, bias, loraDropout, loraPlusRatio, scaling, rank, engine, other,
                everywhere);
    }

    /** Whether a fresh adapter is what quantising lost, so that it computes something. */
    boolean startsFromLoss() {
        return init == LoRAInit.LOFTQ && place.scheme != null && !place.mapped;
    }

    /** Whether constants depend on a pass over data, so that on slightly other weights they are others. */
    boolean keepsWhatDataTold() {
        return init == LoRAInit.LORA_GA || init == LoRAInit.EVA && variant == Which.FROZEN_A;
    }

    LoRAConfig.Builder config() {
        LoRAInit start = init == LoRAInit.LOFTQ && !startsFromLoss() ? LoRAInit.KAIMING_UNIFORM : init;
        return LoRAConfig.builder().rank(allowedRank()).alpha(0.8).variant(variant.make.get()).loraInit(start)
                .quantize(place.scheme)
                .pissaIterations(start == LoRAInit.PISSA || start == LoRAInit.LOFTQ ? pissaIterations : 0).bias(bias)
                .loraDropout(loraDropout ? 0.3 : 0)
                .loraPlusRatio(loraPlusRatio).scaling(scaling).engine(engine).copyBase(place == Place.COPIED)
                .pack(place.isPacked()).storage(place == Place.EMBEDDED ? FrozenStorage.EMBEDDED : FrozenStorage.SHARED);
    }

    /** Even where that is asked for, and where it is taken from W or inputs no more than the narrowest layer has. */
    private int allowedRank() {
        return init == LoRAInit.ORTHOGONAL ? rank + rank % 2 : init.dependsOnW() || init.needsData() ? Math.min(rank, 2) : rank;
    }
}
