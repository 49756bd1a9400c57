package io.github.dl4jlora.benchmarks;

import io.github.dl4jlora.conf.Quantization;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;

/** A child process: prints median milliseconds of a {@link StorageTask} on FLOAT and each scheme, which take turns. */
final class StorageChild {

    private static final double SECONDS = 12;
    private static final int FEWEST = 20;
    private static final int MOST = 2_000;

    private StorageChild() {
    }

    public static void main(String[] args) {
        StorageTask task = StorageTask.valueOf(args[0]);
        List<Runnable> sides = new ArrayList<>(List.of(task.work(null)));
        Arrays.stream(Quantization.values()).map(task::work).forEach(sides::add);
        double[][] millis = new double[sides.size()][MOST];
        int rounds = 0;
        for (long begin = System.nanoTime(); rounds < FEWEST
                || rounds < MOST && System.nanoTime() - begin < SECONDS * 1e9; rounds++) {
            for (int side = 0; side < sides.size(); side++) {
                long from = System.nanoTime();
                sides.get(side).run();
                millis[side][rounds] = (System.nanoTime() - from) / 1e6;
            }
        }
        int first = rounds / 4;
        int end = rounds;
        System.out.println(Child.RESULT + Arrays.stream(millis)
                .map(of -> String.valueOf(Clock.median(Arrays.copyOfRange(of, first, end))))
                .collect(Collectors.joining(" ")));
        System.exit(0);
    }
}
