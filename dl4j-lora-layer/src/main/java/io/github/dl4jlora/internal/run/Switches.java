package io.github.dl4jlora.internal.run;

import io.github.dl4jlora.internal.blas.Route;
import io.github.dl4jlora.internal.common.Named;
import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.BooleanSupplier;
import java.util.function.Supplier;

/**
 * What can be switched on a running adapted layer: whether its adapters count, how much, and whether a bank's adapters replace
 * them.
 */
public final class Switches {

    private final Supplier<@Nullable String> name;
    private final Runnable changed;
    private final Runnable routed;
    private final Map<String, Routing> routings = new HashMap<>();
    private final Map<String, Double> scales = new HashMap<>();
    private final List<double[]> scopes = new ArrayList<>();
    private int disabled;

    /**
     * @param name    the layer's, for messages
     * @param changed run after each other switch
     * @param routed  run after a bank's adapters have been switched
     */
    Switches(Supplier<@Nullable String> name, Runnable changed, Runnable routed) {
        this.name = name;
        this.changed = changed;
        this.routed = routed;
    }

    void disable() {
        disabled++;
        changed.run();
    }

    void enable() {
        disabled--;
        changed.run();
    }

    /** Whether a scope is open in which the layer computes what the base's layer does. */
    public boolean isDisabled() {
        return disabled > 0;
    }

    /**
     * By what the path of an adapted parameter is multiplied, besides its own factor: the scale of {@link #setScale}, times that
     * of every open scope.
     */
    public double scale(String key) {
        double scale = scales.getOrDefault(key, 1.0);
        for (double[] scope : scopes) {
            scale *= scope[0];
        }
        return scale;
    }

    /** Sets by what the path of an adapted parameter is multiplied, in place of what was set before. */
    public void setScale(String key, double scale) {
        scales.put(key, scale);
        changed.run();
    }

    /**
     * Multiplies all paths of the layer.
     *
     * @return ends the scope
     */
    public Runnable openScale(double scale) {
        double[] scope = {scale};
        scopes.add(scope);
        changed.run();
        return () -> {
            scopes.removeIf(open -> open == scope);
            changed.run();
        };
    }

    /** See {@link AdaptedRuntime#route}. */
    void route(String key, long examples, BooleanSupplier inOrder, @Nullable List<Route> routes) {
        if (routes == null) {
            routings.remove(key);
        } else {
            routings.put(key, new Routing(name.get(), examples, inOrder, List.copyOf(routes)));
        }
        routed.run();
    }

    /** What runs in place of the layer's own path; null if the layer's own path runs. */
    public @Nullable Routing routing(String key) {
        return routings.get(key);
    }

    /** The routings of all adapted parameters that have one, by key. */
    public Map<String, Routing> routings() {
        return routings;
    }

    /**
     * @throws IllegalStateException while the adapter is disabled, or the layer serves the adapters of a bank
     */
    public void requireTrainable() {
        if (disabled > 0) {
            throw new IllegalStateException(Named.layer(name.get()) + ": its adapter is disabled, so there is nothing to train. "
                    + "Close the scope that LoRA.disabled opened first");
        }
        if (!routings.isEmpty()) {
            throw new IllegalStateException(Named.layer(name.get()) + " serves the adapters of a bank and cannot be trained");
        }
    }
}
