package io.github.dl4jlora.internal.inspect;

import io.github.dl4jlora.internal.engine.Kernels;
import io.github.dl4jlora.internal.kernel.Disableable;
import io.github.dl4jlora.internal.network.BaseValues;
import io.github.dl4jlora.internal.network.Network;
import io.github.dl4jlora.internal.network.Networks;
import io.github.dl4jlora.internal.network.Node;
import io.github.dl4jlora.internal.run.AdaptedRuntime;
import io.github.dl4jlora.internal.stock.StockLayers;
import io.github.dl4jlora.layer.LowRankLayer;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.api.Trainable;
import org.deeplearning4j.nn.conf.graph.FrozenVertex;
import org.deeplearning4j.nn.layers.BaseLayer;
import org.deeplearning4j.nn.layers.wrapper.BaseWrapperLayer;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.shade.guava.collect.MapMaker;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * Which networks have their adapters disabled, and what is refused meanwhile. Layers that train in full compute with the base's
 * values then; their own stay in the network's vector, where copies and files of DL4J's find them.
 */
public final class DisabledScopes {

    private static final String INSTEAD = ". Use LoRA.unload, which gives a network that computes what the base does";

    /**
     * What is so while scopes are open on a network.
     *
     * @param scopes how many
     * @param own    the values of layers that train in full, by layer and DL4J's key: views of the network's vector
     */
    private record Open(int scopes, Map<String, Map<String, INDArray>> own) {
    }

    /** By network, which is compared by identity and held weakly. */
    private static final Map<Model, Open> OPEN = new MapMaker().weakKeys().makeMap();

    private DisabledScopes() {
    }

    /**
     * Opens one more: low-rank paths of all layers, those included that TransferLearning froze after they were adapted, count no
     * more, and other layers compute as the base's do.
     *
     * @return what ends it, once
     * @throws IllegalArgumentException if the network has no adapted layer
     * @throws IllegalStateException    if it has layers that are trained in full, and what the base held for them is not here, or
     *                                  one of them cannot change its values, or DL4J froze a layer
     */
    public static synchronized Runnable open(Model model) {
        Network<?> network = Networks.of(model);
        List<Disableable> layers = disableable(network);
        Open outer = OPEN.get(model);
        Map<String, Map<String, INDArray>> own = outer == null ? Networks.outside(() -> exchanged(network)) : outer.own;
        OPEN.put(model, new Open(outer == null ? 1 : outer.scopes + 1, own));
        layers.forEach(Disableable::disable);
        return once(() -> close(network, layers));
    }

    private static synchronized void close(Network<?> network, List<Disableable> layers) {
        layers.forEach(Disableable::enable);
        Open open = Objects.requireNonNull(OPEN.get(network.model()));
        if (open.scopes > 1) {
            OPEN.put(network.model(), new Open(open.scopes - 1, open.own));
        } else {
            OPEN.remove(network.model());
            open.own.forEach((name, table) -> ((Layer) network.runtime(name)).setParamTable(table));
        }
    }

    private static List<Disableable> disableable(Network<?> network) {
        if (network.nodes().stream().noneMatch(node -> node.adapted() != null)) {
            throw new IllegalArgumentException("The network has no adapted layer, so there is nothing to disable: "
                    + "make one with LoRA.apply");
        }
        List<Disableable> layers = new ArrayList<>();
        for (Node node : network.nodes()) {
            if (node.vertex() instanceof FrozenVertex && (node.adapted() != null || isFrozenOnKernel(node, network.dataType()))) {
                throw new IllegalStateException("Vertex \"" + node.name()
                        + "\" cannot be disabled: it was frozen after the network was adapted, and DL4J's FrozenVertex hides it. "
                        + "Use LoRA.unload");
            }
            if (AdaptedRuntime.insideFreezing(network.runtime(node.name())) instanceof Disableable layer) {
                layers.add(layer);
            }
        }
        return layers;
    }

    private static boolean isFrozenOnKernel(Node vertex, DataType type) {
        return vertex.isOurs() && Kernels.exists(StockLayers.unwrap(vertex.replacedVertex()), type);
    }

    /**
     * Gives layers that train in full what the base holds for them.
     *
     * @return their own values
     */
    private static Map<String, Map<String, INDArray>> exchanged(Network<?> network) {
        if (network.nodes().stream().anyMatch(network::trainsInFull)) {
            // With the adapted layers frozen, no layer would refuse to train the others on the base's values.
            network.nodes().stream().filter(Node::isFrozenByDl4j).findFirst().ifPresent(node -> {
                throw new IllegalStateException("The network cannot be disabled: layer \"" + node.name()
                        + "\" was frozen by DL4J while others are trained in full" + INSTEAD);
            });
        }
        network.nodes().stream().filter(node -> node.layer() != null && node.unwrappedLayer() instanceof LowRankLayer).findFirst()
                .ifPresent(node -> {
                    throw new IllegalStateException("The network cannot be disabled: layer \"" + node.name()
                            + "\" is a LowRankLayer without a base layer, of which nothing would be left. Declare a "
                            + "LoRADenseLayer");
                });
        Map<String, Map<String, INDArray>> base = new LinkedHashMap<>();
        BaseValues.ofTrainedInFull(network, "disabled", "").forEach((name, reference) -> {
            Node node = network.node(name);
            if (!takesOtherValues(network.runtime(name))) {
                throw new IllegalStateException("The network cannot be disabled: layer \"" + name + "\" (" + node.type()
                        + ") is trained in full and takes no other values while it runs" + INSTEAD);
            }
            // A copy: what a user writes into the layer must not reach the base.
            base.put(name, BaseValues.table(node, BaseValues.flat(network, node, reference).dup()));
        });
        Map<String, Map<String, INDArray>> own = new LinkedHashMap<>();
        base.forEach((name, table) -> {
            Layer layer = (Layer) network.runtime(name);
            own.put(name, layer.paramTable(false));
            layer.setParamTable(table);
        });
        return own;
    }

    /** Other layers of DL4J's copy values into the arrays that they have, or train without the layers above them. */
    private static boolean takesOtherValues(Trainable running) {
        return running instanceof BaseWrapperLayer wrapper ? takesOtherValues(wrapper.getUnderlying())
                : running instanceof BaseLayer<?> layer && !layer.isPretrainLayer();
    }

    /**
     * The values of a layer that trains in full, which it may not compute with at the moment.
     *
     * @param now what the running layer has
     */
    static Map<String, INDArray> own(Model network, String layer, Map<String, INDArray> now) {
        Open open = OPEN.get(network);
        return open == null ? now : open.own.getOrDefault(layer, now);
    }

    /** The end of a scope, which is closed once however often it is asked to. */
    static Runnable once(Runnable end) {
        AtomicBoolean open = new AtomicBoolean(true);
        return () -> {
            if (open.getAndSet(false)) {
                end.run();
            }
        };
    }

    /**
     * @param network null: no scope is open on it
     * @param what    is being done, for the message
     * @throws IllegalStateException while a scope is open
     */
    public static void requireNone(@Nullable Model network, String what) {
        if (network != null && OPEN.containsKey(network)) {
            throw new IllegalStateException(what + " was called inside a scope of LoRA.disabled, in which the network computes "
                    + "as if it had no adapters. Close the scope first; LoRA.unload gives a network that computes what the base "
                    + "does");
        }
    }
}
