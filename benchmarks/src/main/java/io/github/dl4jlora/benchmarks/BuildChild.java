package io.github.dl4jlora.benchmarks;

/**
 * A child process: prints the median milliseconds of a {@link BuildTask}'s step, and the largest growth of the process in bytes
 * since before its network was made, -1 if it cannot be measured.
 */
final class BuildChild {

    private BuildChild() {
    }

    public static void main(String[] args) {
        BuildTask task = BuildTask.valueOf(args[0]);
        // Loads native libraries and what ND4J allocates once, so that they do not count.
        BuildTask.CHAIN_NARROW.step().run();
        long before = 0;
        if (Memory.isMeasurable()) {
            before = Memory.resident();
            Memory.resetPeak();
        }
        double millis = StepChild.medianMillis(task.step());
        System.out.println(Child.RESULT + millis + " " + (Memory.isMeasurable() ? Memory.peak() - before : -1));
        System.exit(0);
    }
}
