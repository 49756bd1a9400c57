package io.github.dl4jlora.rewrite;

import io.github.dl4jlora.LoRASummary;
import io.github.dl4jlora.frozen.FrozenBaseLayer;
import io.github.dl4jlora.frozen.FrozenBaseVertex;
import io.github.dl4jlora.frozen.StockLayers;
import io.github.dl4jlora.layer.LoRADenseLayer;
import io.github.dl4jlora.layer.LowRankLayer;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayer;
import org.deeplearning4j.nn.params.DefaultParamInitializer;

/** Reads a {@link LoRASummary} off a network. */
public final class Summaries {

    private Summaries() {
    }

    public static LoRASummary of(Model model) {
        return new LoRASummary(Network.of(model).nodes().stream().map(Summaries::row).toList());
    }

    private static LoRASummary.Row row(Node node) {
        boolean stockFrozen = node.layer() instanceof FrozenLayer;
        if (node.unwrappedLayer() instanceof LoRADenseLayer lora) {
            long adapter = lora.numTrained();
            long base = DefaultParamInitializer.getInstance().numParams(lora) + lora.numConstants();
            String type = lora.getOrigin() == null ? node.type() : StockLayers.unwrap(lora.getOrigin()).getClass().getSimpleName();
            return stockFrozen
                    ? new LoRASummary.Row(node.name(), type, Role.FREEZE_STOP.toString(), lora.getRank(), lora.getAlpha(), 0, base + adapter)
                    : new LoRASummary.Row(node.name(), type, Role.ADAPT.toString(), lora.getRank(), lora.getAlpha(), adapter, base);
        }
        if (node.layer() instanceof LowRankLayer path) {
            return new LoRASummary.Row(node.name(), node.type(), Role.ADAPT.toString(), path.getRank(), path.getAlpha(),
                    node.numParams(), 0);
        }
        if (node.unwrappedLayer() instanceof FrozenBaseLayer frozen) {
            return frozen(node, StockLayers.unwrap(frozen.getOrigin()).getClass(), frozen.isStopsGradient() || stockFrozen,
                    StockLayers.numParams(StockLayers.unwrap(frozen.getOrigin())));
        }
        if (node.unwrappedVertex() instanceof FrozenBaseVertex frozen) {
            return frozen(node, StockLayers.unwrap(frozen.getOrigin()).getClass(), frozen.isStopsGradient(),
                    frozen.getOrigin().numParams(true));
        }
        if (Rewriter.isFrozen(node)) {
            Class<?> type = node.layer() != null ? node.unwrappedLayer().getClass() : node.unwrappedVertex().getClass();
            return frozen(node, type, stockFrozen || node.vertex() != null, node.numParams());
        }
        Role role = node.numParams() > 0 ? Role.TRAIN : Role.KEEP;
        return new LoRASummary.Row(node.name(), node.type(), role.toString(), 0, 0, node.numParams(), 0);
    }

    private static LoRASummary.Row frozen(Node node, Class<?> type, boolean stops, long parameters) {
        Role role = stops ? Role.FREEZE_STOP : Role.FREEZE_PASS;
        return new LoRASummary.Row(node.name(), type.getSimpleName(), role.toString(), 0, 0, 0, parameters);
    }
}
