package io.github.dl4jlora.internal.inspect;

import io.github.dl4jlora.frozen.FrozenBaseLayer;
import io.github.dl4jlora.frozen.FrozenBaseVertex;
import io.github.dl4jlora.internal.adapted.AdaptedConfiguration;
import io.github.dl4jlora.internal.adapted.AdaptedParameter;
import io.github.dl4jlora.internal.adapted.TrainedBias;
import io.github.dl4jlora.internal.base.FrozenReference;
import io.github.dl4jlora.internal.network.MatrixName;
import io.github.dl4jlora.internal.network.Network;
import io.github.dl4jlora.internal.network.Networks;
import io.github.dl4jlora.internal.network.Node;
import io.github.dl4jlora.internal.plan.Role;
import io.github.dl4jlora.internal.run.AdaptedRuntime;
import io.github.dl4jlora.internal.stock.StockLayers;
import io.github.dl4jlora.layer.LowRankLayer;
import io.github.dl4jlora.report.LoRASummary;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.layers.BaseLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;

/** Reads a {@link LoRASummary} off a network. */
public final class Summaries {

    private final Network<?> network;

    private Summaries(Network<?> network) {
        this.network = network;
    }

    /** What each layer of a network is, and what trains of it. */
    public static LoRASummary of(Model model) {
        return of(Networks.of(model));
    }

    /** As {@link #of(Model)}; of a network that is only planned too. */
    public static LoRASummary of(Network<?> network) {
        Summaries summaries = new Summaries(network);
        return new LoRASummary(network.nodes().stream().flatMap(summaries::rows).toList(),
                network.nodes().stream().flatMap(Summaries::notes).toList());
    }

    /** Constraints and weight noise of the base, which do not apply to a W that does not move. */
    private static Stream<String> notes(Node node) {
        AdaptedConfiguration lora = node.adapted();
        if (lora == null || lora.adapted().isEmpty() || lora.stockLayer() == null) {
            return Stream.empty();
        }
        Set<String> dropped = rules(lora.stockLayer());
        dropped.removeAll(rules((Layer) lora));
        return dropped.isEmpty() ? Stream.empty() : Stream.of("Layer \"" + node.name() + "\": " + String.join(" and ", dropped)
                + " of the base " + (dropped.size() == 1 ? "does" : "do") + " not apply while the layer is adapted: its weights "
                + "stay as they are, and A and B have no such rule");
    }

    private static Set<String> rules(Layer layer) {
        Layer inner = StockLayers.innermost(layer);
        Set<String> rules = new TreeSet<>();
        if (inner.getConstraints() != null) {
            inner.getConstraints().forEach(constraint -> rules.add(constraint.getClass().getSimpleName()));
        }
        if (inner instanceof BaseLayer base && base.getWeightNoise() != null) {
            rules.add(base.getWeightNoise().getClass().getSimpleName());
        }
        return rules;
    }

    private Stream<LoRASummary.Row> rows(Node node) {
        return node.adapted() == null ? Stream.of(row(node)) : adapted(node, node.adapted()).stream();
    }

    /** Set at run time; no configuration has it. */
    private static String scaled(AdaptedParameter parameter, @Nullable AdaptedRuntime runtime) {
        double scale = runtime == null ? 1 : runtime.adapter().switches().scale(parameter.key());
        return scale == 1 ? "" : ", scaled by " + scale;
    }

    /**
     * A row for each adapted matrix, and one for what else the layer has, trained biases included, unless it has one matrix
     * only.
     */
    private List<LoRASummary.Row> adapted(Node node, AdaptedConfiguration lora) {
        boolean stopped = node.isFrozenByDl4j();
        Role role = stopped ? Role.FREEZE_STOP : Role.ADAPT;
        Object stock = Objects.requireNonNull(lora.stockLayer() != null ? lora.stockLayer() : lora.stockVertex());
        boolean single = lora.matrices().forms().size() == 1;
        FrozenReference reference = node.frozenReference();
        List<LoRASummary.Row> rows = new ArrayList<>();
        long rest = lora.frozenParams();
        long restBytes = bytes(reference, rest);
        long biases = lora.biases().stream().mapToLong(TrainedBias::length).sum();
        for (AdaptedParameter parameter : lora.adapted()) {
            long ofMatrix = single ? rest : parameter.nIn() * parameter.nOut();
            long matrixBytes = single ? restBytes : reference == null ? bytes(ofMatrix) : reference.bytes(parameter.key());
            rest -= ofMatrix;
            restBytes -= matrixBytes;
            long trained = lora.layout().trainedParams(parameter) + (single ? biases : 0);
            long fixed = lora.layout().constantParams() + (stopped ? trained : 0);
            rows.add(new LoRASummary.Row(MatrixName.of(node, parameter.key()).module(),
                    stock.getClass().getSimpleName(), role + scaled(parameter, network.adaptedRuntime(node)), parameter.rank(),
                    parameter.alpha(), stopped ? 0 : trained, ofMatrix + fixed, storedAs(reference), matrixBytes + bytes(fixed),
                    errors(reference).getOrDefault(parameter.key(), Double.NaN)));
        }
        if (rest > 0) {
            Role ofRest = stopped ? Role.FREEZE_STOP : biases > 0 ? Role.TRAIN_BIAS : Role.FREEZE_PASS;
            long fixed = stopped ? biases : 0;
            rows.add(new LoRASummary.Row(node.name(), stock.getClass().getSimpleName(), ofRest.toString(), 0, 0, biases - fixed,
                    rest + fixed, storedAs(reference), restBytes + bytes(fixed), Double.NaN));
        }
        return rows;
    }

    private LoRASummary.Row row(Node node) {
        if (node.layer() instanceof LowRankLayer path) {
            return new LoRASummary.Row(node.name(), node.type(), Role.ADAPT.toString(), path.getRank(), path.getAlpha(),
                    node.numParams(), 0, network.dataType().name(), 0, Double.NaN);
        }
        if (node.layer() != null && node.unwrappedLayer() instanceof FrozenBaseLayer frozen) {
            return frozen(node, StockLayers.unwrap(frozen.getOrigin()).getClass(), node.stopsGradient(),
                    StockLayers.numParams(StockLayers.unwrap(frozen.getOrigin())));
        }
        if (node.vertex() != null && node.unwrappedVertex() instanceof FrozenBaseVertex frozen) {
            return frozen(node, StockLayers.unwrap(frozen.getOrigin()).getClass(), frozen.isStopsGradient(),
                    frozen.getOrigin().numParams(true));
        }
        if (node.isFrozenAtAnyDepth()) {
            return frozen(node, node.unwrappedType(), node.isFrozenByDl4j(), node.numParams());
        }
        boolean trains = node.numParams() > 0;
        return new LoRASummary.Row(node.name(), node.type(), (trains ? Role.TRAIN : Role.KEEP).toString(), 0, 0,
                node.numParams(), 0, trains ? network.dataType().name() : "", 0, Double.NaN);
    }

    private LoRASummary.Row frozen(Node node, Class<?> type, boolean stops, long parameters) {
        Role role = stops ? Role.FREEZE_STOP : Role.FREEZE_PASS;
        FrozenReference reference = node.frozenReference();
        return new LoRASummary.Row(node.name(), type.getSimpleName(), role.toString(), 0, 0, 0, parameters,
                parameters == 0 ? "" : storedAs(reference), bytes(reference, parameters), largestError(reference));
    }

    private String storedAs(@Nullable FrozenReference reference) {
        return reference == null ? network.dataType().name() : reference.storedAs();
    }

    /** Of a layer's frozen values: those outside the vector, or as many inside. */
    private long bytes(@Nullable FrozenReference reference, long values) {
        return reference == null ? bytes(values) : reference.bytes();
    }

    private long bytes(long values) {
        return values * network.dataType().width();
    }

    private static Map<String, Double> errors(@Nullable FrozenReference reference) {
        return reference == null ? Map.of() : reference.errors();
    }

    private static double largestError(@Nullable FrozenReference reference) {
        return errors(reference).values().stream().mapToDouble(Double::doubleValue).max().orElse(Double.NaN);
    }
}
