package io.github.dl4jlora.benchmarks;

import org.apache.commons.io.FileUtils;

import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** Runs one measurement in a separate process, under {@link Settings}. */
final class Child {

    /** What the line with a child's result begins with. */
    static final String RESULT = "RESULT ";

    /** How long one may take, or one of its turns. */
    static final int MINUTES = 10;
    private static final List<String> SCRIPTS = List.of("peer.py", "layers.py", "encoder.py", "turns.py");

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
        return result(output(builder(settings, jvm(settings, jvmOptions, List.of(), main, args))));
    }

    /**
     * @param jvmOptions in addition to those of the settings, which they override
     * @return a child that has warmed up, and takes turns
     */
    static TurnTaker javaTurns(Settings settings, List<String> jvmOptions, Class<?> main, String... args) {
        return javaTurns(settings, jvmOptions, List.of(), main, args);
    }

    /**
     * @param jvmOptions in addition to those of the settings, which they override
     * @param first      folders of classes that come before those of this process
     * @return a child that has warmed up, and takes turns
     */
    static TurnTaker javaTurns(Settings settings, List<String> jvmOptions, List<Path> first, Class<?> main, String... args) {
        return new TurnTaker(builder(settings, jvm(settings, jvmOptions, first, main, args)));
    }

    /**
     * @param environment in addition to that of the settings
     * @return all that the child printed
     */
    static String output(Settings settings, Map<String, String> environment, Class<?> main, String... args) {
        ProcessBuilder builder = builder(settings, jvm(settings, List.of(), List.of(), main, args));
        builder.environment().putAll(environment);
        return output(builder);
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
        return python(settings, interpreter, peer, args, builder -> result(output(builder)));
    }

    /**
     * @param peer name of a script among this module's resources
     * @return the script, which has warmed up and takes turns
     */
    static TurnTaker pythonTurns(Settings settings, Path interpreter, String peer, String... args) {
        return python(settings, interpreter, peer, args, TurnTaker::new);
    }

    private static <T> T python(Settings settings, Path interpreter, String peer, String[] args,
            Function<ProcessBuilder, T> run) {
        try {
            Path folder = Files.createTempDirectory("peer");
            try {
                for (String script : SCRIPTS) {
                    Files.write(folder.resolve(script), Child.class.getResourceAsStream("/peer/" + script).readAllBytes());
                }
                List<String> command = new ArrayList<>(List.of(interpreter.toString(), folder.resolve(peer).toString()));
                command.addAll(List.of(args));
                return run.apply(builder(settings, command));
            } finally {
                FileUtils.deleteDirectory(folder.toFile());
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
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

    private static ProcessBuilder builder(Settings settings, List<String> command) {
        ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
        prepare(settings, builder.environment());
        return builder;
    }

    private static String output(ProcessBuilder builder) {
        Path log = null;
        try {
            log = Files.createTempFile("child", ".log");
            Process process = builder.redirectOutput(log.toFile()).start();
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
