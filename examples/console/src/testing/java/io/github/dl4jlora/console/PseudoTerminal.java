package io.github.dl4jlora.console;

import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

/** A terminal that nobody looks at, of util-linux's {@code script}. */
public final class PseudoTerminal {

    /**
     * What a command left.
     *
     * @param shown everything that came to the terminal, carriage returns included
     */
    public record Ended(int exitCode, String shown) {

        /** States of lines that were rewritten in place, without repetitions. */
        public List<String> states() {
            return Arrays.stream(shown.split("[\r\n]+")).map(String::stripTrailing).filter(line -> !line.isEmpty()).distinct()
                    .toList();
        }
    }

    private PseudoTerminal() {
    }

    /** Skips the test where there is none. */
    public static void require() {
        boolean there;
        try {
            there = System.getProperty("os.name").equals("Linux")
                    && new ProcessBuilder("script", "-qec", "stty size", "/dev/null").redirectErrorStream(true)
                    .redirectOutput(ProcessBuilder.Redirect.DISCARD).start().waitFor() == 0;
        } catch (IOException e) {
            there = false;
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            there = false;
        }
        assumeTrue(there, "needs a pseudo-terminal: script of util-linux, on Linux");
    }

    /**
     * Runs a line of shell in it.
     *
     * @param columns of the terminal
     * @param folder  where to run it
     */
    public static Ended run(int columns, Path folder, String line, long minutes) throws IOException, InterruptedException {
        Path shown = Files.createTempFile("terminal", ".log");
        Process script = new ProcessBuilder("script", "-qec", "stty rows 24 cols " + columns + "; " + line, "/dev/null")
                .directory(folder.toFile()).redirectErrorStream(true).redirectInput(new File("/dev/null"))
                .redirectOutput(shown.toFile()).start();
        try {
            if (!script.waitFor(minutes, TimeUnit.MINUTES)) {
                throw new AssertionError(line + " did not end:\n" + Files.readString(shown));
            }
            return new Ended(script.exitValue(), Files.readString(shown, StandardCharsets.UTF_8));
        } finally {
            script.descendants().forEach(ProcessHandle::destroyForcibly);
            script.destroyForcibly();
            Files.delete(shown);
        }
    }

    /** This JVM's java with its class path, in words of a shell. */
    public static String java(Class<?> main, String... arguments) {
        String path = System.getProperty("surefire.test.class.path", System.getProperty("java.class.path"));
        return List.of(Path.of(System.getProperty("java.home"), "bin", "java").toString(), "-Xmx512m",
                "-XX:TieredStopAtLevel=1", "-cp", path, main.getName()).stream().map(PseudoTerminal::quoted)
                .collect(Collectors.joining(" ")) + " " + String.join(" ", arguments);
    }

    public static String quoted(String word) {
        return "'" + word.replace("'", "'\\''") + "'";
    }
}
