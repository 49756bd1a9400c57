package io.github.dl4jlora;

import io.github.dl4jlora.internal.run.LoRAParams;
import io.github.dl4jlora.layer.Engine;
import io.github.dl4jlora.variant.PlainLoRA;
import io.github.dl4jlora.variant.Variant;
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
import java.util.regex.PatternSyntaxException;

/**
 * How {@link LoRA#apply} converts a network. Patterns are regular expressions that must match a whole vertex or layer name.
 */
public final class LoRAConfig {

    private final int rank;
    private final double alpha;
    private final Scaling scaling;
    private final LoRAInit loraInit;
    private final double loraDropout;
    private final Variant variant;
    private final BiasTraining bias;
    private final double loraPlusRatio;
    private final int pissaIterations;
    private final Engine engine;
    private final List<Pattern> targets;
    private final Set<LayerType> targetTypes;
    private final List<Pattern> exclude;
    private final List<Pattern> trainable;
    private final Map<Pattern, Override> overrides;
    private final IUpdater updater;
    private final List<Regularization> regularization;
    private final FrozenStorage storage;
    private final boolean copyBase;
    private final URI baseLocation;
    private final Long seed;

    private LoRAConfig(Builder builder) {
        this.rank = builder.rank;
        this.alpha = builder.alpha;
        this.scaling = builder.scaling;
        this.loraInit = builder.loraInit;
        this.loraDropout = builder.loraDropout;
        this.variant = builder.variant;
        this.bias = builder.bias;
        this.loraPlusRatio = builder.loraPlusRatio;
        this.pissaIterations = builder.pissaIterations;
        this.engine = builder.engine;
        this.targets = List.copyOf(builder.targets);
        this.targetTypes = Set.copyOf(builder.targetTypes);
        this.exclude = List.copyOf(builder.exclude);
        this.trainable = List.copyOf(builder.trainable);
        this.overrides = new LinkedHashMap<>(builder.overrides);
        this.updater = builder.updater;
        this.regularization = List.copyOf(builder.regularization);
        this.storage = builder.storage;
        this.copyBase = builder.copyBase;
        this.baseLocation = builder.baseLocation;
        this.seed = builder.seed;
    }

    public static Builder builder() {
        return new Builder();
    }

    public int rank() {
        return rank;
    }

    public double alpha() {
        return alpha;
    }

    public Scaling scaling() {
        return scaling;
    }

    public LoRAInit loraInit() {
        return loraInit;
    }

    public double loraDropout() {
        return loraDropout;
    }

    public Variant variant() {
        return variant;
    }

    public BiasTraining bias() {
        return bias;
    }

    public double loraPlusRatio() {
        return loraPlusRatio;
    }

    public int pissaIterations() {
        return pissaIterations;
    }

    public Engine engine() {
        return engine;
    }

    /** Empty, and no target types: every DenseLayer. */
    public List<Pattern> targets() {
        return targets;
    }

    /** Targets beside those that patterns name. */
    public Set<LayerType> targetTypes() {
        return targetTypes;
    }

    public List<Pattern> exclude() {
        return exclude;
    }

    public List<Pattern> trainable() {
        return trainable;
    }

    public Map<Pattern, Override> overrides() {
        return overrides;
    }

    /** Null: each layer keeps the updater it has in the base network. */
    public IUpdater updater() {
        return updater;
    }

    /** Of A and B; what the base network has for its own weights does not carry over. */
    public List<Regularization> regularization() {
        return regularization;
    }

    public FrozenStorage storage() {
        return storage;
    }

    public boolean copyBase() {
        return copyBase;
    }

    /** Null: none recorded. */
    public URI baseLocation() {
        return baseLocation;
    }

    /** Null: the base network's seed. */
    public Long seed() {
        return seed;
    }

    @java.lang.Override
    public String toString() {
        return "LoRAConfig(rank=" + rank + ", alpha=" + alpha + ", scaling=" + scaling + ", variant=" + variant + ", loraInit=" + loraInit
                + ", targets=" + targets + ", targetTypes=" + targetTypes + ", exclude=" + exclude + ", trainable=" + trainable
                + ", overrides=" + overrides.keySet() + ", storage=" + storage + ")";
    }

    /** What one layer does differently. */
    public static final class Override {

        private Integer rank;
        private Double alpha;

        Override() {
        }

        public Override rank(int rank) {
            this.rank = rank;
            return this;
        }

        public Override alpha(double alpha) {
            this.alpha = alpha;
            return this;
        }

        /** Null: as configured for all. */
        public Integer rank() {
            return rank;
        }

        /** Null: as configured for all. */
        public Double alpha() {
            return alpha;
        }
    }

    /** Builds a {@link LoRAConfig}; every setting has a default. */
    public static final class Builder {

        private int rank = 8;
        private double alpha = 1;
        private Scaling scaling = Scaling.ALPHA;
        private LoRAInit loraInit = LoRAInit.KAIMING_UNIFORM;
        private double loraDropout;
        private Variant variant = new PlainLoRA();
        private BiasTraining bias = BiasTraining.NONE;
        private double loraPlusRatio = 1;
        private int pissaIterations;
        private Engine engine = Engine.FUSED;
        private final List<Pattern> targets = new ArrayList<>();
        private final Set<LayerType> targetTypes = EnumSet.noneOf(LayerType.class);
        private final List<Pattern> exclude = new ArrayList<>();
        private final List<Pattern> trainable = new ArrayList<>();
        private final Map<Pattern, Override> overrides = new LinkedHashMap<>();
        private IUpdater updater;
        private final List<Regularization> regularization = new ArrayList<>();
        private FrozenStorage storage = FrozenStorage.SHARED;
        private boolean copyBase;
        private URI baseLocation;
        private Long seed;

        private Builder() {
        }

        /** Default 8. */
        public Builder rank(int rank) {
            this.rank = rank;
            return this;
        }

        /** Default 1. */
        public Builder alpha(double alpha) {
            this.alpha = alpha;
            return this;
        }

        /** Default {@link Scaling#ALPHA}. */
        public Builder scaling(Scaling scaling) {
            this.scaling = Objects.requireNonNull(scaling, "scaling");
            return this;
        }

        /** How A and B start; default {@link LoRAInit#KAIMING_UNIFORM}. */
        public Builder loraInit(LoRAInit init) {
            this.loraInit = Objects.requireNonNull(init, "loraInit");
            return this;
        }

        /**
         * The probability of dropping an input of the low-rank paths while training, in [0, 1); default 0. Layers that
         * have no such path, since they run on W + s·A·B, refuse it; embeddings ignore it, as in PEFT.
         */
        public Builder loraDropout(double probability) {
            this.loraDropout = probability;
            return this;
        }

        /** What is computed with A and B: {@code new DoRA()}, for example; default {@link PlainLoRA}. */
        public Builder variant(Variant variant) {
            this.variant = Objects.requireNonNull(variant, "variant");
            return this;
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
         * The learning rate of B over that of A; default 1. Hayou et al. 2024, "LoRA+: Efficient Low Rank Adaptation of
         * Large Models", arXiv:2402.12354.
         */
        public Builder loraPlusRatio(double ratio) {
            this.loraPlusRatio = ratio;
            return this;
        }

        /**
         * Iterations of {@link LoRAInit#PISSA}'s randomised decomposition, PEFT's {@code pissa_niter_(iterations)}, of
         * which 4 to 16 are usual; default 0, an exact one.
         */
        public Builder pissaIterations(int iterations) {
            this.pissaIterations = iterations;
            return this;
        }

        /** What computes the low-rank paths; default {@link Engine#FUSED}. */
        public Builder engine(Engine engine) {
            this.engine = Objects.requireNonNull(engine, "engine");
            return this;
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
        public Builder override(String pattern, Consumer<Override> settings) {
            Override override = new Override();
            settings.accept(override);
            overrides.put(compile("override", pattern), override);
            return this;
        }

        /** The updater of everything that trains; default: each layer's own in the base network. */
        public Builder updater(IUpdater updater) {
            this.updater = updater;
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

        /** Seed of the A matrices; default: the base network's. */
        public Builder seed(long seed) {
            this.seed = seed;
            return this;
        }

        /**
         * @throws IllegalArgumentException for a rank below 1, an alpha that is not finite, a loraDropout outside [0, 1), a
         *                                  start that rank and alpha do not allow, or a loraPlusRatio that is not above 0
         *                                  or whose updater has no learning rate
         */
        public LoRAConfig build() {
            checkStart("(all targets)", rank, alpha);
            LoRAParams.checkDropout("(all targets)", loraDropout);
            LoRAParams.checkRatio("(all targets)", loraPlusRatio, updater);
            overrides.forEach((pattern, override) -> checkStart(pattern.pattern(),
                    override.rank == null ? rank : override.rank, override.alpha == null ? alpha : override.alpha));
            return new LoRAConfig(this);
        }

        private void checkStart(String layers, int rank, double alpha) {
            LoRAParams.check(layers, rank, alpha);
            LoRAParams.checkStart(layers, loraInit, rank, 0, 0, scaling.factor(alpha, rank), pissaIterations);
        }

        private static void addAll(List<Pattern> list, String what, String... patterns) {
            for (String pattern : patterns) {
                list.add(compile(what, pattern));
            }
        }

        private static Pattern compile(String what, String pattern) {
            try {
                return Pattern.compile(pattern);
            } catch (PatternSyntaxException e) {
                throw new IllegalArgumentException(what + "(\"" + pattern + "\") is no regular expression: " + e.getMessage()
                        + ". Names match literally when quoted with Pattern.quote.", e);
            }
        }
    }
}
