package io.github.dl4jlora.internal.run;

import io.github.dl4jlora.internal.kernel.Route;
import io.github.dl4jlora.internal.stock.MatrixForm;
import io.github.dl4jlora.variant.Variant;
import org.bytedeco.javacpp.Pointer;
import org.deeplearning4j.nn.gradient.DefaultGradient;
import org.deeplearning4j.nn.gradient.Gradient;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.List;
import java.util.Map;

/**
 * The weights on which a stock layer or vertex runs, and what their gradient means for A, B and trained biases b:
 *
 * <pre>
 * M  = M₀ + s·A·B          in place of M₀
 * b                        in place of b₀, with the stock layer's own gradient
 * dA = s·dM·Bᵀ
 * dB = s·Aᵀ·dM
 * </pre>
 *
 * M is computed into an array of its own when A, B, b, the factor or a base in the vector has changed since, not per call.
 * That is found out by comparing the layer's part of the vector with a copy: iteration counts miss {@code setParams} and
 * writes into views.
 */
public final class EffectiveWeights {

    private final Adapter adapter;
    private final Map<String, MatrixForm> forms;
    private final INDArray watched;
    private final Map<String, INDArray> table;
    private final INDArray values;

    private Map<String, INDArray> gradients = Map.of();
    private Map<String, Routing> applied = Map.of();
    private INDArray snapshot;
    private boolean stale = true;

    /**
     * @param adapter of the layer
     * @param watched the layer's part of the network's vector
     * @param values  flat, what the stock layer was built on
     * @param table   the stock layer's table, views of {@code values}
     */
    EffectiveWeights(Adapter adapter, INDArray watched, INDArray values, Map<String, INDArray> table) {
        this.adapter = adapter;
        this.forms = adapter.configuration().matrices().forms();
        this.watched = watched;
        this.values = values;
        this.table = table;
    }

    /** Where the gradients of A, B and biases go to, by key. */
    void setGradients(Map<String, INDArray> views) {
        gradients = views;
    }

    /** M is of no use any more. */
    void changed() {
        stale = true;
    }

    /** See {@link AdaptedRuntime#route}: all rows are for one. */
    void route(String key, long rows, List<Route> routes) {
        if (routes != null) {
            new Routing(adapter.configuration().getLayerName(), rows, routes).single();
        }
        adapter.switches().route(key, rows, routes);
    }

    /** Brings M up to date. Cheap when nothing has changed. */
    void refresh(boolean training) {
        adapter.beginPass(training);
        if (!stale && sameRoutes() && (isRoutedWhole() || isUnchanged())) {
            return;
        }
        // Until M is whole: what follows may throw.
        stale = true;
        AdaptedConfiguration lora = adapter.configuration();
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            values.assign(adapter.frozenValues().reshape(values.shape()));
            if (!adapter.switches().isDisabled()) {
                for (TrainedBias bias : lora.biases()) {
                    INDArray effective = table.get(bias.key());
                    effective.assign(adapter.value(bias.key()).reshape('c', effective.shape()));
                }
                for (AdaptedParameter parameter : lora.adapted()) {
                    Route route = route(parameter);
                    forms.get(parameter.key()).add(route.a(), route.b(), route.factor(), table.get(parameter.key()));
                }
            }
            if (snapshot == null) {
                snapshot = watched.dup();
            } else {
                snapshot.assign(watched);
            }
        }
        applied = Map.copyOf(adapter.switches().routings());
        stale = false;
    }

    private Route route(AdaptedParameter parameter) {
        Routing routing = adapter.switches().routing(parameter.key());
        return routing != null ? routing.single() : new Route(0, Long.MAX_VALUE, value(parameter, Variant.A),
                value(parameter, Variant.B), adapter.factor(parameter));
    }

    private INDArray value(AdaptedParameter parameter, String part) {
        return adapter.value(adapter.configuration().key(parameter, part));
    }

    /** Whether nothing of the layer's own part of the vector matters. */
    private boolean isRoutedWhole() {
        AdaptedConfiguration lora = adapter.configuration();
        return !lora.adapted().isEmpty() && adapter.switches().routings().size() == lora.adapted().size()
                && lora.biases().isEmpty();
    }

    private boolean sameRoutes() {
        Map<String, Routing> now = adapter.switches().routings();
        return now.size() == applied.size()
                && now.entrySet().stream().allMatch(entry -> entry.getValue().isSameAs(applied.get(entry.getKey())));
    }

    /** Bit for bit. Where the values are not in the host's memory, nothing is known. */
    private boolean isUnchanged() {
        if (!Nd4j.getBackend().getEnvironment().isCPU() || watched.elementWiseStride() != 1) {
            return false;
        }
        return Pointer.memcmp(watched.data().addressPointer(), snapshot.data().addressPointer(),
                watched.length() * watched.dataType().width()) == 0;
    }

    /**
     * Turns the stock layer's gradients into those of A, B and biases.
     *
     * @param stock  as the stock layer returned them
     * @return views of the network's gradient vector
     */
    Gradient project(Gradient stock) {
        AdaptedConfiguration lora = adapter.configuration();
        Gradient result = new DefaultGradient();
        for (AdaptedParameter parameter : lora.adapted()) {
            INDArray dw = forms.get(parameter.key()).of(stock.getGradientFor(parameter.key()));
            String keyOfA = lora.key(parameter, Variant.A);
            String keyOfB = lora.key(parameter, Variant.B);
            double factor = adapter.factor(parameter);
            Nd4j.gemm(dw, value(parameter, Variant.B), gradients.get(keyOfA), false, true, factor, 0);
            Nd4j.gemm(value(parameter, Variant.A), dw, gradients.get(keyOfB), true, false, factor, 0);
            result.setGradientFor(keyOfA, gradients.get(keyOfA));
            result.setGradientFor(keyOfB, gradients.get(keyOfB));
        }
        for (TrainedBias bias : lora.biases()) {
            INDArray db = gradients.get(bias.key());
            result.setGradientFor(bias.key(), db.assign(stock.getGradientFor(bias.key()).reshape('c', db.shape())));
        }
        return result;
    }
}
