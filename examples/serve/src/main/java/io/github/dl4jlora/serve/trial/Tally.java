package io.github.dl4jlora.serve.trial;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.atomic.LongAdder;
import java.util.stream.Collectors;

/** Counts requests and their outcomes, on many threads. */
final class Tally {

    private static final int MOST_TOLD = 20;

    private final LongAdder requests = new LongAdder();
    private final LongAdder answers = new LongAdder();
    private final Map<String, LongAdder> others = new ConcurrentSkipListMap<>();
    private final List<String> faults = new ArrayList<>();
    private int faultsInAll;

    void request() {
        requests.increment();
    }

    /** The outputs that were asked for. */
    void answer() {
        answers.increment();
    }

    /** Another expected outcome: {@code 400 bomb}. */
    void other(String kind) {
        others.computeIfAbsent(kind, key -> new LongAdder()).increment();
    }

    /** An unexpected outcome. */
    synchronized void fault(String what) {
        faultsInAll++;
        if (faults.size() < MOST_TOLD) {
            faults.add(what);
        }
    }

    long requests() {
        return requests.sum();
    }

    long answers() {
        return answers.sum();
    }

    synchronized int faultsInAll() {
        return faultsInAll;
    }

    /** The first faults. */
    synchronized List<String> faults() {
        return List.copyOf(faults);
    }

    /** {@code 400 bomb 12, 404 5}. */
    String others() {
        return others.isEmpty() ? "none" : others.entrySet().stream().map(kind -> kind.getKey() + " " + kind.getValue().sum())
                .collect(Collectors.joining(", "));
    }
}
