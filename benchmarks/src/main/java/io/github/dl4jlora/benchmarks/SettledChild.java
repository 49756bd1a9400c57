package io.github.dl4jlora.benchmarks;

import io.github.dl4jlora.machine.Threads;

import java.util.Arrays;

/**
 * A child process that settles its threads and then runs another child. Arguments: the other child's class, and its arguments.
 */
final class SettledChild {

    /** The beginning of a line that says what was settled. */
    static final String DONE = "SETTLED ";

    private SettledChild() {
    }

    public static void main(String[] args) throws ReflectiveOperationException {
        Threads.settle().toString().lines().forEach(line -> System.out.println(DONE + line));
        Class.forName(args[0]).getMethod("main", String[].class).invoke(null, (Object) Arrays.copyOfRange(args, 1, args.length));
    }
}
