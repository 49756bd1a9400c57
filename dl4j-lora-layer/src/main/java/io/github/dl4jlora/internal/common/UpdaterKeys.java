package io.github.dl4jlora.internal.common;

/** Names of this library's own arrays among the state of a running updater. */
public final class UpdaterKeys {

    /** Of the sum of gradients so far, where several batches make one update; beside the keys of the updater inside. */
    public static final String GRADIENT_SUM = "ACCUMULATED";

    private UpdaterKeys() {
    }
}
