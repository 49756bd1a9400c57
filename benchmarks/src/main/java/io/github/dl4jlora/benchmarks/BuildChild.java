package io.github.dl4jlora.benchmarks;

/**
 * A child process: prints the median milliseconds of a {@link BuildTask}'s step, and by how many bytes the process has grown at
 * most since before its network was made; -1 where that cannot be had.
 */
final class BuildChild {

    private BuildChild() {
    }

    public static void main(String[] args) {
        BuildTask task = BuildTask.valueOf(args[0]);
        // Native libraries and what ND4J makes once are loaded before memory is measured.
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
