package io.github.dl4jlora.benchmarks;

/**
 * A child process that takes turns: times a {@link BuildTask}'s step. It tells the largest growth of the process in bytes, too,
 * since before its network was made, -1 if it cannot be measured.
 */
final class BuildChild {

    private BuildChild() {
    }

    public static void main(String[] args) {
        BuildTask task = BuildTask.valueOf(args[0]);
        // Loads native libraries and what ND4J allocates once, so that they do not count.
        BuildTask.CHAIN_NARROW.step().run();
        long before = Memory.isMeasurable() ? Memory.resident() : 0;
        if (Memory.isMeasurable()) {
            Memory.resetPeak();
        }
        Clock.takeTurns(() -> String.valueOf(Memory.isMeasurable() ? Memory.peak() - before : -1), task.step());
        System.exit(0);
    }
}
