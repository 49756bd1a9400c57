package io.github.dl4jlora.internal.network;

import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.factory.Nd4j;

import java.util.function.Supplier;

/** Finds the {@link Network} of what users hand in, or says why there is none. */
public final class Networks {

    private Networks() {
    }

    /**
     * A network of DL4J's, trained or not, stock or adapted.
     *
     * @throws IllegalArgumentException for a network that is not initialised, or neither of the two types
     */
    @SuppressWarnings("unchecked")
    public static <M extends Model> Network<M> of(M model) {
        if (model == null) {
            throw new IllegalArgumentException("The network is null");
        }
        if (model instanceof ComputationGraph graph && graph.getVertices() != null && graph.params() != null) {
            return (Network<M>) new GraphNetwork(graph);
        }
        if (model instanceof MultiLayerNetwork layers && layers.isInitCalled()) {
            return (Network<M>) new LayersNetwork(layers);
        }
        if (model instanceof ComputationGraph || model instanceof MultiLayerNetwork) {
            throw new IllegalArgumentException("The network is not initialised, so it has no weights to build on: call init(), "
                    + "train it or restore it first");
        }
        throw new IllegalArgumentException("Cannot adapt a " + model.getClass().getName()
                + "; a ComputationGraph or MultiLayerNetwork is needed");
    }

    /**
     * The stock network to be adapted as configured; a frozen one is taken for what it was made of.
     *
     * @throws IllegalArgumentException if it is adapted already or was closed, or the configuration is null
     */
    public static <M extends Model> Network<M> toAdapt(M base, LoRAConfig config) {
        if (config == null) {
            throw new IllegalArgumentException("The LoRAConfig is null; LoRAConfig.builder().build() has the defaults");
        }
        return stock(base, "Call LoRA.merge or LoRA.unload first, or swap adapters with LoRAAdapter.applyTo");
    }

    /**
     * As {@link #toAdapt}, for whatever needs a stock network.
     *
     * @param remedy for an adapted network, for the message
     */
    public static <M extends Model> Network<M> stock(M base, String remedy) {
        Network<M> network = ThawedNetwork.of(of(base));
        if (base.params().wasClosed()) {
            throw new IllegalArgumentException("The network was closed, so the weights that an adapted network would share are "
                    + "gone. Restore it from its file, and keep it open");
        }
        network.nodes().stream().filter(Node::isOurs).findFirst().ifPresent(node -> {
            throw new IllegalArgumentException("The network is already adapted: layer \"" + node.name() + "\" is a " + node.type()
                    + ". " + remedy);
        });
        return network;
    }

    /** Work whose arrays outlive the workspaces that the caller has open. */
    public static <T> T outside(Supplier<T> work) {
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            return work.get();
        }
    }
}
