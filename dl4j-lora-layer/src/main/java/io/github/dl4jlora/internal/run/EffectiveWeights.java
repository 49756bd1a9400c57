package io.github.dl4jlora.internal.run;

import io.github.dl4jlora.internal.stock.MatrixForm;
import io.github.dl4jlora.internal.run.AdaptedRuntime.Route;
import org.bytedeco.javacpp.Pointer;
import org.deeplearning4j.nn.gradient.DefaultGradient;
import org.deeplearning4j.nn.gradient.Gradient;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.HashMap;
import java.util.Map;
import java.util.function.Supplier;

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

    private final String layer;
    private final Map<String, MatrixForm> forms;
    private final Supplier<? extends AdaptedConfiguration> lora;
    private final Supplier<INDArray> base;
    private final INDArray watched;
    private final Map<String, INDArray> trained;
    private final INDArray values;

    private Map<String, INDArray> table;
    private Map<String, INDArray> gradients = Map.of();
    private final Map<String, Route> routes = new HashMap<>();
    private Map<String, Route> applied = Map.of();
    private int disabled;
    private INDArray snapshot;
    private boolean stale = true;

    /**
     * @param layer   name for messages
     * @param forms   how the adapted parameters are matrices
     * @param lora    what is adapted, with its present factors
     * @param base    looks the frozen values up, flat; asked before the first pass, not earlier
     * @param watched the layer's part of the network's vector
     * @param trained A, B and biases, views of {@code watched}
     * @param values  flat, what the stock layer was built on
     */
    EffectiveWeights(String layer, Map<String, MatrixForm> forms, Supplier<? extends AdaptedConfiguration> lora,
                     Supplier<INDArray> base, INDArray watched, Map<String, INDArray> trained, INDArray values) {
        this.layer = layer;
        this.forms = forms;
        this.lora = lora;
        this.base = base;
        this.watched = watched;
        this.trained = trained;
        this.values = values;
    }

    /** @param stock the stock layer's table, views of the values that this computes */
    void bind(Map<String, INDArray> stock) {
        table = stock;
    }

    /** Where the gradients of A, B and biases go to, by key. */
    void setGradients(Map<String, INDArray> views) {
        gradients = views;
    }

    void rescaled() {
        stale = true;
    }

    void disable() {
        disabled++;
        stale = true;
    }

    void enable() {
        disabled--;
        stale = true;
    }

    /** Takes A, B and factor of one parameter from elsewhere; null: from the layer again. */
    void route(String key, Route route) {
        if (route == null) {
            routes.remove(key);
        } else {
            routes.put(key, route);
        }
    }

    /** Brings M up to date. Cheap when nothing has changed. */
    void refresh() {
        if (!stale && sameRoutes() && (isRoutedWhole() || isUnchanged())) {
            return;
        }
        // Until M is whole: what follows may throw.
        stale = true;
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            INDArray frozen = base.get();
            values.assign(frozen.reshape(values.shape()));
            if (disabled == 0) {
                for (TrainedBias bias : lora.get().biases()) {
                    INDArray effective = table.get(bias.key());
                    effective.assign(trained.get(bias.key()).reshape('c', effective.shape()));
                }
                for (AdaptedParameter parameter : lora.get().adapted()) {
                    Route route = routes.get(parameter.key());
                    INDArray a = route == null ? trained.get(parameter.keyOfA()) : route.a();
                    INDArray b = route == null ? trained.get(parameter.keyOfB()) : route.b();
                    double factor = route == null ? parameter.factor() : route.factor();
                    forms.get(parameter.key()).add(a, b, factor, table.get(parameter.key()));
                }
            }
            if (snapshot == null) {
                snapshot = watched.dup();
            } else {
                snapshot.assign(watched);
            }
        }
        applied = Map.copyOf(routes);
        stale = false;
    }

    /** Whether nothing of the layer's own part of the vector matters. */
    private boolean isRoutedWhole() {
        return !routes.isEmpty() && routes.size() == lora.get().adapted().size() && lora.get().biases().isEmpty();
    }

    private boolean sameRoutes() {
        return routes.size() == applied.size() && routes.entrySet().stream().allMatch(entry -> {
            Route before = applied.get(entry.getKey());
            Route now = entry.getValue();
            return before != null && before.a() == now.a() && before.b() == now.b() && before.factor() == now.factor();
        });
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
        requireEnabled();
        Gradient result = new DefaultGradient();
        for (AdaptedParameter parameter : lora.get().adapted()) {
            INDArray dw = forms.get(parameter.key()).of(stock.getGradientFor(parameter.key()));
            INDArray da = gradients.get(parameter.keyOfA());
            INDArray db = gradients.get(parameter.keyOfB());
            Nd4j.gemm(dw, trained.get(parameter.keyOfB()), da, false, true, parameter.factor(), 0);
            Nd4j.gemm(trained.get(parameter.keyOfA()), dw, db, true, false, parameter.factor(), 0);
            result.setGradientFor(parameter.keyOfA(), da);
            result.setGradientFor(parameter.keyOfB(), db);
        }
        for (TrainedBias bias : lora.get().biases()) {
            INDArray db = gradients.get(bias.key());
            result.setGradientFor(bias.key(), db.assign(stock.getGradientFor(bias.key()).reshape('c', db.shape())));
        }
        return result;
    }

    void requireEnabled() {
        LoRAParams.requireEnabled(layer, disabled);
    }
}
