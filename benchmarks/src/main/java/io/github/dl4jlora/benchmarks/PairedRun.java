package io.github.dl4jlora.benchmarks;

import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.stream.Stream;

/**
 * A task here, or in PyTorch, where both take turns.
 *
 * @param peer how PyTorch computes it; empty for this library
 */
record PairedRun<T>(T task, String peer) {

    private static final String HERE = "";

    static <T> PairedRun<T> here(T task) {
        return new PairedRun<>(task, HERE);
    }

    /** @param peers for each task, the ways in which PyTorch computes it */
    static <T> List<PairedRun<T>> of(T[] tasks, Function<T, List<String>> peers) {
        return Arrays.stream(tasks).flatMap(task -> Stream.concat(Stream.of(HERE), peers.apply(task).stream())
                .map(peer -> new PairedRun<>(task, peer))).toList();
    }

    boolean isHere() {
        return peer.equals(HERE);
    }

    String title(Function<T, String> ofTask) {
        return (isHere() ? "" : peer + ", ") + ofTask.apply(task);
    }

    /** {@return the first of a run's figures; NaN if nothing was measured} */
    static <T> double first(Map<PairedRun<T>, double[]> found, PairedRun<T> run) {
        return found.containsKey(run) ? found.get(run)[0] : Double.NaN;
    }
}
