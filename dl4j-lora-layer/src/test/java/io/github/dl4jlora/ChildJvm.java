package io.github.dl4jlora;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/** Another JVM: one that has lost every network, may lack this library, or may be killed. */
public final class ChildJvm {

    /** What keeps a JVM from warning of the native libraries that are loaded here; older ones neither warn nor know it. */
    private static final List<String> QUIET = Runtime.version().feature() < 24 ? List.of()
            : List.of("--enable-native-access=ALL-UNNAMED", "--sun-misc-unsafe-memory-access=allow");

    /** An option of JVMs that end before it pays to compile well. */
    public static final String SHORT = "-XX:TieredStopAtLevel=1";

    private ChildJvm() {
    }

    /** What the tests run on. */
    public static List<String> classpath() {
        String path = System.getProperty("surefire.test.class.path", System.getProperty("java.class.path"));
        return Arrays.asList(path.split(File.pathSeparator));
    }

    /** Starts a main class; what it prints goes into {@code log}. */
    public static Process start(List<String> classpath, Path log, String main, String... arguments) throws IOException {
        List<String> command = java(List.of(SHORT), classpath, main, arguments);
        return builder(command, log).start();
    }

    /**
     * Runs a main class to its end, which must be a good one, in an environment that says of threads and of BLAS only this.
     *
     * @param options of the JVM
     * @return the lines that it printed
     */
    public static List<String> runIn(Map<String, String> environment, List<String> classpath, List<String> options, Path log,
            Class<?> main, String... arguments) throws IOException, InterruptedException {
        List<String> command = java(options, classpath, main.getName(), arguments);
        ProcessBuilder builder = builder(command, log);
        builder.environment().keySet().removeIf(name -> name.startsWith("OMP_") || name.startsWith("OPENBLAS_"));
        builder.environment().putAll(environment);
        requireGoodEnd(builder.start(), log, main.getName());
        return Files.readAllLines(log);
    }

    /** Without the variables of which a JVM prints that it picked them up. */
    private static ProcessBuilder builder(List<String> command, Path log) {
        ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(log.toFile());
        builder.environment().keySet().removeAll(List.of("JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS"));
        return builder;
    }

    /** Runs a main class to its end, which must be a good one. */
    public static void run(List<String> classpath, Path log, String main, String... arguments)
            throws IOException, InterruptedException {
        requireGoodEnd(start(classpath, log, main, arguments), log, main);
    }

    private static void requireGoodEnd(Process process, Path log, String main) throws IOException, InterruptedException {
        try {
            if (!process.waitFor(10, TimeUnit.MINUTES)) {
                throw new AssertionError(main + " has not ended after ten minutes:\n" + Files.readString(log));
            }
            if (process.exitValue() != 0) {
                throw new AssertionError(main + " failed:\n" + Files.readString(log));
            }
        } finally {
            process.destroyForcibly();
        }
    }

    private static List<String> java(List<String> options, List<String> classpath, String main, String... arguments) {
        List<String> command = new ArrayList<>(List.of(Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xmx512m"));
        command.addAll(QUIET);
        command.addAll(options);
        command.addAll(List.of("-cp", String.join(File.pathSeparator, classpath), main));
        command.addAll(List.of(arguments));
        return command;
    }
}
