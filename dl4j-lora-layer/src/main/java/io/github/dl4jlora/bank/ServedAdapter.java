package io.github.dl4jlora.bank;

import io.github.dl4jlora.internal.kernel.Route;
import io.github.dl4jlora.internal.peft.AdapterContent;
import io.github.dl4jlora.internal.peft.Delta;
import io.github.dl4jlora.internal.rewrite.AdaptedView;
import io.github.dl4jlora.internal.swap.Swap;
import io.github.dl4jlora.variant.Variant;
import org.deeplearning4j.nn.params.DefaultParamInitializer;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.LinkedHashMap;
import java.util.Map;

/**
 * An adapter in the form in which a bank serves it: for each adapted matrix what a route holds, in the network's type, and the
 * values that have to be put into a network. A request holds on to it, whatever becomes of the bank.
 */
final class ServedAdapter {

    private final AdapterContent values;
    private final Map<String, Route> routes;
    private final NetworkKind ownKind;

    private ServedAdapter(AdapterContent values, Map<String, Route> routes, NetworkKind ownKind) {
        this.values = values;
        this.routes = routes;
        this.ownKind = ownKind;
    }

    /**
     * @param kind that computes it
     * @throws IllegalArgumentException if it does not fit
     */
    static ServedAdapter of(AdapterContent adapter, NetworkKind kind, Map<String, AdaptedView.Base> bases) {
        AdapterContent fitting = Swap.fitting(adapter, kind.view(), bases);
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            Map<String, Route> routes = new LinkedHashMap<>();
            fitting.deltas().forEach((layer, delta) ->
                    routes.put(layer, route(layer, delta, kind.view().adaptedMatrices().get(layer))));
            return new ServedAdapter(kind.isOfOneAdapter() ? fitting : null, routes, kind.isOfOneAdapter() ? kind : null);
        }
    }

    private static Route route(String layer, Delta delta, AdaptedView.AdaptedMatrix matrix) {
        DataType type = matrix.a().dataType();
        Map<String, INDArray> parts = new LinkedHashMap<>();
        delta.parts().forEach((key, value) -> parts.put(key, value.castTo(type)));
        INDArray a = parts.get(Variant.A);
        INDArray b = parts.get(Variant.B);
        INDArray scale = matrix.outputScale(delta.kind().variant(), parts, delta.factor());
        if (scale == null && !delta.kind().variant().isAdditive()) {
            throw new IllegalArgumentException("Layer \"" + layer + "\": a bank cannot serve the variant "
                    + delta.kind().variant().name() + ", which neither adds to W nor scales outputs. Serve the network of "
                    + "LoRA.apply(base, adapter), or LoRA.merge it");
        }
        if (parts.containsKey(Variant.START_A)) {
            // W − s·A0·B0 + s·A·B, on a W that stays whole.
            a = Nd4j.concat(1, a, parts.get(Variant.START_A));
            b = Nd4j.concat(0, b, parts.get(Variant.START_B).neg());
        }
        return new Route(0, 0, a, b, delta.factor(), scale, parts.get(DefaultParamInitializer.BIAS_KEY));
    }

    /** The kind of networks that take its values, and compute no other kind of adapter; null for one that has none. */
    NetworkKind ownKind() {
        return ownKind;
    }

    /** What has to be put into a network before it computes this; null for one that has no values. */
    AdapterContent values() {
        return values;
    }

    /** Why it can be neither multiplied nor added to others; null if it can. */
    String moreThanAdding() {
        return values != null ? "it has layers, or biases, that were trained in full"
                : routes.values().stream().anyMatch(route -> route.scale() != null) ? "it is DoRA, which scales outputs"
                : routes.values().stream().anyMatch(route -> route.bias() != null) ? "it has trained biases" : null;
    }

    /** What stands in for a matrix's own adapter, for some examples; null where there is nothing to add. */
    Route route(String layer, double weight, long from, long to) {
        Route route = routes.get(layer);
        return route == null ? null : new Route(from, to, route.a(), route.b(), route.factor() * weight, route.scale(),
                route.bias());
    }

    /** Whether it changes a matrix. */
    boolean changes(String layer) {
        return routes.containsKey(layer);
    }
}
