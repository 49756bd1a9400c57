package io.github.dl4jlora.bank;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Requests that wait: those of equal forms together, and among these each adapter's in turn, so that one with many requests takes
 * no more of a batch than the others leave. Not for several threads.
 */
final class Turns {

    /** Requests of equal forms. */
    private static final class Line {

        private final Map<Object, Deque<Pending>> byOwner = new LinkedHashMap<>();
        private final Set<Pending> byArrival = new LinkedHashSet<>();
        private final long most;
        private long examples;

        /** @param most examples of a batch; 0: a request each */
        Line(long most) {
            this.most = most;
        }

        void add(Pending pending) {
            byOwner.computeIfAbsent(pending.owner(), key -> new ArrayDeque<>()).add(pending);
            byArrival.add(pending);
            examples += pending.examples();
        }

        boolean remove(Pending pending) {
            if (!byArrival.remove(pending)) {
                return false;
            }
            Deque<Pending> own = byOwner.get(pending.owner());
            own.remove(pending);
            if (own.isEmpty()) {
                byOwner.remove(pending.owner());
            }
            examples -= pending.examples();
            return true;
        }

        long oldest() {
            return byArrival.iterator().next().since();
        }

        /** One of each owner, again and again, until the next would be too much. */
        List<Pending> take() {
            List<Pending> taken = new ArrayList<>();
            long sum = 0;
            while (!byOwner.isEmpty()) {
                Iterator<Map.Entry<Object, Deque<Pending>>> first = byOwner.entrySet().iterator();
                Map.Entry<Object, Deque<Pending>> owner = first.next();
                Pending next = owner.getValue().peek();
                if (!taken.isEmpty() && sum + next.examples() > most) {
                    break;
                }
                first.remove();
                owner.getValue().remove();
                if (!owner.getValue().isEmpty()) {
                    byOwner.put(owner.getKey(), owner.getValue());
                }
                byArrival.remove(next);
                examples -= next.examples();
                sum += next.examples();
                taken.add(next);
            }
            return taken;
        }
    }

    private final int mostExamples;
    private final long delay;
    private final Map<Object, Line> lines = new LinkedHashMap<>();

    /**
     * @param mostExamples of a batch
     * @param delay        nanoseconds that a request waits for others where there are fewer
     */
    Turns(int mostExamples, long delay) {
        this.mostExamples = mostExamples;
        this.delay = delay;
    }

    boolean isEmpty() {
        return lines.isEmpty();
    }

    void add(Pending pending) {
        lines.computeIfAbsent(pending.form(), key -> new Line(pending.combines() ? mostExamples : 0)).add(pending);
    }

    /** {@return whether it waited} */
    boolean remove(Pending pending) {
        Line line = lines.get(pending.form());
        if (line == null || !line.remove(pending)) {
            return false;
        }
        if (line.examples == 0) {
            lines.remove(pending.form());
        }
        return true;
    }

    /** How long nothing will be ready, if nothing is added; zero or less if something is. */
    long untilReady(long now) {
        return lines.values().stream().mapToLong(line -> untilReady(line, now)).min().orElse(Long.MAX_VALUE);
    }

    private long untilReady(Line line, long now) {
        return line.examples >= line.most ? 0 : delay - (now - line.oldest());
    }

    /**
     * The next batch.
     *
     * @param now those that are not ready by then wait; ignored if {@code all}
     * @return none if nothing is ready
     */
    List<Pending> take(long now, boolean all) {
        for (Map.Entry<Object, Line> entry : lines.entrySet()) {
            Line line = entry.getValue();
            if (all || untilReady(line, now) <= 0) {
                List<Pending> taken = line.take();
                lines.remove(entry.getKey());
                if (line.examples > 0) {
                    lines.put(entry.getKey(), line);
                }
                return taken;
            }
        }
        return List.of();
    }
}
