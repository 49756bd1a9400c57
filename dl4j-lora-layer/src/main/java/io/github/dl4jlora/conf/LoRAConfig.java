package io.github.dl4jlora.conf;

import io.github.dl4jlora.internal.common.NamePattern;
import io.github.dl4jlora.internal.common.UriSecrets;
import io.github.dl4jlora.variant.Variant;
import org.deeplearning4j.util.NetworkUtils;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.learning.config.IUpdater;
import org.nd4j.linalg.learning.regularization.L1Regularization;
import org.nd4j.linalg.learning.regularization.L2Regularization;
import org.nd4j.linalg.learning.regularization.Regularization;
import org.nd4j.linalg.learning.regularization.WeightDecay;

import java.net.URI;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.function.Consumer;
import java.util.regex.Pattern;

/**
 * How {@link io.github.dl4jlora.LoRA#apply LoRA.apply} converts a network. Immutable. Patterns are regular expressions that must
 * match a whole vertex or layer name.
 *
 * <pre>{@code
 * LoRAConfig config = LoRAConfig.builder()
 *         .rank(8).alpha(16).scaling(Scaling.ALPHA_OVER_RANK)
 *         .targets("fc.*").targets(LayerType.RECURRENT)    // default: every dense layer
 *         .override("fc1", layer -> layer.rank(4))
 *         .trainable("out")                                // trains in full
 *         .updater(new Adam(1e-3))
 *         .build();
 * ComputationGraph tuned = LoRA.apply(base, config);
 * }</pre>
 */
public final class LoRAConfig {

    private final LoRASettings settings;
    private final Selection selection;
    private final Training training;
    private final BaseOptions base;
    private final FromData data;

    private LoRAConfig(LoRASettings settings, Selection selection, Training training, BaseOptions base, FromData data) {
        this.settings = settings;
        this.selection = selection;
        this.training = training;
        this.base = base;
        this.data = data;
    }

    /**
     * Settings of the layers that a pattern matches, where they differ from those of all layers.
     *
     * @param rank            null: as configured for all
     * @param alpha           null: as configured for all
     * @param variant         null: as configured for all
     * @param loraInit        null: as configured for all
     * @param pissaIterations null: as configured for all
     */
    public record LayerOverride(@Nullable Integer rank, @Nullable Double alpha, @Nullable Variant variant,
                                @Nullable LoRAInit loraInit, @Nullable Integer pissaIterations) {

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

        /** Sets what {@code override(…)} changes for the layers that its pattern matches. */
        public static final class Builder {

            private @Nullable Integer rank;
            private @Nullable Double alpha;
            private @Nullable Variant variant;
            private @Nullable LoRAInit loraInit;
            private @Nullable Integer pissaIterations;

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
         * Makes the settings of overridden layers from those of all layers.
         *
         * @param settings of all layers
         * @return these settings with the differences applied
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

    /**
     * {@return a builder that starts with this configuration} {@code targets}, {@code exclude}, {@code trainable} and
     * {@code recompute} add to it. Where it has no targets, added ones take the place of the default:
     * {@code targets(LayerType.CONVOLUTION)} then leaves dense layers out. Where several overrides match, its own count before
     * added ones.
     */
    public Builder toBuilder() {
        return new Builder(this);
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

    /** {@return rank, alpha, variant and all else that makes an adapter, for all layers except for {@link #overrides}} */
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

    /** {@return which biases train alongside the adapters} */
    public BiasTraining bias() {
        return training.bias();
    }

    /**
     * {@return patterns of what is adapted} Without any, without target types and without {@link #targetsAll}, every DenseLayer
     * is adapted.
     */
    public List<Pattern> targets() {
        return selection.targets();
    }

    /** {@return types of layers that are targets, besides those that patterns name} */
    public Set<LayerType> targetTypes() {
        return selection.types();
    }

    /** {@return whether every layer that can be adapted is a target, except output layers} */
    public boolean targetsAll() {
        return selection.all();
    }

    /** {@return patterns of what is not adapted although a target matches it} */
    public List<Pattern> exclude() {
        return selection.exclude();
    }

    /** {@return patterns of layers that train in full} */
    public List<Pattern> trainable() {
        return selection.trainable();
    }

    /** {@return other ranks and alphas in the order in which they were given: the first that sets one wins; unmodifiable} */
    public Map<Pattern, LayerOverride> overrides() {
        return selection.overrides();
    }

    /** {@return the updater of everything that trains, a copy; null: each layer's own in the base network} */
    public @Nullable IUpdater updater() {
        return training.updater() == null ? null : training.updater().clone();
    }

    /**
     * {@return copies of the regularization of A and B} The base network's regularization of its own weights does not carry
     * over.
     */
    public List<Regularization> regularization() {
        return training.regularization().stream().map(Regularization::clone).toList();
    }

    /** {@return the seed that the A matrices are drawn from; null: the base network's seed} */
    public @Nullable Long seed() {
        return training.seed();
    }

    /** {@return whether the adapted network goes on counting iterations and epochs where the base stopped} */
    public boolean keepCounts() {
        return training.keepCounts();
    }

    /** {@return patterns of the layers and vertices between which outputs are computed again} */
    public List<Pattern> recompute() {
        return training.recomputed();
    }

    /** {@return where frozen values live} */
    public FrozenStorage storage() {
        return base.storage();
    }

    /** {@return whether frozen values are a copy of the base's} */
    public boolean copyBase() {
        return base.copy();
    }

    /** {@return where the base can be loaded from; null: none recorded} */
    public @Nullable URI baseLocation() {
        return base.location();
    }

    /** {@return how frozen matrices are kept in fewer bits; null: as they are} */
    public @Nullable Quantization quantization() {
        return base.quantization();
    }

    /** {@return whether products use packed copies of frozen matrices} */
    public boolean pack() {
        return base.pack();
    }

    /** {@return the sum of all ranks, which the data distributes; null: each is as configured} */
    public @Nullable Integer rankBudget() {
        return data.rankBudget();
    }

    /** {@return the largest rank that a matrix may get from {@link #rankBudget}, as a multiple of its own rank} */
    public double rankBudgetRho() {
        return data.rho();
    }

    /** {@return the largest number of batches that a start from data uses; null: each start's default} */
    public @Nullable Integer startBatches() {
        return data.batches();
    }

    /**
     * Combines what this configuration adapts with how another one trains and keeps it.
     *
     * @param other gives dropout, LoRA+, engine, updater, regularization, seed, storage and the base's form; its {@link #bias}
     *              counts unless it is {@link BiasTraining#NONE}
     * @return a configuration with the targets, ranks, alphas, variants and starts of this one
     */
    public LoRAConfig trainedAs(LoRAConfig other) {
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
    public static final class Builder implements LoRAOptions<Builder> {

        private LoRASettings.Builder lora = LoRASettings.builder().rank(LoRASettings.DEFAULTS.rank());
        private final List<Pattern> targets = new ArrayList<>();
        private final Set<LayerType> targetTypes = EnumSet.noneOf(LayerType.class);
        private boolean allTargets;
        private final List<Pattern> exclude = new ArrayList<>();
        private final List<Pattern> trainable = new ArrayList<>();
        private final Map<Pattern, LayerOverride> overrides = new LinkedHashMap<>();
        private BiasTraining bias = BiasTraining.NONE;
        private @Nullable IUpdater updater;
        private final List<Regularization> regularization = new ArrayList<>();
        private @Nullable Long seed;
        private boolean keepCounts;
        private final List<Pattern> recomputed = new ArrayList<>();
        private FrozenStorage storage = FrozenStorage.SHARED;
        private boolean copyBase;
        private @Nullable URI baseLocation;
        private @Nullable Quantization quantization;
        private boolean pack;
        private @Nullable Integer rankBudget;
        private double rho = FromData.RHO;
        private @Nullable Integer startBatches;

        private Builder() {
        }

        private Builder(LoRAConfig config) {
            lora = config.settings.toBuilder();
            targets.addAll(config.selection.targets());
            targetTypes.addAll(config.selection.types());
            allTargets = config.selection.all();
            exclude.addAll(config.selection.exclude());
            trainable.addAll(config.selection.trainable());
            overrides.putAll(config.selection.overrides());
            trainAs(config.training);
            standOn(config.base);
            rankBudget = config.data.rankBudget();
            rho = config.data.rho();
            startBatches = config.data.batches();
        }

        private void trainAs(Training training) {
            bias = training.bias();
            updater = training.updater();
            regularization.clear();
            regularization.addAll(training.regularization());
            seed = training.seed();
            keepCounts = training.keepCounts();
            recomputed.clear();
            recomputed.addAll(training.recomputed());
        }

        private void standOn(BaseOptions base) {
            storage = base.storage();
            copyBase = base.copy();
            baseLocation = base.location();
            quantization = base.quantization();
            pack = base.pack();
        }

        @Override
        public LoRASettings.Builder lora() {
            return lora;
        }

        @Override
        public Builder rank(int rank) {
            return LoRAOptions.super.rank(rank);
        }

        @Override
        public Builder alpha(double alpha) {
            return LoRAOptions.super.alpha(alpha);
        }

        @Override
        public Builder scaling(Scaling scaling) {
            return LoRAOptions.super.scaling(scaling);
        }

        @Override
        public Builder loraInit(LoRAInit init) {
            return LoRAOptions.super.loraInit(init);
        }

        @Override
        public Builder pissaIterations(int iterations) {
            return LoRAOptions.super.pissaIterations(iterations);
        }

        @Override
        public Builder loraDropout(double probability) {
            return LoRAOptions.super.loraDropout(probability);
        }

        @Override
        public Builder variant(Variant variant) {
            return LoRAOptions.super.variant(variant);
        }

        @Override
        public Builder loraPlusRatio(double ratio) {
            return LoRAOptions.super.loraPlusRatio(ratio);
        }

        @Override
        public Builder engine(Engine engine) {
            return LoRAOptions.super.engine(engine);
        }

        /**
         * What to adapt; default every DenseLayer. A pattern that matches a layer's or vertex's name adapts all its weight
         * matrices; one that matches {@code name/key}, such as {@code lstm/RW} or {@code attention/W[qv]}, adapts only these.
         * Tables, messages and adapter files call such a parameter {@code lstm.RW}. You may also write {@code lstm.RW}. Prefer
         * the slash: in a regular expression the dot matches any character. Output layers are adapted only when named.
         *
         * @param patterns regular expressions, each of a whole name; at least one
         * @return this
         * @throws IllegalArgumentException if there is none, or one is no regular expression
         */
        public Builder targets(String... patterns) {
            requireSome(patterns, "pattern");
            addAll(targets, "targets", patterns);
            return this;
        }

        /**
         * Layers to adapt by their kind: {@code targets(LayerType.CONVOLUTION)}.
         *
         * @param types of layers; at least one
         * @return this
         * @throws IllegalArgumentException if there is none
         */
        public Builder targets(LayerType... types) {
            requireSome(types, "type of layers");
            targetTypes.addAll(List.of(types));
            return this;
        }

        /**
         * Adapts every layer that can be adapted, except output layers: like PEFT's {@code all-linear}, but of every kind of
         * layer; dense layers alone are the default. Layers that cannot be adapted are frozen.
         *
         * @return this
         */
        public Builder allTargets() {
            this.allTargets = true;
            return this;
        }

        /**
         * Layers, or parameters as {@code name/key}, that are not to be adapted although a target matches them.
         *
         * @param patterns regular expressions, each of a whole name
         * @return this
         */
        public Builder exclude(String... patterns) {
            addAll(exclude, "exclude", patterns);
            return this;
        }

        /**
         * Layers that are trained in full alongside the adapters: PEFT's {@code modules_to_save}; default none.
         *
         * @param patterns regular expressions, each of a whole name
         * @return this
         */
        public Builder trainable(String... patterns) {
            addAll(trainable, "trainable", patterns);
            return this;
        }

        /**
         * Another rank, alpha, variant, start or number of its iterations for the layers that the pattern matches: PEFT's
         * {@code rank_pattern}, {@code alpha_pattern}. A pattern may also match single parameters, as {@code name/key}; all
         * matrices of a layer must have the same variant and the same start. Where several patterns match, the rank comes from
         * the first that sets a rank, and alpha from the first that sets an alpha, as in PEFT. If the very same pattern is given
         * again, it changes its earlier settings and keeps its place.
         *
         * @param pattern  a regular expression of a whole name
         * @param settings what differs
         * @return this
         */
        public Builder override(String pattern, Consumer<LayerOverride.Builder> settings) {
            Pattern compiled = NamePattern.of("override", pattern);
            Pattern known = overrides.keySet().stream().filter(present -> present.pattern().equals(pattern)).findFirst()
                    .orElse(compiled);
            overrides.merge(known, LayerOverride.of(
                    Objects.requireNonNull(settings, "the settings of override(\"" + pattern + "\", …) are null")),
                    LayerOverride::changedBy);
            return this;
        }

        /** An empty list, such as one from which a filter has taken all, would mean every dense layer. */
        private static void requireSome(Object[] targets, String what) {
            if (Objects.requireNonNull(targets, "targets").length == 0) {
                throw new IllegalArgumentException("targets() was given no " + what
                        + ". Give at least one, or do not call it: then every DenseLayer is adapted");
            }
        }

        private static void addAll(List<Pattern> list, String what, String... patterns) {
            for (String pattern : patterns) {
                list.add(NamePattern.of(what, pattern));
            }
        }

        /**
         * Which biases train alongside the adapters; default {@link BiasTraining#NONE}.
         *
         * @param bias which of them
         * @return this
         */
        public Builder bias(BiasTraining bias) {
            this.bias = Objects.requireNonNull(bias, "bias");
            return this;
        }

        /**
         * As {@link #bias(BiasTraining)}, in PEFT's words.
         *
         * @param peftName {@code none}, {@code lora_only} or {@code all}
         * @return this
         * @throws IllegalArgumentException for anything but {@code none}, {@code lora_only} and {@code all}
         */
        public Builder bias(String peftName) {
            return bias(BiasTraining.ofPeftName(peftName));
        }

        /**
         * The updater of everything that trains; default, or null: each layer's own in the base network.
         * {@code new Accumulated(updater, 8)} makes one update of 8 batches ({@link Accumulated}).
         *
         * @param updater null: each layer's own in the base network
         * @return this
         */
        public Builder updater(@Nullable IUpdater updater) {
            this.updater = updater == null ? null : updater.clone();
            return this;
        }

        /**
         * L1 regularization of A and B; default none.
         *
         * @param coefficient above 0; 0 takes back what was set before
         * @return this
         * @throws IllegalArgumentException for a coefficient below 0 or NaN
         */
        public Builder l1(double coefficient) {
            return regularization("l1", coefficient, new L1Regularization(coefficient));
        }

        /**
         * L2 regularization of A and B; default none. As on DL4J's builders it replaces {@link #weightDecay}, with a warning in
         * the log: both at once make no sense.
         *
         * @param coefficient above 0; 0 takes back what was set before, and leaves weight decay alone
         * @return this
         * @throws IllegalArgumentException for a coefficient below 0 or NaN
         */
        public Builder l2(double coefficient) {
            replace(coefficient, WeightDecay.class, "L2 regularization replaces weight decay: using both makes no sense");
            return regularization("l2", coefficient, new L2Regularization(coefficient));
        }

        /**
         * Weight decay of A and B, times the learning rate; default none. As on DL4J's builders it replaces {@link #l2}, with a
         * warning in the log: both at once make no sense.
         *
         * @param coefficient above 0; 0 takes back what was set before, and leaves L2 regularization alone
         * @return this
         * @throws IllegalArgumentException for a coefficient below 0 or NaN
         */
        public Builder weightDecay(double coefficient) {
            replace(coefficient, L2Regularization.class, "Weight decay replaces L2 regularization: using both makes no sense");
            return regularization("weightDecay", coefficient, new WeightDecay(coefficient, true));
        }

        private void replace(double coefficient, Class<? extends Regularization> other, String why) {
            if (coefficient > 0) {
                NetworkUtils.removeInstancesWithWarning(regularization, other, why);
            }
        }

        private Builder regularization(String setting, double coefficient, Regularization added) {
            if (!(coefficient >= 0)) {
                throw new IllegalArgumentException(setting + " is " + coefficient + ", but must be 0 (none) or more. Set it with "
                        + setting + "(1e-4), for example");
            }
            NetworkUtils.removeInstances(regularization, added.getClass());
            if (coefficient > 0) {
                regularization.add(added);
            }
            return this;
        }

        /**
         * Seed of the A matrices; default: the base network's.
         *
         * @param seed any
         * @return this
         */
        public Builder seed(long seed) {
            this.seed = seed;
            return this;
        }

        /**
         * Whether the adapted network goes on counting iterations and epochs where the base stopped; default false. Its
         * updaters start without state, so that with the base's counts Adam's bias correction is off, and a schedule is
         * wherever the base's training left it.
         *
         * @param keepCounts true: go on
         * @return this
         */
        public Builder keepCounts(boolean keepCounts) {
            this.keepCounts = keepCounts;
            return this;
        }

        /**
         * Where frozen values live; default {@link FrozenStorage#SHARED}.
         *
         * @param storage in the network's vector or outside it
         * @return this
         */
        public Builder storage(FrozenStorage storage) {
            this.storage = Objects.requireNonNull(storage, "storage");
            return this;
        }

        /**
         * Whether the adapted network gets a copy of the frozen values instead of views of the base's own; then the
         * base may be trained or closed afterwards. Default false. Without meaning for {@link FrozenStorage#EMBEDDED},
         * which always copies.
         *
         * @param copy true: a copy
         * @return this
         */
        public Builder copyBase(boolean copy) {
            this.copyBase = copy;
            return this;
        }

        /**
         * Where a JVM without the base network, such as an executor of a cluster, can load it: a file that DL4J's
         * ModelSerializer wrote. The base found there must have the recorded content ids. Schemes that the JDK cannot open need
         * a {@link BaseOpener}. So do servers that ask for credentials, since the location is written into the network's JSON
         * and into every checkpoint.
         *
         * @param location absolute, without user info and query; null: none
         * @return this
         * @throws IllegalArgumentException if the location has no scheme: it would mean another place on every machine; or if
         *                                  it has user info or a query, which may be secrets
         */
        public Builder baseLocation(@Nullable URI location) {
            if (location != null && !location.isAbsolute()) {
                throw new IllegalArgumentException("The base location \"" + UriSecrets.shown(location) + "\" has no scheme; use "
                        + "Path.toUri() for a file, or a URI such as hdfs://host/path");
            }
            if (location != null && UriSecrets.mayBeIn(location)) {
                throw new IllegalArgumentException("The base location \"" + UriSecrets.shown(location) + "\" has user info or a "
                        + "query, which would be readable in every checkpoint; leave them out, and let a "
                        + BaseOpener.class.getName() + " add them when the base is read");
            }
            this.baseLocation = location;
            return this;
        }

        /**
         * Keeps the frozen matrices of the base in fewer bits: a copy, so that the base network need not stay in memory.
         * Default: none. Dense and output layers, convolutions, embeddings, adapted recurrent layers and adapted attention are
         * quantised; layers that train, layers that run on W + s·A·B, and parameters that are not matrices stay as they are
         * ({@link io.github.dl4jlora.LoRA#summary LoRA.summary} shows which). Adapters, gradients and updater state keep the
         * network's type. A base that is quantised already must have this scheme.
         *
         * @param scheme null: none
         * @return this
         */
        public Builder quantize(@Nullable Quantization scheme) {
            quantization = scheme;
            return this;
        }

        /**
         * Whether products and convolutions use packed copies of frozen weights, where oneDNN is on the class path: those of
         * dense, output and recurrent layers and of ordinary convolutions in two and three dimensions. Each is as large as the
         * weights, one for the forward pass and one for the gradient of the layer's input. They are made at the first pass that
         * needs them, shared by all networks on the base, and freed with it. Products of few rows, and convolutions of small
         * images, are faster then. Default false: there is no second copy of W. Without oneDNN, or in another type than FLOAT,
         * this has no effect.
         *
         * @param pack true: packed copies
         * @return this
         * @see io.github.dl4jlora.LoRA#pack LoRA.pack
         */
        public Builder pack(boolean pack) {
            this.pack = pack;
            return this;
        }

        /**
         * As {@link #rankBudget(int, double)}, with PEFT's default of 2 for rho.
         *
         * @param total of the ranks of all adapted matrices, at least 1
         * @return this
         */
        public Builder rankBudget(int total) {
            return rankBudget(total, FromData.RHO);
        }

        /**
         * Distributes ranks by the data: of the principal components of the inputs of all adapted matrices it takes the
         * {@code total} that explain most of their layer's variance. Paischer et al. 2024, arXiv:2410.07170, algorithm 1. Needs
         * {@link LoRAInit#EVA} everywhere, and {@code LoRA.apply} with data. PEFT's total is the number of matrices times the
         * rank: {@code rank(8)} of six matrices corresponds to {@code rankBudget(48)}. Here it may be any other number.
         *
         * <p>{@code rank}, or an override's rank, is what a matrix would have without a budget. With one it may get up to rho
         * times that rank, rounded, and at most its number of inputs. <b>A matrix that gets no rank is not adapted</b>: it is
         * frozen like any other layer of the base, as in PEFT, and missing in adapter files; a line of the log names it. The
         * factor s of ΔW stays what it would be without a budget: where {@link Scaling} divides by the rank, alpha changes with
         * the rank, as with PEFT's {@code adjust_scaling_factors}.
         *
         * @param total of the ranks of all adapted matrices, at least 1
         * @param rho   at least 1; with 1, a total as large as PEFT's leaves all ranks as they were
         * @return this
         */
        public Builder rankBudget(int total, double rho) {
            this.rankBudget = total;
            this.rho = rho;
            return this;
        }

        /**
         * The largest number of batches of the data that a start uses. Default: EVA ends when its components have converged or
         * when the data ends; LoRA-GA sums the gradients of the first 8.
         *
         * @param most at least 1
         * @return this
         */
        public Builder startBatches(int most) {
            this.startBatches = most;
            return this;
        }

        /**
         * Has a training step compute outputs again in the backward pass instead of keeping them (gradient checkpointing): of
         * activations only those of the layers and vertices that are named here are kept, and what is between two of them, as
         * long as it is at work. Memory for activations falls to that of one such block and the outputs named, and a step takes
         * one forward pass more. Gradients are the same, bit for bit, {@code loraDropout} included. For a ComputationGraph whose
         * blocks are connected by nothing but the outputs named; default none. It is not saved with a network: see
         * {@link io.github.dl4jlora.LoRA#recompute LoRA.recompute}.
         *
         * <pre>{@code
         * LoRAConfig config = LoRAConfig.builder().updater(new Adam(1e-3))
         *         .recompute("block.*_out")                       // the output of each block
         *         .build();
         * }</pre>
         *
         * @param boundaries regular expressions of whole names; they match two layers or vertices or more
         * @return this
         */
        public Builder recompute(String... boundaries) {
            addAll(recomputed, "recompute", boundaries);
            return this;
        }

        /**
         * Makes the configuration.
         *
         * @return the configuration
         * @throws IllegalArgumentException for a rank below 1, an alpha that is 0 or not finite, a loraDropout outside
         *                                  [0, 1), a start that rank, alpha or {@code quantize} do not allow, a loraPlusRatio
         *                                  that is not above 0 or whose updater has no learning rate, {@code quantize} with
         *                                  {@link FrozenStorage#EMBEDDED}, or a {@code rankBudget}, its rho
         *                                  or a {@code startBatches} below 1
         */
        public LoRAConfig build() {
            Training training = new Training(bias, updater, regularization, seed, keepCounts, recomputed);
            LoRASettings settings = lora.trainBias(training.bias() != BiasTraining.NONE).build("LoRAConfig");
            settings.checkFit("LoRAConfig", 0, 0, training.updater());
            Selection selection = new Selection(targets, targetTypes, allTargets, exclude, trainable, overrides);
            selection.overrides().forEach((pattern, override) -> {
                try {
                    LoRASettings other = override.applyTo(settings);
                    lora.warnOfRawAlpha(other.alpha(), other.rank());
                } catch (IllegalArgumentException e) {
                    throw new IllegalArgumentException("override(\"" + pattern + "\", …): " + e.getMessage(), e);
                }
            });
            return new LoRAConfig(settings, selection, training,
                    new BaseOptions(storage, copyBase, baseLocation, quantization, pack),
                    new FromData(rankBudget, rho, startBatches));
        }
    }
}
