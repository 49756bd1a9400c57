package io.github.dl4jlora.serve.trial;

import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.locks.Lock;
import java.util.concurrent.locks.ReentrantLock;

/**
 * Which versions of an adapter may have its name, and when. A version is valid from the start of the request that brings it until
 * the request that brings the next one is answered; an answer is right if it matches a version that was valid at some moment
 * between its own request's start and end.
 */
final class Slot {

    /** In place of a version: there is no adapter of this name. */
    static final int ABSENT = -1;

    private static final long OLDEST_NANOS = 300_000_000_000L;

    private final String name;
    /** Held during a change: one at a time, so that the order of changes is known. */
    private final Lock change = new ReentrantLock();
    private final List<Span> spans = new ArrayList<>();

    private static final class Span {

        private final int version;
        private final long from;
        private long until = Long.MAX_VALUE;

        Span(int version, long from) {
            this.version = version;
            this.from = from;
        }
    }

    Slot(String name) {
        this.name = name;
        spans.add(new Span(ABSENT, System.nanoTime()));
    }

    String name() {
        return name;
    }

    Lock change() {
        return change;
    }

    /** To be called before the request. */
    synchronized void begin(int version) {
        spans.removeIf(span -> System.nanoTime() - OLDEST_NANOS > span.until);
        spans.add(new Span(version, System.nanoTime()));
    }

    /** The last request succeeded: its version is the only one now. */
    synchronized void succeeded() {
        settle(spans.get(spans.size() - 1).version);
    }

    /** The last request was refused. */
    synchronized void failed() {
        spans.remove(spans.size() - 1);
    }

    /** The current version was found out in another way. */
    synchronized void settle(int version) {
        long now = System.nanoTime();
        Span kept = null;
        for (Span span : spans) {
            if (span.until == Long.MAX_VALUE) {
                span.until = now;
                kept = span.version == version ? span : kept;
            }
        }
        if (kept == null) {
            kept = new Span(version, now);
            spans.add(kept);
        }
        kept.until = Long.MAX_VALUE;
    }

    /** Versions that were valid at some moment between {@code start} and {@code end}. */
    synchronized Set<Integer> possible(long start, long end) {
        Set<Integer> versions = new TreeSet<>();
        spans.stream().filter(span -> span.from <= end && span.until >= start).forEach(span -> versions.add(span.version));
        return versions;
    }

    Set<Integer> possibleNow() {
        long now = System.nanoTime();
        return possible(now, now);
    }
}
