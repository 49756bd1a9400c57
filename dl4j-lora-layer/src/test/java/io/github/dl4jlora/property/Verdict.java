package io.github.dl4jlora.property;

import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.memory.MemoryWorkspaceManager;
import org.nd4j.linalg.factory.Nd4j;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * What came of a law and a network.
 *
 * @param problem what was thrown; null if nothing was
 * @param kind    the same for problems of one cause, as far as can be told from outside; empty without a problem
 */
record Verdict(Outcome outcome, Throwable problem, String kind) {

    /** What was tried last. */
    static final Path LAST = Path.of("target", "property-last.txt");

    private static final String LIBRARY = "io.github.dl4jlora.";
    private static final Pattern TESTS = Pattern.compile(
            "io\\.github\\.dl4jlora\\.(property\\..*|Gradients.*|Models.*|Networks.*)");
    private static final Pattern NUMBERS = Pattern.compile("[-+]?\\d[\\d.E+-]*");
    private static final Pattern NAMES = Pattern.compile("\\b[aftp]#?(head|twin)?\\b");
    /** A trial never gives an adapter another base than its own, so that this is no answer. */
    private static final String STRANGER = "was made for the base weights";
    private static final int LONGEST_KIND = 200;
    private static final Pattern REMEDY = Pattern.compile("(?i)\\b(use|choose|set|exclude|narrow|train|name|call|give|adapt|"
            + "leave|rename|make|write|attach|close|load|convert|take)\\b");

    /** What can come of it. */
    enum Outcome {
        CHECKED, REFUSED, STOCK_FAILS, NOT_APPLICABLE, FAILED
    }

    static Verdict of(Law law, NetworkSpec spec) {
        note(law, spec);
        spec.library().compute();
        try {
            NotApplicable.unless(law == Law.FRESH_IS_BASE || spec.type().width() > 2, "16 bits say too little");
            Trial trial = new Trial(spec);
            try {
                law.check(trial);
                return new Verdict(Outcome.CHECKED, null, "");
            } catch (NotApplicable | StockFails e) {
                throw e;
            } catch (Exception e) {
                if (isRefusal(e, trial.names)) {
                    return new Verdict(Outcome.REFUSED, e, kind(e));
                }
                Trial.requireStock(spec);
                return new Verdict(Outcome.FAILED, e, kind(e) + place(e));
            } catch (AssertionError e) {
                Trial.requireSteadyStock(spec);
                String what = law == Law.PATH_LEADS_TO_THE_SAME ? law + " " + spec.path() : law.toString();
                return new Verdict(Outcome.FAILED, e, what + " " + kind(e));
            }
        } catch (NotApplicable e) {
            return new Verdict(Outcome.NOT_APPLICABLE, e, e.getMessage());
        } catch (StockFails e) {
            return new Verdict(Outcome.STOCK_FAILS, e, e.getMessage() + (e.getCause() == null ? "" : ": " + kind(e.getCause())));
        } finally {
            Library.computeAsUsual();
            leaveWorkspaces();
        }
    }

    /** A write to memory that is not the network's ends the JVM, and then no report is printed: this file says what it was. */
    private static void note(Law law, NetworkSpec spec) {
        try {
            Files.writeString(LAST, law + "\n" + spec + "\n");
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static String kind(Throwable problem) {
        String message = String.valueOf(problem.getMessage()).lines().filter(line -> !line.isBlank()).findFirst().orElse("");
        String general = NAMES.matcher(NUMBERS.matcher(message).replaceAll("#")).replaceAll("@");
        return problem.getClass().getSimpleName() + " " + general.substring(0, Math.min(LONGEST_KIND, general.length()));
    }

    /** Where it was thrown, and the innermost place of the library; nothing where the JVM left the stack out to save time. */
    private static String place(Exception thrown) {
        List<StackTraceElement> stack = List.of(thrown.getStackTrace());
        return Stream.of(stack.stream(), stack.stream().filter(Verdict::isLibrary)).flatMap(frames -> frames.limit(1)).distinct()
                .map(frame -> " at " + frame.getClassName() + "." + frame.getMethodName()).collect(Collectors.joining());
    }

    private static boolean isLibrary(StackTraceElement frame) {
        return frame.getClassName().startsWith(LIBRARY) && !TESTS.matcher(frame.getClassName()).matches();
    }

    /** Whether the library says no in the way that it promises: at once, naming the layer, and saying what to do. */
    static boolean isRefusal(Exception thrown, Set<String> layers) {
        boolean documented = thrown instanceof IllegalArgumentException || thrown instanceof IllegalStateException;
        String message = String.valueOf(thrown.getMessage());
        StackTraceElement[] stack = thrown.getStackTrace();
        boolean ours = stack.length > 0 && isLibrary(stack[0]);
        boolean strange = message.contains(STRANGER);
        return documented && ours && !strange && REMEDY.matcher(message).find()
                && layers.stream().anyMatch(name -> Pattern.compile("\\b" + name + "\\b").matcher(message).find());
    }

    /**
     * What an exception left open would be in the way of the next network. One by one: ND4J's method for all of them collects
     * garbage each time, which took half of this package's time.
     */
    private static void leaveWorkspaces() {
        MemoryWorkspace open = Nd4j.getMemoryManager().getCurrentWorkspace();
        if (open != null) {
            Nd4j.getMemoryManager().setCurrentWorkspace(null);
        }
        MemoryWorkspaceManager manager = Nd4j.getWorkspaceManager();
        manager.getAllWorkspacesForCurrentThread().forEach(manager::destroyWorkspace);
    }
}
