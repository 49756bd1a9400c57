package io.github.dl4jlora.internal.build;

import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.internal.adapted.AdaptedConfiguration;
import io.github.dl4jlora.internal.base.FrozenWeights;
import io.github.dl4jlora.internal.common.NamePattern;
import io.github.dl4jlora.internal.network.Network;
import io.github.dl4jlora.internal.network.Networks;
import io.github.dl4jlora.internal.network.Node;
import io.github.dl4jlora.internal.network.PlannedNetwork;
import io.github.dl4jlora.internal.network.StreamedNetwork;
import io.github.dl4jlora.internal.network.ThawedNetwork;
import io.github.dl4jlora.internal.plan.AdapterLayers;
import io.github.dl4jlora.internal.plan.Agreement;
import io.github.dl4jlora.internal.plan.Plan;
import io.github.dl4jlora.internal.processor.NativeLibraries;
import io.github.dl4jlora.internal.processor.ThreadConflict;
import io.github.dl4jlora.internal.stored.StreamedBase;
import io.github.dl4jlora.variant.Variant;
import org.deeplearning4j.nn.api.Model;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.learning.config.NoOp;

import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Function;
import java.util.regex.Pattern;

/**
 * The entrance: makes adapted and frozen networks of stock ones. Checks what comes in, has a plan made, and has
 * {@link NetworkBuilder} build the network.
 */
public final class Adaptation {

    private Adaptation() {
    }

    /**
     * An adapted network that starts at iteration 0 and epoch 0, unless the configuration keeps the counts.
     *
     * @throws IllegalArgumentException for a network that cannot be adapted as configured
     */
    public static <M extends Model> M apply(M base, LoRAConfig config) {
        Network<M> from = Networks.toAdapt(base, config);
        DataStarts.requireNone(from, from.nodes(), config);
        return apply(from, DataStarts.none(config));
    }

    /**
     * As {@link #apply(Model, LoRAConfig)}, with what was found in data to start from.
     *
     * @throws IllegalArgumentException as there
     */
    public static <M extends Model> M apply(Network<M> from, DataStarts starts) {
        ThreadConflict.warn();
        return Networks.outside(() -> {
            Plan plan = Plan.of(from.nodes(), starts.config());
            return new NetworkBuilder<>(from, from.nodes(), starts, plan).adapted(false);
        });
    }

    /**
     * The network with all layers frozen and nothing of it random, but for some layers that get a variant which watches them.
     *
     * @param watched by their unique names
     */
    public static <M extends Model> Network<M> watched(Network<M> from, List<Node> watched, Function<Node, Variant> watch) {
        LoRAConfig.Builder config = LoRAConfig.builder().rank(1).updater(new NoOp())
                .targets(NamePattern.quoted(watched.stream().map(Node::name).toList()));
        watched.forEach(node -> config.override(Pattern.quote(node.name()), own -> own.variant(watch.apply(node))));
        List<Node> nodes = from.nodes().stream().map(Node::byUniqueName)
                .map(node -> watched.contains(node) ? node.inTestMode() : node).toList();
        Plan plan = Plan.of(nodes, config.build()).withoutRandomness(nodes);
        return Networks.of(new NetworkBuilder<>(from, nodes, config.build(), plan).adapted(false));
    }

    /**
     * The configurations that {@link #apply} would make a network of. No value is read.
     *
     * @throws IllegalArgumentException as there, but for values that cannot be quantised
     */
    public static <M extends Model> PlannedNetwork<M> planned(M base, LoRAConfig config) {
        Network<M> from = Networks.toAdapt(base, config);
        List<Node> nodes = from.nodes();
        DataStarts.requirePossible(from, nodes, config);
        Replacements replacements = new Replacements(from, nodes, config, Plan.of(nodes, config), new BaseStorage(from, config),
                true);
        PlannedNetwork<M> planned = new PlannedNetwork<>(from, replacements.layers(), replacements.vertices());
        replacements.forEachAdapted((name, parameter) -> parameter.requirePossible(name, from.dataType()));
        for (Node node : planned.nodes()) {
            AdaptedConfiguration lora = node.adapted();
            if (lora != null) {
                lora.validate();
                AdaptationWarnings.ofRanks(node, lora, false);
            }
        }
        NetworkBuilder.refuseUntrainable(planned);
        Accumulation.check(planned);
        if (!config.recompute().isEmpty()) {
            Recomputation.stretches(planned, config.recompute());
        }
        return planned;
    }

    /**
     * The rank at which an adapter can be any change of its matrix, by the name of the layer: the smaller side of the matrix, of
     * several the smallest.
     *
     * @throws IllegalArgumentException as {@link #apply}
     */
    public static Map<String, Long> largestRanks(Model base, LoRAConfig config) {
        Network<Model> from = Networks.toAdapt(base, config);
        Map<String, Long> ranks = new TreeMap<>();
        new Replacements(from, from.nodes(), config, Plan.of(from.nodes(), config), new BaseStorage(from, config), true)
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
        return ofAdapter(Networks.toAdapt(base, config), config);
    }

    /**
     * As {@link #applyOfAdapter(Model, LoRAConfig)}, to train the adapter on as another configuration says.
     *
     * @param ofAdapter the adapter's own configuration
     * @throws IllegalArgumentException as there, and if the configuration contradicts the adapter's
     */
    public static <M extends Model> M applyOfAdapter(M base, LoRAConfig ofAdapter, LoRAConfig config) {
        Agreement.require(base, ofAdapter, config);
        M adapted = applyOfAdapter(base, ofAdapter.trainedAs(config));
        NetworkBuilder.refuseUntrainable(Networks.of(adapted));
        return adapted;
    }

    private static <M extends Model> M ofAdapter(Network<M> from, LoRAConfig config) {
        List<Node> nodes = from.nodes().stream().map(Node::byUniqueName).toList();
        AdapterLayers.requireIn(nodes, config);
        ThreadConflict.warn();
        return Networks.outside(() -> new NetworkBuilder<>(from, nodes, config, Plan.of(nodes, config)).adapted(true));
    }

    /**
     * As {@link #applyOfAdapter(Model, LoRAConfig)}, of a frozen network whose weights the caller has verified, so that nothing
     * is hashed.
     *
     * @throws IllegalArgumentException as there
     */
    public static <M extends Model> M applyToVerified(M frozen, LoRAConfig config) {
        return ofAdapter(ThawedNetwork.ofVerified(Networks.of(frozen)), config);
    }

    /**
     * A network in which every layer that has parameters is frozen, and none adapted. Nothing starts anew, so that it has the
     * counts of the one it is made of.
     *
     * @param scheme how its matrices are kept in fewer bits; null: as they are
     * @throws IllegalArgumentException for a network that is adapted, or has no parameters
     */
    public static <M extends Model> M freeze(M base, @Nullable Quantization scheme) {
        return freeze(base, scheme, "Apart from its adapters, an adapted network is already frozen: use it as it is, or freeze "
                + "the result of LoRA.merge");
    }

    /**
     * As {@link #freeze(Model, Quantization)}.
     *
     * @param remedy for an adapted network, for the message
     */
    public static <M extends Model> M freeze(M base, @Nullable Quantization scheme, String remedy) {
        Network<M> from = Networks.stock(base, remedy);
        if (from.nodes().stream().allMatch(node -> node.numParams() == 0)) {
            throw new IllegalArgumentException("The network has no layer with parameters, so there is nothing to freeze: use it "
                    + "as it is");
        }
        Plan plan = Plan.ofFrozen(from.nodes());
        return Networks.outside(() -> new NetworkBuilder<>(from, from.nodes(), asItIs(scheme), plan).built().model());
    }

    private static LoRAConfig asItIs(@Nullable Quantization scheme) {
        return LoRAConfig.builder().keepCounts(true).quantize(scheme).build();
    }

    /** A network that computes the same on the same frozen weights; DL4J's own clone drops settings of some vertices. */
    public static <M extends Model> M copy(M network) {
        return Networks.outside(() -> {
            M copy = Networks.of(network).rebuild(Map.of(), Map.of()).model();
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
        return read(base, config, nodes -> Plan.of(nodes, config), builder -> builder.adapted(false));
    }

    /**
     * As {@link #freeze}, likewise.
     *
     * @param scheme how its matrices are kept in fewer bits; null: as they are
     * @throws IOException if it cannot be read
     */
    public static Model freeze(StreamedBase base, @Nullable Quantization scheme) throws IOException {
        return read(base, asItIs(scheme), Plan::ofFrozen, builder -> builder.built().model());
    }

    private static Model read(StreamedBase base, LoRAConfig config, Function<List<Node>, Plan> planning,
            Function<NetworkBuilder<Model>, Model> make) throws IOException {
        Network<Model> standIn = Networks.toAdapt(base.standIn(), config);
        DataStarts.requireNone(standIn, standIn.nodes(), config);
        StreamedNetwork<Model> from = new StreamedNetwork<>(standIn);
        NetworkBuilder<Model> builder = new NetworkBuilder<>(from, from.nodes(), config, planning.apply(from.nodes()));
        base.forEach((running, values) -> {
            Node node = from.nodeOf(running);
            FrozenWeights original = FrozenWeights.unregisteredOwn(values, running.paramTable(false));
            FrozenWeights kept = builder.stored(node, original);
            if (kept != original) {
                values.close();
            }
            from.keep(node, kept);
        });
        // Only now is it known that the file's checksums are right.
        from.registerKept();
        // Layers as they were are gone; C's allocator would keep the room of the largest for itself.
        NativeLibraries.giveBackFreedMemory();
        return Networks.outside(() -> make.apply(builder));
    }

    /** A network that was read from a file, as it was when it was saved: a frozen one refuses to be trained. */
    public static Model restored(Model network) {
        Network<Model> restored = Networks.of(network);
        if (restored.nodes().stream().anyMatch(Node::isOurs) && network.params().length() == 0) {
            return restored.rebuild(Map.of(), Map.of()).model();
        }
        Wiring.connect(restored);
        return network;
    }
}
