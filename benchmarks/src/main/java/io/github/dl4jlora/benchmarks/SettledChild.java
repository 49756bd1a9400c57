package io.github.dl4jlora.benchmarks;

import java.util.Arrays;

/** A child process that settles its threads and then is another one. Arguments: that one's class, and its arguments. */
final class SettledChild {

    private SettledChild() {
    }

    public static void main(String[] args) throws ReflectiveOperationException {
        Class.forName("io.github.dl4jlora.Threads").getMethod("settle").invoke(null);
        Class.forName(args[0]).getMethod("main", String[].class).invoke(null, (Object) Arrays.copyOfRange(args, 1, args.length));
    }
}
