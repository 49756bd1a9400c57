package io.github.dl4jlora.benchmarks;

import java.io.IOException;
import java.util.Arrays;
import java.util.stream.Collectors;

/** A child process: prints what a {@link ServingTask} finds. */
final class ServingChild {

    private ServingChild() {
    }

    public static void main(String[] args) throws IOException {
        double[] found = ServingTask.valueOf(args[0]).measure();
        System.out.println(Child.RESULT + Arrays.stream(found).mapToObj(String::valueOf).collect(Collectors.joining(" ")));
        System.exit(0);
    }
}
