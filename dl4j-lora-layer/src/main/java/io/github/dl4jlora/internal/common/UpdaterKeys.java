package io.github.dl4jlora.internal.common;

/** Names of this library's own arrays among the state of a running updater. */
public final class UpdaterKeys {

    /**
     * Of what the batches so far have collected, where several make one update: the sum of their gradients, then their number, as
     * often. Zero begins a new group. Beside the keys of the updater inside.
     */
    public static final String GROUP = "ACCUMULATED";

    private UpdaterKeys() {
    }
}
