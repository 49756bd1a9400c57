package io.github.dl4jlora.internal.undo;

import io.github.dl4jlora.internal.adapted.AdaptedConfiguration;
import io.github.dl4jlora.internal.base.FrozenReference;
import io.github.dl4jlora.internal.inspect.DisabledScopes;
import io.github.dl4jlora.internal.network.BaseValues;
import io.github.dl4jlora.internal.network.Network;
import io.github.dl4jlora.internal.network.Networks;
import io.github.dl4jlora.internal.network.Node;
import io.github.dl4jlora.internal.stock.StockLayers;
import io.github.dl4jlora.layer.DenseTwin;
import io.github.dl4jlora.layer.LowRankLayer;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.params.DefaultParamInitializer;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.LinkedHashMap;
import java.util.Map;

/**
 * The layers of the stock network that {@link Unadaptation#merge} would make, one after the other: that network is never in
 * memory. Any network has them, also a stock or a frozen one. Values of the layer that was asked for last are kept, so that a
 * caller who goes through a network layer by layer has each merged or unpacked once, and one copy of a layer at a time.
 */
public final class MergedValues implements AutoCloseable {

    private final Network<?> network;
    private @Nullable Node last;
    private Map<String, INDArray> table = Map.of();
    /** What {@link #table} lies in, if nobody else has it. */
    private @Nullable INDArray own;

    private MergedValues(Network<?> network) {
        this.network = network;
    }

    /**
     * The layers of a network.
     *
     * @param what is being done, for the message
     * @throws IllegalArgumentException if the network was closed
     * @throws IllegalStateException    if the base has changed, or the adapters are disabled
     */
    public static MergedValues of(Network<?> network, String what) {
        DisabledScopes.requireNone(network.model(), what);
        // Not by the network's own vector, which DL4J cannot always reshape once it is closed.
        if (network.nodes().stream().map(node -> network.runtime(node.name()).params())
                .anyMatch(values -> values != null && values.wasClosed())) {
            throw new IllegalArgumentException("The network was closed, so its weights are gone. Restore it from its file, and "
                    + "keep it open");
        }
        BaseValues.verified(network);
        return new MergedValues(network);
    }

    /** A layer without all that freezes or adapts it; null for a vertex that is no layer. A copy if there was any of that. */
    public @Nullable Layer layer(Node node) {
        if (node.layer() == null) {
            return null;
        }
        LowRankLayer path = lowRank(node);
        return path != null ? DenseTwin.stockOf(path)
                : node.replacement() != null ? StockLayers.unwrap(node.replacedLayer()) : node.unwrappedLayer();
    }

    /** As {@link #layer}; not to be called for a layer. */
    public GraphVertex vertex(Node node) {
        return node.replacement() != null ? StockLayers.unwrap(node.replacedVertex()) : node.unwrappedVertex();
    }

    /** Shapes of a node's parameters by DL4J's key; no value is read. */
    public Map<String, long[]> shapes(Node node) {
        LowRankLayer path = lowRank(node);
        if (path != null) {
            return Map.of(DefaultParamInitializer.WEIGHT_KEY, new long[] {path.getNIn(), path.getNOut()});
        }
        if (node.replacement() == null) {
            return network.runtime(node.name()).paramTable(false) == null ? Map.of() : network.shapes(node);
        }
        FrozenReference reference = node.frozenReference();
        if (reference != null) {
            return reference.require(node.name()).shapes();
        }
        if (length(node) == 0) {
            return Map.of();
        }
        Map<String, long[]> shapes = new LinkedHashMap<>();
        Networks.outside(() -> table(node, inside(node))).forEach((key, values) -> shapes.put(key, values.shape()));
        return shapes;
    }

    /**
     * The values of a node's parameters by DL4J's key, not to be written to, and to be used before another node's are asked for.
     *
     * @throws IllegalStateException if a merged weight would be NaN or infinite
     */
    public Map<String, INDArray> values(Node node) {
        if (!node.equals(last)) {
            close();
            table = Networks.outside(() -> read(node));
            last = node;
        }
        return table;
    }

    private Map<String, INDArray> read(Node node) {
        LowRankLayer path = lowRank(node);
        if (path != null) {
            own = Nd4j.zeros(network.dataType(), path.getNIn() * path.getNOut());
            Map<String, INDArray> merged = StockLayers.table(DenseTwin.stockOf(path), own);
            MergedLayer.mergeAlone(path, network.runtime(node.name()), merged);
            MergedLayer.requireFinite(node, own);
            return merged;
        }
        if (node.replacement() == null) {
            return network.runtime(node.name()).paramTable(false);
        }
        FrozenReference reference = node.frozenReference();
        INDArray without = reference == null ? inside(node)
                : reference.values(node.name(), network.dataType(), length(node));
        boolean isFresh = reference != null && reference.scheme() != null;
        if (node.adapted() != null) {
            try {
                own = new MergedLayer(node, network.runtime(node.name()), without).merged(1);
            } finally {
                if (isFresh) {
                    without.close();
                }
            }
            return table(node, own);
        }
        own = isFresh ? without : null;
        return table(node, without);
    }

    /** A path that stands by itself; null for any other layer. */
    static @Nullable LowRankLayer lowRank(Node node) {
        return node.layer() != null && node.unwrappedLayer() instanceof LowRankLayer path ? path : null;
    }

    private INDArray inside(Node node) {
        return Network.head(network.runtime(node.name()).params(), length(node));
    }

    private long length(Node node) {
        AdaptedConfiguration lora = node.adapted();
        Layer layer = layer(node);
        return lora != null ? lora.frozenParams() : layer != null ? StockLayers.numParams(layer) : vertex(node).numParams(true);
    }

    private Map<String, INDArray> table(Node node, INDArray values) {
        AdaptedConfiguration lora = node.adapted();
        Layer layer = layer(node);
        return lora != null ? lora.stockTable(values, false) : layer != null ? StockLayers.table(layer, values)
                : vertex(node).instantiate(null, node.name(), 0, values, false, network.dataType()).paramTable(false);
    }

    /** Frees what was kept. */
    @Override
    public void close() {
        if (own != null && !own.wasClosed()) {
            own.close();
        }
        own = null;
        last = null;
        table = Map.of();
    }
}
