package io.github.dl4jlora.property;

import net.jqwik.api.Shrinkable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.factory.Nd4j;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.time.Duration;
import java.time.Instant;
import java.util.EnumMap;
import java.util.EnumSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;

import static org.assertj.core.api.Assertions.assertThat;

/**
 * Tries random networks against every law until time is up. It does not stop at the first failure, as a jqwik property
 * would, but shrinks the first of each kind and goes on: one run of some hours tells all that it can find.
 */
final class Search {

    /** Of one law's verdicts; below it a run means nothing. */
    private static final double LEAST_SHARE_CHECKED = 0.01;
    private static final int GENERATOR_SIZE = 1000;
    private static final int FEW = 30;
    /** A law that says something about fewer networks than this may be checked on none. */
    private static final int OFTEN = 15;
    /** A network counts as the first of these that came of any law. */
    private static final List<Verdict.Outcome> BY_WEIGHT = List.of(Verdict.Outcome.FAILED, Verdict.Outcome.CHECKED,
            Verdict.Outcome.REFUSED, Verdict.Outcome.STOCK_FAILS, Verdict.Outcome.NOT_APPLICABLE);

    private final long seed;
    private final Duration time;
    private final int networks;
    private final int shrinkingSteps;
    private final Map<Law, Map<Verdict.Outcome, Integer>> counts = new EnumMap<>(Law.class);
    private final Map<Verdict.Outcome, Integer> networkCounts = new EnumMap<>(Verdict.Outcome.class);
    private Duration shrinking = Duration.ZERO;
    private final Map<String, Integer> reasons = new TreeMap<>();
    private final Map<String, Failure> failures = new LinkedHashMap<>();

    /** The smallest network of a kind of failure, and how many there were. */
    private record Failure(NetworkSpec spec, Throwable problem, int count) {

        Failure again() {
            return new Failure(spec, problem, count + 1);
        }
    }

    /**
     * @param networks at most
     * @param time     at most; shrinking counts
     */
    Search(long seed, int networks, Duration time, int shrinkingSteps) {
        this.seed = seed;
        this.networks = networks;
        this.time = time;
        this.shrinkingSteps = shrinkingSteps;
    }

    /**
     * @throws AssertionError if some network breaks a law, with the smallest of each kind as a Java expression, or if hardly
     *                        any could be checked
     */
    void run() {
        var generator = Specs.networks().generator(GENERATOR_SIZE);
        Random random = new Random(seed);
        Instant start = Instant.now();
        Instant end = start.plus(time);
        int tried = 0;
        DataType before = Nd4j.defaultFloatingPointType();
        try {
            for (; tried < networks && Instant.now().isBefore(end); tried++) {
                Shrinkable<NetworkSpec> network = generator.next(random);
                Set<Verdict.Outcome> outcomes = EnumSet.noneOf(Verdict.Outcome.class);
                for (Law law : Law.values()) {
                    outcomes.add(count(law, network, end));
                }
                networkCounts.merge(BY_WEIGHT.stream().filter(outcomes::contains).findFirst().orElseThrow(), 1, Integer::sum);
            }
        } finally {
            Nd4j.setDefaultDataTypes(before, before);
        }
        String report = report(tried, Duration.between(start, Instant.now()));
        System.out.println(report);
        assertThat(failures.keySet()).as(report).isEmpty();
        // Where time was up before all were tried, the shares are those of networks that nobody has looked at.
        if (tried >= FEW && tried == networks) {
            requireChecks();
        }
    }

    private Verdict.Outcome count(Law law, Shrinkable<NetworkSpec> network, Instant end) {
        Verdict verdict = Verdict.of(law, network.value());
        counts.computeIfAbsent(law, key -> new EnumMap<>(Verdict.Outcome.class)).merge(verdict.outcome(), 1, Integer::sum);
        if (verdict.outcome() != Verdict.Outcome.FAILED) {
            if (verdict.problem() != null) {
                reasons.merge(verdict.outcome() + " " + verdict.kind(), 1, Integer::sum);
            }
            return verdict.outcome();
        }
        Failure known = failures.get(verdict.kind());
        if (known != null) {
            failures.put(verdict.kind(), known.again());
            return verdict.outcome();
        }
        Instant start = Instant.now();
        NetworkSpec smallest = shrunk(law, network, verdict.kind(), end);
        shrinking = shrinking.plus(Duration.between(start, Instant.now()));
        failures.put(verdict.kind(), new Failure(smallest, verdict.problem(), 1));
        System.out.println("New: " + verdict.kind() + "\n    " + smallest);
        return verdict.outcome();
    }

    private NetworkSpec shrunk(Law law, Shrinkable<NetworkSpec> network, String kind, Instant end) {
        Shrinkable<NetworkSpec> smallest = network;
        int steps = shrinkingSteps;
        boolean smaller = true;
        while (smaller) {
            smaller = false;
            for (Shrinkable<NetworkSpec> candidate : (Iterable<Shrinkable<NetworkSpec>>) smallest.shrink()::iterator) {
                if (steps-- <= 0 || Instant.now().isAfter(end)) {
                    return smallest.value();
                }
                if (kind.equals(Verdict.of(law, candidate.value()).kind())) {
                    smallest = candidate;
                    smaller = true;
                    break;
                }
            }
        }
        return smallest.value();
    }

    private void requireChecks() {
        counts.forEach((law, outcomes) -> {
            int all = outcomes.values().stream().mapToInt(Integer::intValue).sum();
            int asked = all - outcomes.getOrDefault(Verdict.Outcome.NOT_APPLICABLE, 0);
            if (asked < OFTEN) {
                return;
            }
            int checked = outcomes.getOrDefault(Verdict.Outcome.CHECKED, 0);
            int refused = outcomes.getOrDefault(Verdict.Outcome.REFUSED, 0);
            assertThat((double) checked / asked).as("share of networks that " + law + " was checked on: " + outcomes)
                    .isGreaterThan(LEAST_SHARE_CHECKED);
            assertThat(checked).as("networks that " + law + " was checked on, beside those that were refused: " + outcomes)
                    .isGreaterThan(refused);
        });
    }

    private String report(int tried, Duration taken) {
        StringBuilder text = new StringBuilder("Tried " + tried + " random networks in " + taken.toSeconds() + " s, "
                + shrinking.toSeconds() + " of them to find small ones; seed " + seed + "; networks " + networkCounts + "\n");
        counts.forEach((law, outcomes) -> text.append(String.format("  %-34s %s%n", law, outcomes)));
        reasons.forEach((reason, count) -> text.append(String.format("  %5d %s%n", count, reason)));
        failures.forEach((kind, failure) -> text.append("\n").append(failure.count).append(" times ").append(kind)
                .append("\n    ").append(failure.spec).append("\n").append(stack(failure.problem)));
        return text.toString();
    }

    private static String stack(Throwable problem) {
        StringWriter text = new StringWriter();
        problem.printStackTrace(new PrintWriter(text, true));
        return text.toString().lines().limit(14).map(line -> "        " + line + "\n").reduce("", String::concat);
    }
}
