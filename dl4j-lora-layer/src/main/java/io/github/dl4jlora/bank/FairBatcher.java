package io.github.dl4jlora.bank;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;

/**
 * Makes batches of the requests that wait. Requests of a batch have equal forms, and come from each adapter in turn, so that an
 * adapter with many requests takes no more of a batch than the others leave. Not thread-safe.
 */
final class FairBatcher {

    /** Requests of equal forms, in the order of their turns. */
    private static final class Line {

        private final Map<Object, Deque<Pending>> byOwner = new LinkedHashMap<>();
        private final Set<Pending> byArrival = new LinkedHashSet<>();
        private final long most;
        private long examples;

        /** @param most examples of a batch; 0 for batches of one request */
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
            Deque<Pending> own = Objects.requireNonNull(byOwner.get(pending.owner()));
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

        /** One request of each owner, again and again, until the next would be too much. */
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
     * A batcher without requests.
     *
     * @param mostExamples of a batch
     * @param delay        nanoseconds that a request waits for others while there are fewer
     */
    FairBatcher(int mostExamples, long delay) {
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

    /** Nanoseconds until a batch is ready, if nothing is added; zero or less if one is. */
    long untilReady(long now) {
        return lines.values().stream().mapToLong(line -> untilReady(line, now)).min().orElse(Long.MAX_VALUE);
    }

    private long untilReady(Line line, long now) {
        return line.examples >= line.most ? 0 : delay - (now - line.oldest());
    }

    /**
     * Takes the next batch.
     *
     * @param now what is not ready by then stays
     * @param all whether everything counts as ready
     * @return empty if nothing is ready
     */
    @SuppressWarnings("ModifyCollectionInEnhancedForLoop") // It returns right after.
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
