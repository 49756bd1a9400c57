package io.github.dl4jlora.benchmarks;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** The processor and the installed software, without which figures mean nothing. */
final class Machine {

    private static final Path CPU = Path.of("/proc/cpuinfo");
    private static final String UNKNOWN = "unknown";

    private Machine() {
    }

    /** Facts by name, in order. */
    static Map<String, String> facts(Kernels kernels) throws IOException {
        Map<String, String> facts = new LinkedHashMap<>();
        facts.put("processor", field("model name") + ", " + vectors() + ", " + Runtime.getRuntime().availableProcessors()
                + " cores");
        facts.put("system", System.getProperty("os.name") + " " + System.getProperty("os.arch"));
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

    private static String vectors() throws IOException {
        List<String> flags = List.of(field("flags").split(" "));
        String vectors = flags.stream().filter(flag -> flag.matches("avx2|avx512f|avx512_(bf|fp)16|amx_(tile|bf16)")).sorted()
                .collect(Collectors.joining(" "));
        return vectors.isEmpty() ? "vector instructions " + UNKNOWN : vectors;
    }

    private static String field(String name) throws IOException {
        if (!Files.isReadable(CPU)) {
            return UNKNOWN;
        }
        try (Stream<String> lines = Files.lines(CPU)) {
            return lines.filter(line -> line.startsWith(name)).findFirst().map(line -> line.replaceFirst(".*?:\\s*", ""))
                    .orElse(UNKNOWN);
        }
    }
}
