package io.github.dl4jlora.internal.inspect;

import io.github.dl4jlora.internal.kernel.Disableable;
import org.deeplearning4j.nn.api.Model;
import org.jspecify.annotations.Nullable;
import org.nd4j.shade.guava.collect.MapMaker;

import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicBoolean;

/** Which networks have their adapters disabled, and what is refused meanwhile. */
public final class DisabledScopes {

    /** How many scopes are open, by network, which is compared by identity and held weakly. */
    private static final Map<Model, Integer> OPEN = new MapMaker().weakKeys().makeMap();

    private DisabledScopes() {
    }

    /**
     * Opens one more.
     *
     * @return what ends it, once
     * @throws IllegalArgumentException if the network has no adapted layer
     * @throws IllegalStateException    if it has layers that are trained in full
     */
    public static Runnable open(Model network) {
        List<Disableable> layers = AdaptedView.of(network).disable();
        OPEN.merge(network, 1, Integer::sum);
        return once(() -> {
            layers.forEach(Disableable::enable);
            OPEN.computeIfPresent(network, (key, open) -> open == 1 ? null : open - 1);
        });
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
