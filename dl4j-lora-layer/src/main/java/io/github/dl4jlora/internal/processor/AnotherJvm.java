package io.github.dl4jlora.internal.processor;

import io.github.dl4jlora.internal.common.Temporary;

import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;

/** A JVM with this one's class path, options and environment, some of which may be changed. */
public final class AnotherJvm {

    private static final String JAVACPP = "org.bytedeco.javacpp.";
    private static final List<String> NOT_TWICE = List.of("-agent", "-javaagent", "-Xrunjdwp", "-Xdebug", "-Xlog", "-XX:+Flight",
            "-XX:StartFlight", "-XX:OnOutOfMemory", "-Dcom.sun.management.");

    private final Map<String, String> properties = new TreeMap<>();
    private final Map<String, String> variables = new TreeMap<>();
    private final TreeSet<String> without = new TreeSet<>();

    /** Sets a system property of it. */
    public AnotherJvm property(String name, String value) {
        properties.put(name, value);
        return this;
    }

    /** Sets a variable of its environment. */
    public AnotherJvm variable(String name, String value) {
        variables.put(name, value);
        without.remove(name);
        return this;
    }

    /** Takes a variable out of its environment. */
    public AnotherJvm without(String name) {
        variables.remove(name);
        without.add(name);
        return this;
    }

    /**
     * Runs a main class to its end.
     *
     * @return the first printed line that begins with the prefix, without the prefix; nothing if the JVM could not be started,
     *         failed, or had not ended in time
     */
    public Optional<String> run(String main, String argument, String prefix, int seconds) {
        Process process = null;
        try (Temporary out = Temporary.file("dl4j-lora", ".out")) {
            process = builder(main, argument).redirectErrorStream(true).redirectOutput(out.path().toFile()).start();
            if (!process.waitFor(seconds, TimeUnit.SECONDS) || process.exitValue() != 0) {
                return Optional.empty();
            }
            // What the JVM says of itself may be in any encoding; the line that is wanted is ASCII.
            return Files.readAllLines(out.path(), StandardCharsets.ISO_8859_1).stream().filter(line -> line.startsWith(prefix))
                    .map(line -> line.substring(prefix.length())).findFirst();
        } catch (IOException e) {
            return Optional.empty();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return Optional.empty();
        } finally {
            if (process != null) {
                process.destroyForcibly();
            }
        }
    }

    private ProcessBuilder builder(String main, String argument) {
        List<String> command = new ArrayList<>();
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        ManagementFactory.getRuntimeMXBean().getInputArguments().stream()
                .filter(option -> NOT_TWICE.stream().noneMatch(option::startsWith)).forEach(command::add);
        Map<String, String> all = new TreeMap<>();
        System.getProperties().stringPropertyNames().stream().filter(name -> name.startsWith(JAVACPP))
                .forEach(name -> all.put(name, System.getProperty(name)));
        all.putAll(properties);
        all.forEach((name, value) -> command.add("-D" + name + "=" + value));
        command.addAll(List.of("-cp", System.getProperty("java.class.path"), main, argument));
        ProcessBuilder builder = new ProcessBuilder(command);
        builder.environment().keySet().removeAll(without);
        builder.environment().putAll(variables);
        return builder;
    }
}
