package io.github.dl4jlora.benchmarks;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.function.Supplier;
import java.util.stream.Collectors;

/** Times work in a child process. */
final class Clock {

    /** Until the JVM has compiled what a step runs: its compiler shares the cores with the step. */
    private static final long WARM_UP_NANOS = 6_000_000_000L;
    private static final int WARM_UP_RUNS = 5;
    private static final long TURN_NANOS = 500_000_000L;

    private static final long MEASURE_NANOS = 3_000_000_000L;
    private static final int FEWEST_RUNS = 15;
    private static final int MOST_RUNS = 5_000;

    private Clock() {
    }

    /**
     * Makes this process one that takes {@link Turns}: it warms up and prints {@link Child#RESULT}. After that, for each line
     * that it reads, it prints this and the median milliseconds of each work. The first run of each turn is not counted, since
     * other processes have had the caches.
     *
     * @param facts to print behind these milliseconds
     */
    static void takeTurns(Supplier<String> facts, Runnable... works) {
        for (Runnable work : works) {
            millis(work, WARM_UP_RUNS, WARM_UP_NANOS);
        }
        System.out.println(Child.RESULT);
        BufferedReader turns = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        try {
            while (turns.readLine() != null) {
                System.out.println(Child.RESULT + Arrays.stream(works).map(work -> String.valueOf(ofTurn(work)))
                        .collect(Collectors.joining(" ")) + " " + facts.get());
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    static void takeTurns(Runnable... works) {
        takeTurns(() -> "", works);
    }

    private static double ofTurn(Runnable work) {
        work.run();
        return median(millis(work, 1, TURN_NANOS));
    }

    static double medianMillis(Runnable work) {
        millis(work, FEWEST_RUNS, WARM_UP_NANOS);
        return median(millis(work, FEWEST_RUNS, MEASURE_NANOS));
    }

    private static double[] millis(Runnable work, int fewest, long nanos) {
        double[] millis = new double[MOST_RUNS];
        int count = 0;
        long begin = System.nanoTime();
        while (count < fewest || count < MOST_RUNS && System.nanoTime() - begin < nanos) {
            long from = System.nanoTime();
            work.run();
            millis[count++] = (System.nanoTime() - from) / 1e6;
        }
        return Arrays.copyOf(millis, count);
    }

    static double median(double[] values) {
        double[] sorted = values.clone();
        Arrays.sort(sorted);
        int middle = sorted.length / 2;
        return sorted.length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
    }
}
