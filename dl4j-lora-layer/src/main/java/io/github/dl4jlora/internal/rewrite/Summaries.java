package io.github.dl4jlora.internal.rewrite;

import io.github.dl4jlora.LoRASummary;
import io.github.dl4jlora.frozen.FrozenBaseLayer;
import io.github.dl4jlora.frozen.FrozenBaseVertex;
import io.github.dl4jlora.internal.stock.StockLayers;
import io.github.dl4jlora.internal.run.AdaptedConfiguration;
import io.github.dl4jlora.internal.run.AdaptedParameter;
import io.github.dl4jlora.internal.run.AdaptedRuntime;
import io.github.dl4jlora.layer.LowRankLayer;
import io.github.dl4jlora.internal.run.TrainedBias;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.api.Trainable;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/** Reads a {@link LoRASummary} off a network. */
public final class Summaries {

    private Summaries() {
    }

    public static LoRASummary of(Model model) {
        Network<?> network = Network.of(model);
        return new LoRASummary(network.nodes().stream().flatMap(node -> rows(node, network.runtime(node.name()))).toList());
    }

    private static Stream<LoRASummary.Row> rows(Node node, Trainable running) {
        return node.adapted() == null ? Stream.of(row(node)) : adapted(node, node.adapted(), running).stream();
    }

    /** What is switched at run time, and stands in no configuration. */
    private static String scaled(AdaptedParameter parameter, Trainable running) {
        AdaptedRuntime runtime = AdaptedRuntime.of(running);
        double scale = runtime == null ? 1 : runtime.adapter().switches().scale(parameter.key());
        return scale == 1 ? "" : ", scaled by " + scale;
    }

    /**
     * A row for each adapted matrix, and one for what else the layer has, trained biases included, unless it has one matrix
     * only.
     */
    private static List<LoRASummary.Row> adapted(Node node, AdaptedConfiguration lora, Trainable running) {
        boolean stopped = node.isFrozenByDl4j();
        Role role = stopped ? Role.FREEZE_STOP : Role.ADAPT;
        Object stock = lora.stockLayer() != null ? lora.stockLayer() : lora.stockVertex();
        boolean single = lora.matrices().forms().size() == 1;
        List<LoRASummary.Row> rows = new ArrayList<>();
        long rest = lora.frozenParams();
        long biases = lora.biases().stream().mapToLong(TrainedBias::length).sum();
        for (AdaptedParameter parameter : lora.adapted()) {
            long frozen = (single ? rest : parameter.nIn() * parameter.nOut()) + lora.layout().constantParams();
            rest -= frozen;
            long trained = lora.layout().trainedParams(parameter) + (single ? biases : 0);
            rows.add(new LoRASummary.Row(single ? node.name() : node.name() + "/" + parameter.key(),
                    stock.getClass().getSimpleName(), role + scaled(parameter, running), parameter.rank(), parameter.alpha(),
                    stopped ? 0 : trained, stopped ? frozen + trained : frozen));
        }
        if (rest > 0 && biases > 0) {
            rows.add(new LoRASummary.Row(node.name(), stock.getClass().getSimpleName(),
                    (stopped ? Role.FREEZE_STOP : Role.TRAIN_BIAS).toString(), 0, 0, stopped ? 0 : biases, stopped
                    ? rest + biases : rest));
        } else if (rest > 0) {
            rows.add(frozen(node, stock.getClass(), stopped, rest));
        }
        return rows;
    }

    private static LoRASummary.Row row(Node node) {
        if (node.layer() instanceof LowRankLayer path) {
            return new LoRASummary.Row(node.name(), node.type(), Role.ADAPT.toString(), path.getRank(), path.getAlpha(),
                    node.numParams(), 0);
        }
        if (node.unwrappedLayer() instanceof FrozenBaseLayer frozen) {
            return frozen(node, StockLayers.unwrap(frozen.getOrigin()).getClass(), node.stopsGradient(),
                    StockLayers.numParams(StockLayers.unwrap(frozen.getOrigin())));
        }
        if (node.unwrappedVertex() instanceof FrozenBaseVertex frozen) {
            return frozen(node, StockLayers.unwrap(frozen.getOrigin()).getClass(), frozen.isStopsGradient(),
                    frozen.getOrigin().numParams(true));
        }
        if (node.isFrozen()) {
            Class<?> type = node.layer() != null ? node.unwrappedLayer().getClass() : node.unwrappedVertex().getClass();
            return frozen(node, type, node.isFrozenByDl4j(), node.numParams());
        }
        Role role = node.numParams() > 0 ? Role.TRAIN : Role.KEEP;
        return new LoRASummary.Row(node.name(), node.type(), role.toString(), 0, 0, node.numParams(), 0);
    }

    private static LoRASummary.Row frozen(Node node, Class<?> type, boolean stops, long parameters) {
        Role role = stops ? Role.FREEZE_STOP : Role.FREEZE_PASS;
        return new LoRASummary.Row(node.name(), type.getSimpleName(), role.toString(), 0, 0, 0, parameters);
    }
}
