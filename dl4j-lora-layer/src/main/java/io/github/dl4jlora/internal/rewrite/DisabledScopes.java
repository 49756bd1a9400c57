package io.github.dl4jlora.internal.rewrite;

import org.deeplearning4j.nn.api.Model;
import org.nd4j.shade.guava.collect.MapMaker;

import java.util.Map;

/** Which networks have their adapters disabled, and what is refused meanwhile. */
public final class DisabledScopes {

    /** How many scopes are open, by network, which is compared by identity and held weakly. */
    private static final Map<Model, Integer> OPEN = new MapMaker().weakKeys().makeMap();

    private DisabledScopes() {
    }

    /** One more scope is open. */
    public static void opened(Model network) {
        OPEN.merge(network, 1, Integer::sum);
    }

    /** One of the open scopes is closed. */
    public static void closed(Model network) {
        OPEN.computeIfPresent(network, (key, open) -> open == 1 ? null : open - 1);
    }

    /**
     * @param what is being done, for the message
     * @throws IllegalStateException while a scope is open
     */
    public static void requireNone(Model network, String what) {
        if (network != null && OPEN.containsKey(network)) {
            throw new IllegalStateException(what + " was called inside a scope of LoRA.disabled, in which the network computes "
                    + "as if it had no adapters. Close the scope first; what the base computes is LoRA.unload's to give");
        }
    }
}
