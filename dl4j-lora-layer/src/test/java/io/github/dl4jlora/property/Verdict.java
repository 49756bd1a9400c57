package io.github.dl4jlora.property;

import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.factory.Nd4j;

import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * What came of a law and a network.
 *
 * @param problem of a failure, else null
 * @param kind    the same for failures of one cause, as far as can be told from outside; null if there is none
 */
record Verdict(Outcome outcome, Throwable problem, String kind) {

    private static final String LIBRARY = "io.github.dl4jlora.";
    private static final String TESTS = LIBRARY + "property.";
    private static final Pattern REMEDY = Pattern.compile("(?i)\\b(use|choose|set|exclude|narrow|train|name|call|give|adapt|leave|rename|"
            + "make|write|attach|close|load|convert|take)\\b");

    /** What can come of it. */
    enum Outcome {
        CHECKED, REFUSED, STOCK_FAILS, NOT_APPLICABLE, FAILED
    }

    static Verdict of(Law law, NetworkSpec spec) {
        try {
            Trial trial = new Trial(spec);
            try {
                law.check(trial);
                return new Verdict(Outcome.CHECKED, null, null);
            } catch (NotApplicable | StockFails e) {
                throw e;
            } catch (Exception e) {
                if (isRefusal(e, trial.names)) {
                    return new Verdict(Outcome.REFUSED, null, null);
                }
                Trial.requireStock(spec);
                return failed(law, spec, e);
            } catch (AssertionError e) {
                return failed(law, spec, e);
            }
        } catch (NotApplicable e) {
            return new Verdict(Outcome.NOT_APPLICABLE, null, null);
        } catch (StockFails e) {
            return new Verdict(Outcome.STOCK_FAILS, null, null);
        } finally {
            leaveWorkspaces();
        }
    }

    private static Verdict failed(Law law, NetworkSpec spec, Throwable problem) {
        String message = String.valueOf(problem.getMessage()).lines().filter(line -> !line.isBlank()).findFirst().orElse("");
        String where = problem instanceof AssertionError ? ""
                : Stream.of(problem.getStackTrace()).filter(frame -> frame.getClassName().startsWith(LIBRARY)).findFirst()
                .map(frame -> " at " + frame.getClassName() + "." + frame.getMethodName()).orElse("");
        String path = law == Law.PATH_LEADS_TO_THE_SAME ? " " + spec.path() : "";
        return new Verdict(Outcome.FAILED, problem, law + path + ": " + problem.getClass().getSimpleName() + " "
                + message.replaceAll("[-+\\d.E]*\\d[-+\\d.E]*", "#").replaceAll("\\b[aftp]#?(head|twin)?\\b", "@") + where);
    }

    /** Whether the library says no in the way that it promises: at once, naming the layer, and saying what to do. */
    static boolean isRefusal(Exception thrown, Set<String> layers) {
        boolean documented = thrown instanceof IllegalArgumentException || thrown instanceof IllegalStateException;
        String message = String.valueOf(thrown.getMessage());
        StackTraceElement[] stack = thrown.getStackTrace();
        boolean ours = stack.length > 0 && stack[0].getClassName().startsWith(LIBRARY) && !stack[0].getClassName().startsWith(TESTS);
        return documented && ours && REMEDY.matcher(message).find()
                && layers.stream().anyMatch(name -> Pattern.compile("\\b" + name + "\\b").matcher(message).find());
    }

    /** What an exception left open would be in the way of the next network. */
    private static void leaveWorkspaces() {
        MemoryWorkspace open = Nd4j.getMemoryManager().getCurrentWorkspace();
        if (open != null) {
            Nd4j.getMemoryManager().setCurrentWorkspace(null);
        }
        Nd4j.getWorkspaceManager().destroyAllWorkspacesForCurrentThread();
    }
}
