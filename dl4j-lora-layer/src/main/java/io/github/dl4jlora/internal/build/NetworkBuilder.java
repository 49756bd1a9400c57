package io.github.dl4jlora.internal.build;

import io.github.dl4jlora.conf.FrozenStorage;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.internal.adapted.AdaptedConfiguration;
import io.github.dl4jlora.internal.base.FrozenWeights;
import io.github.dl4jlora.internal.network.Network;
import io.github.dl4jlora.internal.network.Node;
import io.github.dl4jlora.internal.plan.Plan;
import io.github.dl4jlora.internal.run.AdaptedRuntime;
import io.github.dl4jlora.internal.run.AdapterInitializer;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.api.Trainable;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * Builds the network that a plan describes: a new one from the configuration with some layers replaced, into which it fills the
 * values.
 *
 * @param <M> the network type
 */
public final class NetworkBuilder<M extends Model> {

    private final Network<M> from;
    private final List<Node> nodes;
    private final LoRAConfig config;
    private final Plan plan;
    private final DataStarts starts;
    private final BaseStorage storage;

    NetworkBuilder(Network<M> from, List<Node> nodes, LoRAConfig config, Plan plan) {
        this(from, nodes, DataStarts.none(config), plan);
    }

    NetworkBuilder(Network<M> from, List<Node> nodes, DataStarts starts, Plan plan) {
        this.from = from;
        this.nodes = nodes;
        this.config = starts.config();
        this.plan = plan;
        this.starts = starts;
        this.storage = new BaseStorage(from, config);
    }

    /** A node's weights as the network will keep them. */
    FrozenWeights stored(Node node, FrozenWeights weights) {
        return storage.stored(node, plan.decision(node), weights);
    }

    /**
     * An adapted network, ready to be trained.
     *
     * @param ofAdapter whether for an adapter that exists, whose ranks are its own
     */
    M adapted(boolean ofAdapter) {
        Network<M> adapted = built();
        Wiring.connect(adapted);
        Recomputation.set(adapted, config.recompute());
        // An adapter that exists can be of use without training.
        if (!ofAdapter) {
            refuseUntrainable(adapted);
        }
        Accumulation.check(adapted);
        Accumulation.warn(adapted);
        AdaptationWarnings.log(adapted, ofAdapter);
        FirstSteps.watch(adapted);
        return adapted.model();
    }

    /** The network as planned, with its values. */
    Network<M> built() {
        Replacements replacements = new Replacements(from, nodes, config, plan, storage, false);
        replacements.forEachAdapted((name, parameter) -> parameter.requirePossible(name, from.dataType()));
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
                INDArray base = Objects.requireNonNull(from.values(node));
                Network.head(values, base.length()).assign(base.reshape(base.length()));
            }
            long seed = config.seed() == null ? from.seed() : config.seed();
            Map<String, Map<String, INDArray>> known = new HashMap<>(starts.of(node));
            known.putAll(storage.starts(node));
            new AdapterInitializer(((AdaptedRuntime) runtime).adapter()).start(node.name(), seed, known);
        } else {
            values.assign(Objects.requireNonNull(from.values(node)).reshape(values.shape()));
        }
    }

    /** ComputationGraph counts the parameters of layers alone, and without any its fit does nothing, silently. */
    static boolean isUntrainable(Network<?> adapted) {
        return adapted.nodes().stream().noneMatch(node -> node.layer() != null && node.numParams() > 0);
    }

    /**
     * Refuses a network that DL4J would not train.
     *
     * @throws IllegalArgumentException for such a network
     */
    public static void refuseUntrainable(Network<?> adapted) {
        if (isUntrainable(adapted)) {
            throw new IllegalArgumentException("Only vertices would train, "
                    + adapted.nodes().stream().filter(node -> node.adapted() != null).map(Node::name).toList()
                    + ": DL4J's fit overlooks vertices and does not train a ComputationGraph in which no layer has parameters. "
                    + "Also adapt a layer with targets(...), train one in full with trainable(...), or use "
                    + "FrozenStorage.EMBEDDED");
        }
    }
}
