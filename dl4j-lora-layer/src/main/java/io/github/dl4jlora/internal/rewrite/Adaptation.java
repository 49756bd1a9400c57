package io.github.dl4jlora.internal.rewrite;

import io.github.dl4jlora.conf.FrozenStorage;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.internal.adapted.AdaptedConfiguration;
import io.github.dl4jlora.internal.base.FrozenWeights;
import io.github.dl4jlora.internal.common.Divergence;
import io.github.dl4jlora.internal.engine.Kernels;
import io.github.dl4jlora.internal.processor.NativeLibraries;
import io.github.dl4jlora.internal.processor.Quarrel;
import io.github.dl4jlora.internal.run.AdaptedRuntime;
import io.github.dl4jlora.internal.start.Watch;
import io.github.dl4jlora.internal.stored.StreamedBase;
import io.github.dl4jlora.variant.Variant;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.api.Trainable;
import org.deeplearning4j.nn.api.TrainingConfig;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.learning.config.NoOp;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Function;
import java.util.regex.Pattern;

/**
 * Makes an adapted network of a stock one: plans what becomes of each node, builds a new network from the configuration with
 * some layers replaced, and fills in the values.
 *
 * @param <M> the network type
 */
public final class Adaptation<M extends Model> {

    private static final Logger LOG = LoggerFactory.getLogger(Adaptation.class);

    private final Network<M> from;
    private final List<Node> nodes;
    private final LoRAConfig config;
    private final Plan plan;
    private final DataStarts starts;
    private final Storing storing;
    private boolean ofAdapter;

    private Adaptation(Network<M> from, List<Node> nodes, LoRAConfig config, Plan plan) {
        this(from, nodes, DataStarts.none(config), plan);
    }

    private Adaptation(Network<M> from, List<Node> nodes, DataStarts starts, Plan plan) {
        this.from = from;
        this.nodes = nodes;
        this.config = starts.config();
        this.plan = plan;
        this.starts = starts;
        this.storing = new Storing(from, config);
    }

    /**
     * An adapted network that starts at iteration 0 and epoch 0, unless the configuration keeps the counts.
     *
     * @throws IllegalArgumentException for a network that cannot be adapted as configured
     */
    public static <M extends Model> M apply(M base, LoRAConfig config) {
        Network<M> from = stock(base, config);
        DataStarts.requireNone(from, from.nodes(), config);
        return of(from, from.nodes(), DataStarts.none(config));
    }

    /**
     * As {@link #apply(Model, LoRAConfig)}, with starts from data.
     *
     * @throws IllegalArgumentException as there, if there is no such start, or the data does not serve
     */
    public static <M extends Model> M apply(M base, LoRAConfig config, DataPass data) {
        Network<M> from = stock(base, config);
        DataStarts found = Network.outside(() -> DataStarts.found(from, from.nodes(), config, data));
        return of(from, from.nodes(), found);
    }

    /**
     * The network with all layers frozen, nothing of it random, but for some that are watched.
     *
     * @param watched by their unique names
     */
    static <M extends Model> Network<M> watched(Network<M> from, List<Node> watched, Function<Node, Watch> watch) {
        LoRAConfig.Builder config = LoRAConfig.builder().rank(1).updater(new NoOp())
                .targets(watched.stream().map(node -> Pattern.quote(node.name())).toArray(String[]::new));
        watched.forEach(node -> config.override(Pattern.quote(node.name()), own -> own.variant(watch.apply(node))));
        List<Node> nodes = from.nodes().stream().map(Node::byUniqueName)
                .map(node -> watched.contains(node) ? node.inTestMode() : node).toList();
        Plan plan = Plan.of(nodes, config.build()).withoutRandomness(nodes);
        return Network.of(new Adaptation<>(from, nodes, config.build(), plan).run());
    }

    /**
     * The configurations that {@link #apply} would make a network of. No value is read.
     *
     * @throws IllegalArgumentException as there, but for values that cannot be quantised
     */
    static <M extends Model> PlannedNetwork<M> planned(M base, LoRAConfig config) {
        Network<M> from = stock(base, config);
        List<Node> nodes = from.nodes();
        DataStarts.requirePossible(from, nodes, config);
        Replacements replacements = new Replacements(from, nodes, config, Plan.of(nodes, config), new Storing(from, config),
                true);
        PlannedNetwork<M> planned = new PlannedNetwork<>(from, replacements.layers(), replacements.vertices());
        replacements.forEachAdapted((name, parameter) -> parameter.requireFiniteFactor(name, from.dataType()));
        planned.nodes().stream().filter(node -> node.adapted() != null).forEach(node -> {
            node.adapted().validate();
            warnOfRanks(node, false);
        });
        refuseUntrainable(planned);
        return planned;
    }

    /**
     * What rank says all that a change of each matrix can be which the configuration adapts: its smaller side.
     *
     * @throws IllegalArgumentException as {@link #apply}
     */
    public static Map<String, Long> largestRanks(Model base, LoRAConfig config) {
        Network<Model> from = stock(base, config);
        Map<String, Long> ranks = new TreeMap<>();
        new Replacements(from, from.nodes(), config, Plan.of(from.nodes(), config), new Storing(from, config), true)
                .forEachAdapted((name, parameter) -> ranks.merge(name, parameter.largestRank(), Math::min));
        return ranks;
    }

    /**
     * As {@link #apply}, for the configuration of an adapter. It names each of two equally named layers by the name that
     * tells them apart; its patterns match by that alone.
     *
     * @throws IllegalArgumentException as there, and if the network lacks a layer that the adapter has
     */
    public static <M extends Model> M applyOfAdapter(M base, LoRAConfig config) {
        return ofAdapter(stock(base, config), config);
    }

    private static <M extends Model> M ofAdapter(Network<M> from, LoRAConfig config) {
        List<Node> nodes = from.nodes().stream().map(Node::byUniqueName).toList();
        AdapterLayers.requireIn(nodes, config);
        Quarrel.warn();
        return Network.outside(() -> {
            Adaptation<M> adaptation = new Adaptation<>(from, nodes, config, Plan.of(nodes, config));
            adaptation.ofAdapter = true;
            return adaptation.run();
        });
    }

    /**
     * As {@link #applyOfAdapter}, of a frozen network whose weights the caller has verified, so that nothing is hashed.
     *
     * @throws IllegalArgumentException as there
     */
    public static <M extends Model> M applyToVerified(M frozen, LoRAConfig config) {
        return ofAdapter(ThawedNetwork.ofVerified(Network.of(frozen)), config);
    }

    /**
     * A network in which every layer that has parameters is frozen, and none adapted. Nothing starts anew, so that it has the
     * counts of the one it is made of.
     *
     * @param scheme how its matrices are kept in fewer bits; null: as they are
     * @throws IllegalArgumentException for a network that is adapted, or has no parameters
     */
    public static <M extends Model> M freeze(M base, Quantization scheme) {
        return freeze(base, scheme, "An adapted network is of that form already, but for its adapters: use it as it is, or "
                + "freeze what LoRA.merge makes of it");
    }

    /**
     * As {@link #freeze(Model, Quantization)}.
     *
     * @param remedy for an adapted network, for the message
     */
    public static <M extends Model> M freeze(M base, Quantization scheme, String remedy) {
        Network<M> from = stock(base, remedy);
        if (from.nodes().stream().allMatch(node -> node.numParams() == 0)) {
            throw new IllegalArgumentException("The network has no layer with parameters, so there is nothing to freeze: use it "
                    + "as it is");
        }
        Plan plan = Plan.ofFrozen(from.nodes());
        return Network.outside(() -> new Adaptation<>(from, from.nodes(), asItIs(scheme), plan).rewritten().model());
    }

    private static LoRAConfig asItIs(Quantization scheme) {
        return LoRAConfig.builder().keepCounts(true).quantize(scheme).build();
    }

    /** A network that computes the same on the same frozen weights; DL4J's own clone drops settings of some vertices. */
    public static <M extends Model> M copy(M network) {
        return Network.outside(() -> {
            M copy = Network.of(network).rebuild(Map.of(), Map.of()).model();
            copy.params().assign(network.params());
            return copy;
        });
    }

    /**
     * As {@link #apply}, of a base that is read layer by layer and never whole in memory.
     *
     * @throws IOException if it cannot be read
     */
    public static Model apply(StreamedBase base, LoRAConfig config) throws IOException {
        return read(base, config, nodes -> Plan.of(nodes, config), Adaptation::run);
    }

    /**
     * As {@link #freeze}, likewise.
     *
     * @param scheme how its matrices are kept in fewer bits; null: as they are
     * @throws IOException if it cannot be read
     */
    public static Model freeze(StreamedBase base, Quantization scheme) throws IOException {
        return read(base, asItIs(scheme), Plan::ofFrozen, adaptation -> adaptation.rewritten().model());
    }

    private static Model read(StreamedBase base, LoRAConfig config, Function<List<Node>, Plan> planning,
            Function<Adaptation<Model>, Model> make) throws IOException {
        Network<Model> standIn = stock(base.standIn(), config);
        DataStarts.requireNone(standIn, standIn.nodes(), config);
        ReadNetwork<Model> from = new ReadNetwork<>(standIn);
        Adaptation<Model> adaptation = new Adaptation<>(from, from.nodes(), config, planning.apply(from.nodes()));
        base.forEach((running, values) -> {
            Node node = from.nodeOf(running);
            FrozenWeights original = FrozenWeights.unregisteredOwn(values, running.paramTable(false));
            FrozenWeights kept = adaptation.storing.stored(node, adaptation.plan.decisions().get(node.name()), original);
            if (kept != original) {
                values.close();
            }
            from.keep(node, kept);
        });
        // Layers as they were are gone; C's allocator would keep the room of the largest for itself.
        NativeLibraries.giveBackFreedMemory();
        return Network.outside(() -> make.apply(adaptation));
    }

    /** A network that was read from a file, as it was when it was saved, {@link #nothingTrains} included. */
    public static Model restored(Model network) {
        Network<Model> restored = Network.of(network);
        if (restored.nodes().stream().anyMatch(Node::isOurs) && network.params().length() == 0) {
            return restored.rebuild(Map.of(), Map.of()).model();
        }
        InputGradients.leaveOut(restored);
        PassingOutputs.assign(restored);
        return network;
    }

    /** What {@code fit} of a frozen network says. */
    static IllegalStateException nothingTrains() {
        return new IllegalStateException("The network is frozen, so there is nothing to fit: LoRA.freeze made it for inference. "
                + "Adapt it with LoRA.apply(network, config), or train the network that it was made of, or what LoRA.merge "
                + "makes of it");
    }

    /** What {@code setParams} of a frozen network does: DL4J would hand out a vector to layers that take none of it. */
    static void refuseParameters(INDArray params) {
        if (params.length() > 0) {
            throw new IllegalArgumentException("The network is frozen and has no parameters of its own, but setParams was given "
                    + params.length() + " values. Set them in the network that LoRA.merge makes of it, and freeze that");
        }
    }

    static <M extends Model> Network<M> stock(M base, LoRAConfig config) {
        if (config == null) {
            throw new IllegalArgumentException("The LoRAConfig is null; LoRAConfig.builder().build() has the defaults");
        }
        return stock(base, "Call LoRA.merge or LoRA.unload first, or swap adapters with LoRAAdapter.applyTo");
    }

    private static <M extends Model> Network<M> stock(M base, String remedy) {
        Network<M> network = ThawedNetwork.of(Network.of(base));
        if (base.params().wasClosed()) {
            throw new IllegalArgumentException("The network was closed, and with it the weights that an adapted network would "
                    + "stand on. Restore it from its file, and keep it open");
        }
        network.nodes().stream().filter(Node::isOurs).findFirst().ifPresent(node -> {
            throw new IllegalArgumentException("The network is adapted already: layer \"" + node.name() + "\" is a " + node.type()
                    + ". " + remedy);
        });
        return network;
    }

    private static <M extends Model> M of(Network<M> from, List<Node> nodes, DataStarts starts) {
        Quarrel.warn();
        return Network.outside(() -> new Adaptation<>(from, nodes, starts, Plan.of(nodes, starts.config())).run());
    }

    private M run() {
        Network<M> adapted = rewritten();
        InputGradients.leaveOut(adapted);
        PassingOutputs.assign(adapted);
        refuseUntrainable(adapted);
        adapted.nodes().stream().filter(node -> node.adapted() != null).forEach(this::warn);
        warnOfUpdaters(adapted);
        FirstSteps.watch(adapted);
        return adapted.model();
    }

    /** The network as planned, with its values. */
    private Network<M> rewritten() {
        Replacements replacements = new Replacements(from, nodes, config, plan, storing, false);
        replacements.forEachAdapted((name, parameter) -> {
            parameter.refuseAbsurdRank(name);
            parameter.requireFiniteFactor(name, from.dataType());
        });
        Network<M> adapted = from.rebuild(replacements.layers(), replacements.vertices());
        if (!config.keepCounts()) {
            // With the base's counts a zeroed updater state has another bias correction, and schedules are past their start.
            adapted.resetCounts();
        }
        adapted.nodes().forEach(node -> fill(node, adapted));
        return adapted;
    }

    private void fill(Node node, Network<M> adapted) {
        Trainable runtime = adapted.runtime(node.name());
        INDArray values = runtime.params();
        if (values == null || values.length() == 0) {
            return;
        }
        AdaptedConfiguration lora = node.adapted();
        if (lora != null) {
            if (lora.getStorage() == FrozenStorage.EMBEDDED) {
                INDArray base = from.values(node);
                Network.head(values, base.length()).assign(base.reshape(base.length()));
            }
            long seed = config.seed() == null ? from.seed() : config.seed();
            ((AdaptedRuntime) runtime).adapter().start(node.name(), seed, starts.of(node));
            storing.start(node, ((AdaptedRuntime) runtime).adapter());
        } else {
            values.assign(from.values(node).reshape(values.shape()));
        }
    }

    /** ComputationGraph counts the parameters of layers alone, and without any its fit does nothing, silently. */
    static void refuseUntrainable(Network<?> adapted) {
        if (adapted.nodes().stream().noneMatch(node -> node.layer() != null && node.numParams() > 0)) {
            throw new IllegalArgumentException("Only vertices would train, "
                    + adapted.nodes().stream().filter(node -> node.adapted() != null).map(Node::name).toList()
                    + ": a ComputationGraph in which no layer has parameters is not trained by DL4J's fit, which overlooks "
                    + "vertices. Adapt a layer too with targets(...), train one in full with trainable(...), or use "
                    + "FrozenStorage.EMBEDDED");
        }
    }

    private static void warnOfRanks(Node node, boolean ofAdapter) {
        node.adapted().adapted().forEach(parameter -> {
            String name = MatrixName.of(node, parameter.key()).module();
            if (ofAdapter) {
                parameter.warnOfExcessRankOfAdapter(name);
            } else {
                parameter.warnOfExcessRank(name);
            }
        });
    }

    /** B starts as zeros, and so the gradient of A is 0 in the first step. */
    private void warnOfUpdaters(Network<M> adapted) {
        Map<String, List<String>> layers = new LinkedHashMap<>();
        for (Node node : adapted.nodes()) {
            AdaptedConfiguration lora = node.adapted();
            String why = lora == null || lora.adapted().isEmpty() ? null : Divergence.ofZeros(((TrainingConfig) lora)
                    .getUpdaterByParam(lora.key(lora.adapted().get(0), Variant.B)), adapted.dataType());
            if (why != null) {
                layers.computeIfAbsent(why, key -> new ArrayList<>()).add(node.name());
            }
        }
        layers.forEach((why, names) -> LOG.warn("Layers {}: {}", names, why));
    }

    private void warn(Node node) {
        AdaptedConfiguration lora = node.adapted();
        warnOfRanks(node, ofAdapter);
        if (from.dataType().width() == 2 && !lora.adapted().isEmpty() && !lora.single() && !Kernels.run(lora)) {
            LOG.warn(
                    "Layer \"{}\" ({}) runs on W + s·A·B in {}: where a change is below half a unit in the last place of a "
                            + "weight it is lost, and with it what is learned until it is larger. Convert the network to FLOAT "
                            + "with convertDataType to train it", node.name(),
                    (lora.stockLayer() != null ? lora.stockLayer() : lora.stockVertex()).getClass().getSimpleName(),
                    from.dataType());
        }
    }
}
