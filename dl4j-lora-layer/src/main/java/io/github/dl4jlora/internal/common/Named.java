package io.github.dl4jlora.internal.common;

import org.jspecify.annotations.Nullable;

/** What messages call a layer. */
public final class Named {

    private Named() {
    }

    /** {@code Layer "fc"}. */
    public static String layer(@Nullable String name) {
        return "Layer " + quoted(name);
    }

    /** {@code "fc"}, or {@code "(unnamed)"} for null. */
    public static String quoted(@Nullable String name) {
        return "\"" + (name == null ? "(unnamed)" : name) + "\"";
    }

    /**
     * Refuses another size than a layer has already.
     *
     * @param what {@code nIn} or {@code nOut}
     * @throws IllegalStateException for another size
     */
    public static void refuseResize(@Nullable String layer, String what, long from, long to) {
        if (from > 0 && from != to) {
            throw new IllegalStateException(layer(layer) + ": " + what + " cannot be changed from "
                    + from + " to " + to + ", because its frozen weights would have to be replaced by random ones. "
                    + "Call LoRA.merge or LoRA.unload first, resize the stock network, then adapt it again");
        }
    }
}
