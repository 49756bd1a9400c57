package io.github.dl4jlora.examples.serve.trial;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.atomic.LongAdder;
import java.util.stream.Collectors;

/** What was asked and what came of it, counted by many threads. */
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

    /** With what was asked for. */
    void answer() {
        answers.increment();
    }

    /** Something else, as it should be: {@code 400 bomb}. */
    void other(String kind) {
        others.computeIfAbsent(kind, key -> new LongAdder()).increment();
    }

    /** As it should not be. */
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

    /** The first of them. */
    synchronized List<String> faults() {
        return List.copyOf(faults);
    }

    /** {@code 400 bomb 12, 404 5}. */
    String others() {
        return others.isEmpty() ? "none" : others.entrySet().stream().map(kind -> kind.getKey() + " " + kind.getValue().sum())
                .collect(Collectors.joining(", "));
    }
}
