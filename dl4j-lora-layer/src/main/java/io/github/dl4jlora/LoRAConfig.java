package io.github.dl4jlora;

import io.github.dl4jlora.layer.Engine;
import io.github.dl4jlora.variant.Variant;
import org.nd4j.linalg.learning.config.IUpdater;
import org.nd4j.linalg.learning.regularization.Regularization;

import java.net.URI;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Consumer;
import java.util.regex.Pattern;

/**
 * How {@link LoRA#apply} converts a network. Immutable. Patterns are regular expressions that must match a whole vertex or
 * layer name.
 */
public final class LoRAConfig {

    private final LoRASettings settings;
    private final Selection selection;
    private final Training training;
    private final Standing base;
    private final FromData data;

    private LoRAConfig(LoRASettings settings, Selection selection, Training training, Standing base, FromData data) {
        this.settings = settings;
        this.selection = selection;
        this.training = training;
        this.base = base;
        this.data = data;
    }

    /**
     * What the layers that a pattern matches do differently.
     *
     * @param rank            null: as configured for all
     * @param alpha           null: as configured for all
     * @param variant         null: as configured for all
     * @param loraInit        null: as configured for all
     * @param pissaIterations null: as configured for all
     */
    public record LayerOverride(Integer rank, Double alpha, Variant variant, LoRAInit loraInit, Integer pissaIterations) {

        static LayerOverride of(Consumer<Builder> settings) {
            Builder builder = new Builder();
            settings.accept(builder);
            return new LayerOverride(builder.rank, builder.alpha, builder.variant, builder.loraInit, builder.pissaIterations);
        }

        LayerOverride changedBy(LayerOverride later) {
            return new LayerOverride(later.rank == null ? rank : later.rank, later.alpha == null ? alpha : later.alpha,
                    later.variant == null ? variant : later.variant, later.loraInit == null ? loraInit : later.loraInit,
                    later.pissaIterations == null ? pissaIterations : later.pissaIterations);
        }

        /** Collects what a layer does differently. */
        public static final class Builder {

            private Integer rank;
            private Double alpha;
            private Variant variant;
            private LoRAInit loraInit;
            private Integer pissaIterations;

            private Builder() {
            }

            /**
             * Another rank.
             *
             * @param rank at least 1
             * @return this
             */
            public Builder rank(int rank) {
                this.rank = rank;
                return this;
            }

            /**
             * Another alpha.
             *
             * @param alpha finite, not 0
             * @return this
             */
            public Builder alpha(double alpha) {
                this.alpha = alpha;
                return this;
            }

            /**
             * Another variant.
             *
             * @param variant what is computed with A and B
             * @return this
             */
            public Builder variant(Variant variant) {
                this.variant = variant;
                return this;
            }

            /**
             * Another start.
             *
             * @param init how A and B start
             * @return this
             */
            public Builder loraInit(LoRAInit init) {
                this.loraInit = init;
                return this;
            }

            /**
             * Another number of iterations of the start PISSA.
             *
             * @param iterations 0 decomposes W exactly
             * @return this
             */
            public Builder pissaIterations(int iterations) {
                this.pissaIterations = iterations;
                return this;
            }
        }

        /**
         * Settings of all layers as they are for the layers that are overridden.
         *
         * @param settings of all layers
         * @return the settings with what is other here
         * @throws IllegalArgumentException if one is out of its range
         */
        public LoRASettings applyTo(LoRASettings settings) {
            return settings.toBuilder().rank(rank == null ? settings.rank() : rank)
                    .alpha(alpha == null ? settings.alpha() : alpha)
                    .variant(variant == null ? settings.variant() : variant)
                    .loraInit(loraInit == null ? settings.loraInit() : loraInit)
                    .pissaIterations(pissaIterations == null ? settings.pissaIterations() : pissaIterations).build();
        }
    }

    /** {@return a builder that starts with the defaults: rank 8, alpha 1, every DenseLayer} */
    public static Builder builder() {
        return new Builder();
    }

    /** {@return this configuration, to change some of it; {@code targets}, {@code exclude} and {@code trainable} add to it} */
    public Builder toBuilder() {
        Builder builder = new Builder();
        builder.lora = settings.toBuilder();
        builder.select(selection);
        builder.trainAs(training);
        builder.standOn(base);
        builder.startFrom(data);
        return builder;
    }

    /**
     * This configuration with other overrides in place of those it has.
     *
     * @param overrides by pattern, as {@link #overrides} has them
     * @return the configuration
     */
    public LoRAConfig withOverrides(Map<Pattern, LayerOverride> overrides) {
        return new LoRAConfig(settings, selection.withOverrides(overrides), training, base, data);
    }

    /** {@return rank, alpha, variant and whatever else makes an adapter, of all layers but for {@link #overrides}} */
    public LoRASettings settings() {
        return settings;
    }

    /** {@return {@link LoRASettings#rank}} */
    public int rank() {
        return settings.rank();
    }

    /** {@return {@link LoRASettings#alpha}} */
    public double alpha() {
        return settings.alpha();
    }

    /** {@return {@link LoRASettings#scaling}} */
    public Scaling scaling() {
        return settings.scaling();
    }

    /** {@return {@link LoRASettings#loraInit}} */
    public LoRAInit loraInit() {
        return settings.loraInit();
    }

    /** {@return {@link LoRASettings#loraDropout}} */
    public double loraDropout() {
        return settings.loraDropout();
    }

    /** {@return {@link LoRASettings#variant}} */
    public Variant variant() {
        return settings.variant();
    }

    /** {@return {@link LoRASettings#loraPlusRatio}} */
    public double loraPlusRatio() {
        return settings.loraPlusRatio();
    }

    /** {@return {@link LoRASettings#pissaIterations}} */
    public int pissaIterations() {
        return settings.pissaIterations();
    }

    /** {@return {@link LoRASettings#engine}} */
    public Engine engine() {
        return settings.engine();
    }

    /** {@return which biases train beside the adapters} */
    public BiasTraining bias() {
        return training.bias();
    }

    /** {@return patterns of what is adapted} None, with neither target types nor {@link #targetsAll}: every DenseLayer. */
    public List<Pattern> targets() {
        return selection.targets();
    }

    /** {@return targets beside those that patterns name} */
    public Set<LayerType> targetTypes() {
        return selection.types();
    }

    /** {@return whether every layer that can be adapted is a target, but output layers} */
    public boolean targetsAll() {
        return selection.all();
    }

    /** {@return what is not adapted although a target matches it} */
    public List<Pattern> exclude() {
        return selection.exclude();
    }

    /** {@return layers that train in full} */
    public List<Pattern> trainable() {
        return selection.trainable();
    }

    /** {@return other ranks and alphas, in the order in which they were given, the first that sets one wins; unmodifiable} */
    public Map<Pattern, LayerOverride> overrides() {
        return selection.overrides();
    }

    /** {@return the updater of everything that trains, a copy; null: each layer's own in the base network} */
    public IUpdater updater() {
        return training.updater() == null ? null : training.updater().clone();
    }

    /** {@return that of A and B, copies} What the base network has for its own weights does not carry over. */
    public List<Regularization> regularization() {
        return training.regularization().stream().map(Regularization::clone).toList();
    }

    /** {@return what the A matrices are drawn from; null: the base network's seed} */
    public Long seed() {
        return training.seed();
    }

    /** {@return whether the adapted network goes on counting iterations and epochs where the base stopped} */
    public boolean keepCounts() {
        return training.keepCounts();
    }

    /** {@return where frozen values live} */
    public FrozenStorage storage() {
        return base.storage();
    }

    /** {@return whether they are a copy of the base's} */
    public boolean copyBase() {
        return base.copy();
    }

    /** {@return where the base can be loaded from; null: none recorded} */
    public URI baseLocation() {
        return base.location();
    }

    /** {@return how frozen matrices are kept in fewer bits; null: as they are} */
    public Quantization quantization() {
        return base.quantization();
    }

    /** {@return the sum of all ranks, which the data distributes; null: each is as configured} */
    public Integer rankBudget() {
        return data.rankBudget();
    }

    /** {@return how many times its own rank a matrix may get of {@link #rankBudget} at most} */
    public double rankBudgetRho() {
        return data.rho();
    }

    /** {@return how many batches a start from data looks at at most; null: as is each start's default} */
    public Integer startBatches() {
        return data.batches();
    }

    /** What this configuration adapts, trained and kept as the other says, with its biases too if the other has none. */
    LoRAConfig trainedAs(LoRAConfig other) {
        Builder builder = toBuilder().loraDropout(other.loraDropout()).loraPlusRatio(other.loraPlusRatio())
                .engine(other.engine());
        builder.trainAs(other.training);
        builder.standOn(other.base);
        return builder.bias(other.bias() == BiasTraining.NONE ? bias() : other.bias()).build();
    }

    @Override
    public String toString() {
        return "LoRAConfig(" + settings + ", " + selection + ", " + training + ", " + base + ", " + data + ")";
    }

    /** Builds a {@link LoRAConfig}; every setting has a default. */
    public static final class Builder extends FromData.Builder<Builder> implements LoRAOptions<Builder> {

        private LoRASettings.Builder lora = LoRASettings.builder().rank(LoRASettings.DEFAULTS.rank());

        private Builder() {
        }

        @Override
        Builder self() {
            return this;
        }

        @Override
        public LoRASettings.Builder lora() {
            return lora;
        }

        /**
         * Makes the configuration.
         *
         * @return the configuration
         * @throws IllegalArgumentException for a rank below 1, an alpha that is 0 or not finite, a loraDropout outside
         *                                  [0, 1), a start that rank, alpha or {@code quantize} do not allow, a loraPlusRatio
         *                                  that is not above 0 or whose updater has no learning rate, {@code quantize} with
         *                                  {@link FrozenStorage#EMBEDDED}, or a {@code rankBudget} below 1
         */
        public LoRAConfig build() {
            Training training = training();
            LoRASettings settings = lora.trainBias(training.bias() != BiasTraining.NONE).build("LoRAConfig");
            settings.checkFit("LoRAConfig", 0, 0, training.updater());
            Selection selection = selection();
            selection.overrides().forEach((pattern, override) -> {
                try {
                    LoRASettings other = override.applyTo(settings);
                    lora.warnOfRawAlpha(other.alpha(), other.rank());
                } catch (IllegalArgumentException e) {
                    throw new IllegalArgumentException("override(\"" + pattern + "\", …): " + e.getMessage(), e);
                }
            });
            return new LoRAConfig(settings, selection, training, standing(), fromData());
        }
    }
}
