package io.github.dl4jlora;

import io.github.dl4jlora.layer.Engine;
import io.github.dl4jlora.variant.Variant;
import org.nd4j.linalg.learning.config.IUpdater;
import org.nd4j.linalg.learning.regularization.L1Regularization;
import org.nd4j.linalg.learning.regularization.L2Regularization;
import org.nd4j.linalg.learning.regularization.Regularization;
import org.nd4j.linalg.learning.regularization.WeightDecay;

import java.net.URI;
import java.util.ArrayList;
import java.util.Collections;
import java.util.EnumSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.function.Consumer;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;

/**
 * How {@link LoRA#apply} converts a network. Immutable. Patterns are regular expressions that must match a whole vertex or
 * layer name.
 */
public final class LoRAConfig {

    private final LoRASettings settings;
    private final Selection selection;
    private final Training training;
    private final Base base;

    private LoRAConfig(LoRASettings settings, Selection selection, Training training, Base base) {
        this.settings = settings;
        this.selection = selection;
        this.training = training;
        this.base = base;
    }

    /** Which layers are adapted, which train in full. */
    private record Selection(List<Pattern> targets, Set<LayerType> types, boolean all, List<Pattern> exclude,
                             List<Pattern> trainable, Map<Pattern, LayerOverride> overrides) {

        Selection {
            targets = List.copyOf(targets);
            types = Collections.unmodifiableSet(types.isEmpty() ? EnumSet.noneOf(LayerType.class) : EnumSet.copyOf(types));
            exclude = List.copyOf(exclude);
            trainable = List.copyOf(trainable);
            overrides = Collections.unmodifiableMap(new LinkedHashMap<>(overrides));
        }
    }

    /** What trains how. */
    private record Training(BiasTraining bias, IUpdater updater, List<Regularization> regularization, Long seed,
                            boolean keepCounts) {

        Training {
            updater = updater == null ? null : updater.clone();
            regularization = regularization.stream().map(Regularization::clone).toList();
        }
    }

    /** Where the frozen values live. */
    private record Base(FrozenStorage storage, boolean copy, URI location) {
    }

    /**
     * What the layers that a pattern matches do differently.
     *
     * @param rank  null: as configured for all
     * @param alpha null: as configured for all
     */
    public record LayerOverride(Integer rank, Double alpha) {

        /** Collects what a layer does differently. */
        public static final class Builder {

            private Integer rank;
            private Double alpha;

            private Builder() {
            }

            /** At least 1. */
            public Builder rank(int rank) {
                this.rank = rank;
                return this;
            }

            /** Finite, not 0. */
            public Builder alpha(double alpha) {
                this.alpha = alpha;
                return this;
            }
        }

        /**
         * @return the settings with this rank and this alpha
         * @throws IllegalArgumentException if one is out of its range
         */
        public LoRASettings applyTo(LoRASettings settings) {
            return settings.toBuilder().rank(rank == null ? settings.rank() : rank)
                    .alpha(alpha == null ? settings.alpha() : alpha).build();
        }
    }

    /** A builder that starts with the defaults: rank 8, alpha 1, every DenseLayer. */
    public static Builder builder() {
        return new Builder();
    }

    /** This configuration, to change some of it. */
    public Builder toBuilder() {
        Builder builder = new Builder();
        builder.lora = settings.toBuilder();
        builder.targets.addAll(selection.targets);
        builder.targetTypes.addAll(selection.types);
        builder.allTargets = selection.all;
        builder.exclude.addAll(selection.exclude);
        builder.trainable.addAll(selection.trainable);
        builder.overrides.putAll(selection.overrides);
        builder.bias = training.bias;
        builder.updater(training.updater);
        builder.regularization.addAll(training.regularization);
        builder.seed = training.seed;
        builder.keepCounts = training.keepCounts;
        builder.storage = base.storage;
        builder.copyBase = base.copy;
        builder.baseLocation = base.location;
        return builder;
    }

    /** Rank, alpha, variant and whatever else makes an adapter, the same for all layers but for {@link #overrides}. */
    public LoRASettings settings() {
        return settings;
    }

    /** See {@link LoRASettings#rank}. */
    public int rank() {
        return settings.rank();
    }

    /** See {@link LoRASettings#alpha}. */
    public double alpha() {
        return settings.alpha();
    }

    /** See {@link LoRASettings#scaling}. */
    public Scaling scaling() {
        return settings.scaling();
    }

    /** See {@link LoRASettings#loraInit}. */
    public LoRAInit loraInit() {
        return settings.loraInit();
    }

    /** See {@link LoRASettings#loraDropout}. */
    public double loraDropout() {
        return settings.loraDropout();
    }

    /** See {@link LoRASettings#variant}. */
    public Variant variant() {
        return settings.variant();
    }

    /** See {@link LoRASettings#loraPlusRatio}. */
    public double loraPlusRatio() {
        return settings.loraPlusRatio();
    }

    /** See {@link LoRASettings#pissaIterations}. */
    public int pissaIterations() {
        return settings.pissaIterations();
    }

    /** See {@link LoRASettings#engine}. */
    public Engine engine() {
        return settings.engine();
    }

    /** Which biases train beside the adapters. */
    public BiasTraining bias() {
        return training.bias;
    }

    /** Empty, with neither target types nor {@link #targetsAll}: every DenseLayer. */
    public List<Pattern> targets() {
        return selection.targets;
    }

    /** Targets beside those that patterns name. */
    public Set<LayerType> targetTypes() {
        return selection.types;
    }

    /** Whether every layer that can be adapted is a target, but output layers. */
    public boolean targetsAll() {
        return selection.all;
    }

    /** What is not adapted although a target matches it. */
    public List<Pattern> exclude() {
        return selection.exclude;
    }

    /** Layers that train in full. */
    public List<Pattern> trainable() {
        return selection.trainable;
    }

    /** Other ranks and alphas, in the order in which they were given; unmodifiable. */
    public Map<Pattern, LayerOverride> overrides() {
        return selection.overrides;
    }

    /** A copy; null: each layer keeps the updater it has in the base network. */
    public IUpdater updater() {
        return training.updater == null ? null : training.updater.clone();
    }

    /** Of A and B, copies; what the base network has for its own weights does not carry over. */
    public List<Regularization> regularization() {
        return training.regularization.stream().map(Regularization::clone).toList();
    }

    /** Null: the base network's seed. */
    public Long seed() {
        return training.seed;
    }

    /** Whether the adapted network goes on counting iterations and epochs where the base stopped. */
    public boolean keepCounts() {
        return training.keepCounts;
    }

    /** Where frozen values live. */
    public FrozenStorage storage() {
        return base.storage;
    }

    /** Whether they are a copy of the base's. */
    public boolean copyBase() {
        return base.copy;
    }

    /** Null: none recorded. */
    public URI baseLocation() {
        return base.location;
    }

    @Override
    public String toString() {
        return "LoRAConfig(" + settings + ", " + selection + ", " + training + ", " + base + ")";
    }

    /** Builds a {@link LoRAConfig}; every setting has a default. */
    public static final class Builder implements LoRAOptions<Builder> {

        private LoRASettings.Builder lora = LoRASettings.DEFAULTS.toBuilder();
        private final List<Pattern> targets = new ArrayList<>();
        private final Set<LayerType> targetTypes = EnumSet.noneOf(LayerType.class);
        private boolean allTargets;
        private final List<Pattern> exclude = new ArrayList<>();
        private final List<Pattern> trainable = new ArrayList<>();
        private final Map<Pattern, LayerOverride> overrides = new LinkedHashMap<>();
        private BiasTraining bias = BiasTraining.NONE;
        private IUpdater updater;
        private final List<Regularization> regularization = new ArrayList<>();
        private Long seed;
        private boolean keepCounts;
        private FrozenStorage storage = FrozenStorage.SHARED;
        private boolean copyBase;
        private URI baseLocation;

        private Builder() {
        }

        @Override
        public LoRASettings.Builder lora() {
            return lora;
        }

        /** Which biases train beside the adapters; default {@link BiasTraining#NONE}. */
        public Builder bias(BiasTraining bias) {
            this.bias = Objects.requireNonNull(bias, "bias");
            return this;
        }

        /**
         * As {@link #bias(BiasTraining)}, in PEFT's words.
         *
         * @throws IllegalArgumentException for anything but {@code none}, {@code lora_only} and {@code all}
         */
        public Builder bias(String peftName) {
            return bias(BiasTraining.ofPeftName(peftName));
        }

        /**
         * What to adapt; default every DenseLayer. A pattern that matches a layer's or vertex's name adapts all weight
         * matrices it has; one that matches {@code name/key}, such as {@code lstm/RW} or {@code attention/W[qv]}, only
         * these. Output layers are adapted only when named.
         *
         * @throws IllegalArgumentException if one is no regular expression
         */
        public Builder targets(String... patterns) {
            addAll(targets, "targets", patterns);
            return this;
        }

        /** Layers to adapt by their kind: {@code targets(LayerType.CONVOLUTION)}. */
        public Builder targets(LayerType... types) {
            targetTypes.addAll(List.of(types));
            return this;
        }

        /** Every layer that can be adapted, but output layers: PEFT's {@code all-linear}. What cannot be is frozen. */
        public Builder allTargets() {
            this.allTargets = true;
            return this;
        }

        /** Layers, or parameters as {@code name/key}, that are not to be adapted although a target matches them. */
        public Builder exclude(String... patterns) {
            addAll(exclude, "exclude", patterns);
            return this;
        }

        /** Layers that are trained in full beside the adapters: PEFT's {@code modules_to_save}; default none. */
        public Builder trainable(String... patterns) {
            addAll(trainable, "trainable", patterns);
            return this;
        }

        /**
         * Another rank or alpha for the layers, or parameters as {@code name/key}, that the pattern matches: PEFT's
         * {@code rank_pattern}, {@code alpha_pattern}.
         */
        public Builder override(String pattern, Consumer<LayerOverride.Builder> settings) {
            LayerOverride.Builder override = new LayerOverride.Builder();
            settings.accept(override);
            overrides.put(compile("override", pattern), new LayerOverride(override.rank, override.alpha));
            return this;
        }

        /** The updater of everything that trains; default, or null: each layer's own in the base network. */
        public Builder updater(IUpdater updater) {
            this.updater = updater == null ? null : updater.clone();
            return this;
        }

        /** L1 regularization of A and B; default none. */
        public Builder l1(double coefficient) {
            return regularization(new L1Regularization(coefficient));
        }

        /** L2 regularization of A and B; default none. */
        public Builder l2(double coefficient) {
            return regularization(new L2Regularization(coefficient));
        }

        /** Weight decay of A and B, times the learning rate; default none. */
        public Builder weightDecay(double coefficient) {
            return regularization(new WeightDecay(coefficient, true));
        }

        private Builder regularization(Regularization added) {
            regularization.removeIf(present -> present.getClass() == added.getClass());
            regularization.add(added);
            return this;
        }

        /** Seed of the A matrices; default: the base network's. */
        public Builder seed(long seed) {
            this.seed = seed;
            return this;
        }

        /**
         * Whether the adapted network goes on counting iterations and epochs where the base stopped; default false. Its
         * updaters start without state, so that with the base's counts Adam's bias correction is off, and a schedule is
         * wherever the base's training left it.
         */
        public Builder keepCounts(boolean keepCounts) {
            this.keepCounts = keepCounts;
            return this;
        }

        /** Where frozen values live; default {@link FrozenStorage#SHARED}. */
        public Builder storage(FrozenStorage storage) {
            this.storage = Objects.requireNonNull(storage, "storage");
            return this;
        }

        /**
         * Whether the adapted network gets a copy of the frozen values instead of views of the base's own; then the
         * base may be trained or closed afterwards. Default false. Without meaning for {@link FrozenStorage#EMBEDDED},
         * which always copies.
         */
        public Builder copyBase(boolean copy) {
            this.copyBase = copy;
            return this;
        }

        /**
         * Where a JVM that has not got the base network can load it from (a file that DL4J's ModelSerializer wrote),
         * such as the executors of a cluster. What is found there must have the recorded content ids. Schemes that the
         * JDK cannot open need a {@link io.github.dl4jlora.frozen.BaseOpener}.
         *
         * @throws IllegalArgumentException if the location has no scheme: it would mean another place on every machine
         */
        public Builder baseLocation(URI location) {
            if (location != null && !location.isAbsolute()) {
                throw new IllegalArgumentException("The base location \"" + location + "\" has no scheme; use Path.toUri() for a "
                        + "file, or a URI such as hdfs://host/path");
            }
            this.baseLocation = location;
            return this;
        }

        /**
         * @throws IllegalArgumentException for a rank below 1, an alpha that is 0 or not finite, a loraDropout outside
         *                                  [0, 1), a start that rank and alpha do not allow, or a loraPlusRatio that is not
         *                                  above 0 or whose updater has no learning rate
         */
        public LoRAConfig build() {
            LoRASettings settings = lora.trainBias(bias != BiasTraining.NONE).build("LoRAConfig");
            settings.checkFit("LoRAConfig", 0, 0, updater);
            overrides.forEach((pattern, override) -> {
                try {
                    override.applyTo(settings);
                } catch (IllegalArgumentException e) {
                    throw new IllegalArgumentException("override(\"" + pattern + "\", …): " + e.getMessage(), e);
                }
            });
            return new LoRAConfig(settings,
                    new Selection(targets, targetTypes, allTargets, exclude, trainable, overrides),
                    new Training(bias, updater, regularization, seed, keepCounts), new Base(storage, copyBase, baseLocation));
        }

        private static void addAll(List<Pattern> list, String what, String... patterns) {
            for (String pattern : patterns) {
                list.add(compile(what, pattern));
            }
        }

        private static Pattern compile(String what, String pattern) {
            if (pattern == null) {
                throw new NullPointerException(what + "(null): give a regular expression that matches names of layers");
            }
            try {
                return Pattern.compile(pattern);
            } catch (PatternSyntaxException e) {
                throw new IllegalArgumentException(what + "(\"" + pattern + "\") is no regular expression: " + e.getMessage()
                        + ". Names match literally when quoted with Pattern.quote.", e);
            }
        }
    }
}
