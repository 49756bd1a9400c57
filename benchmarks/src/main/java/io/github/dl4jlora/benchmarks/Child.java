package io.github.dl4jlora.benchmarks;

import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** Runs one measurement in a separate process, under {@link Settings}. */
final class Child {

    /** What the line with a child's result begins with. */
    static final String RESULT = "RESULT ";

    private static final int MINUTES = 10;

    private static volatile Kernels kernels = Kernels.OWN;

    private Child() {
    }

    /** Lets all children from now on have these vector instructions alone. */
    static void allow(Kernels only) {
        kernels = only;
    }

    /** @return what the child printed after {@link #RESULT} */
    static String java(Settings settings, Class<?> main, String... args) {
        return java(settings, List.of(), main, args);
    }

    /**
     * @param jvmOptions in addition to those of the settings, which they override
     * @return what the child printed after {@link #RESULT}
     */
    static String java(Settings settings, List<String> jvmOptions, Class<?> main, String... args) {
        return java(settings, jvmOptions, List.of(), main, args);
    }

    /**
     * @param jvmOptions in addition to those of the settings, which they override
     * @param first      folders of classes that come before those of this process
     * @return what the child printed after {@link #RESULT}
     */
    static String java(Settings settings, List<String> jvmOptions, List<Path> first, Class<?> main, String... args) {
        return result(output(settings, Map.of(), jvm(settings, jvmOptions, first, main, args)));
    }

    /**
     * @param environment in addition to that of the settings
     * @return all that the child printed
     */
    static String output(Settings settings, Map<String, String> environment, Class<?> main, String... args) {
        return output(settings, environment, jvm(settings, List.of(), List.of(), main, args));
    }

    private static List<String> jvm(Settings settings, List<String> options, List<Path> first, Class<?> main, String... args) {
        List<String> command = new ArrayList<>(List.of(ProcessHandle.current().info().command().orElse("java")));
        command.addAll(settings.jvmOptions());
        command.addAll(kernels.jvmOptions());
        command.addAll(options);
        String path = System.getProperty("java.class.path");
        command.addAll(List.of("-cp", Stream.concat(first.stream().map(Path::toString), Stream.of(path))
                .collect(Collectors.joining(File.pathSeparator))));
        if (settings == Settings.SETTLED) {
            command.add(SettledChild.class.getName());
        }
        command.add(main.getName());
        command.addAll(List.of(args));
        return command;
    }

    /**
     * @param peer name of a script among this module's resources
     * @return what the script printed after {@link #RESULT}
     */
    static String python(Settings settings, Path interpreter, String peer, String... args) {
        Path script = null;
        try {
            script = Files.createTempFile("peer", ".py");
            Files.write(script, Child.class.getResourceAsStream("/peer/" + peer).readAllBytes());
            List<String> command = new ArrayList<>(List.of(interpreter.toString(), script.toString()));
            command.addAll(List.of(args));
            return result(output(settings, Map.of(), command));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } finally {
            if (script != null) {
                script.toFile().delete();
            }
        }
    }

    private static String result(String output) {
        return output.lines().filter(line -> line.startsWith(RESULT)).map(line -> line.substring(RESULT.length()))
                .findFirst().orElseThrow(() -> new IllegalStateException("No result in:\n" + output));
    }

    /** Turns the environment of this process into that of a child. */
    static void prepare(Settings settings, Map<String, String> environment) {
        settings.prepare(environment);
        environment.putAll(kernels.environment());
    }

    private static String output(Settings settings, Map<String, String> environment, List<String> command) {
        Path log = null;
        try {
            log = Files.createTempFile("child", ".log");
            ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(log.toFile());
            prepare(settings, builder.environment());
            builder.environment().putAll(environment);
            Process process = builder.start();
            boolean ended = process.waitFor(MINUTES, TimeUnit.MINUTES);
            process.destroyForcibly().waitFor();
            String output = Files.readString(log);
            if (!ended || process.exitValue() != 0) {
                String what = ended ? "Exit status " + process.exitValue() : "Not finished after " + MINUTES + " minutes";
                throw new IllegalStateException(what + ":\n" + output);
            }
            return output;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(e);
        } finally {
            if (log != null) {
                log.toFile().delete();
            }
        }
    }
}
