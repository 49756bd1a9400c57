package io.github.dl4jlora.benchmarks;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Runs one measurement in a process of its own, with one BLAS thread, a fixed heap and a bound on off-heap memory. */
final class Child {

    /** What the line with a child's result begins with. */
    static final String RESULT = "RESULT ";

    private Child() {
    }

    /** @return what the child printed after {@link #RESULT} */
    static String java(Class<?> main, String... args) {
        return java(List.of(), main, args);
    }

    /** @return what the child printed after {@link #RESULT} */
    static String java(List<String> jvmOptions, Class<?> main, String... args) {
        List<String> command = new ArrayList<>(List.of(ProcessHandle.current().info().command().orElse("java"),
                "-Xms1g", "-Xmx1g", "-Dorg.bytedeco.javacpp.maxbytes=8g", "-Dorg.bytedeco.javacpp.maxphysicalbytes=14g"));
        command.addAll(jvmOptions);
        command.addAll(List.of("-cp", System.getProperty("java.class.path"), main.getName()));
        command.addAll(List.of(args));
        return run(command);
    }

    /**
     * @param peer name of a script among this module's resources
     */
    static String python(Path interpreter, String peer, String... args) {
        Path script = null;
        try {
            script = Files.createTempFile("peer", ".py");
            Files.write(script, Child.class.getResourceAsStream("/peer/" + peer).readAllBytes());
            List<String> command = new ArrayList<>(List.of(interpreter.toString(), script.toString()));
            command.addAll(List.of(args));
            return run(command);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } finally {
            if (script != null) {
                script.toFile().delete();
            }
        }
    }

    private static String run(List<String> command) {
        try {
            ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
            builder.environment().put("OMP_NUM_THREADS", "1");
            builder.environment().put("OPENBLAS_NUM_THREADS", "1");
            Process process = builder.start();
            String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            int status = process.waitFor();
            return output.lines().filter(line -> line.startsWith(RESULT)).map(line -> line.substring(RESULT.length()))
                    .findFirst().orElseThrow(() -> new IllegalStateException("Exit status " + status + " of " + command
                            + ":\n" + output));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(e);
        }
    }
}
