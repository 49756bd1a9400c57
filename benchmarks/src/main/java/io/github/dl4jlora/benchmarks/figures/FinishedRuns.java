package io.github.dl4jlora.benchmarks.figures;

import io.github.dl4jlora.console.Origin;

import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.function.Supplier;

/**
 * Which runs of a part have come to their end. A part may take hours: if it is interrupted, the next measurement of it by the
 * same commit, processor and JDK does what is missing. Beside the output of each run stands what was run.
 */
final class FinishedRuns {

    private static final String ENDING = ".finished";
    /** A commit from which no file differs. */
    private static final String EXACT = "[0-9a-f]+";

    private final Supplier<String> where;

    /** @param where {@link #here()}; while that is the empty string, no run counts as finished */
    FinishedRuns(Supplier<String> where) {
        this.where = where;
    }

    /** {@return commit, processor and JDK, or the empty string if the commit is unknown or files differ from it} */
    static String here() {
        Map<String, String> facts = Origin.facts();
        return facts.get("commit").matches(EXACT)
                ? String.join("; ", facts.get("commit"), facts.get("processor"), facts.get("JDK")) : "";
    }

    /**
     * {@return whether this command has already been run to its end, here}
     *
     * @param output of the run
     */
    boolean has(Path output, String command) throws IOException {
        Path mark = mark(output);
        String now = where.get();
        return !now.isEmpty() && Files.exists(output) && Files.exists(mark)
                && Files.readString(mark).equals(content(now, command));
    }

    /**
     * To be called before a run begins, so that what an interrupted one leaves is not taken for finished.
     *
     * @return where it begins, for {@link #end}
     */
    String begin(Path output) throws IOException {
        Files.deleteIfExists(mark(output));
        return where.get();
    }

    /** Does nothing if files have changed since the run began. */
    void end(Path output, String command, String begun) throws IOException {
        if (begun.equals(where.get())) {
            Files.writeString(mark(output), content(begun, command));
        }
    }

    /** From now on no run counts as finished whose output is in this folder. */
    static void forget(Path folder) throws IOException {
        try (DirectoryStream<Path> marks = Files.newDirectoryStream(folder, "*" + ENDING)) {
            for (Path mark : marks) {
                Files.delete(mark);
            }
        }
    }

    private static String content(String where, String command) {
        return where + "\n" + command + "\n";
    }

    private static Path mark(Path output) {
        return Path.of(output + ENDING);
    }
}
