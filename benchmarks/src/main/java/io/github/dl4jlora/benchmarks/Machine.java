package io.github.dl4jlora.benchmarks;

import io.github.dl4jlora.console.Origin;

import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** Commit, processor and installed software, without which figures mean nothing. */
public final class Machine {

    private Machine() {
    }

    /** {@return the facts of a process to which nobody has told anything, by name, in order} */
    public static Map<String, String> facts() {
        return facts(Kernels.OWN);
    }

    /** Facts by name, in order. */
    static Map<String, String> facts(Kernels kernels) {
        Map<String, String> facts = new LinkedHashMap<>();
        facts.putAll(Origin.facts());
        Map<String, String> kept = Settings.kept(System.getenv());
        facts.put("set in the environment, and kept from every child", kept.isEmpty() ? "nothing" : kept.entrySet().stream()
                .map(variable -> variable.getKey() + "=" + variable.getValue()).collect(Collectors.joining(", ")));
        facts.put("kernels", kernels.meaning());
        String output = Child.output(Settings.AS_FOUND, Map.of("OPENBLAS_VERBOSE", "2"), MachineChild.class);
        after(Child.RESULT, output).map(line -> line.split("\t")).forEach(fact -> facts.put(fact[0], fact[1]));
        facts.put("OpenBLAS's kernels", after("Core: ", output).distinct().collect(Collectors.joining(", ")));
        facts.put("Threads.settle()", after(SettledChild.DONE, Child.output(Settings.SETTLED, Map.of(), MachineChild.class))
                .collect(Collectors.joining(" ")));
        return facts;
    }

    /** The rest of the lines that begin with a word. */
    private static Stream<String> after(String word, String output) {
        return output.lines().filter(line -> line.startsWith(word)).map(line -> line.substring(word.length()));
    }

    /** Facts of PyTorch, by name, in order. */
    static Map<String, String> peerFacts(Path python) {
        Map<String, String> facts = new LinkedHashMap<>();
        for (String fact : Child.python(Settings.AS_FOUND, python, "peer.py", "about").split("\t")) {
            String[] parts = fact.split("=", 2);
            facts.put(parts[0], parts[1]);
        }
        return facts;
    }
}
