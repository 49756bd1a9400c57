package io.github.dl4jlora.serve.trial;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** {@code dl4j-lora serve} in a separate process, on a free port. */
public final class ServedProcess implements AutoCloseable {

    /** The token of services that may be changed. */
    public static final String TOKEN = "a-token-for-trials";

    private static final String VARIABLE = "DL4J_LORA_TOKEN";
    private static final Pattern ADDRESS = Pattern.compile(" at (http://\\S+)");
    private static final int MOST_LINES = 1_000;

    private final Process process;
    private final URI address;
    private final List<String> said = new ArrayList<>();
    private final Thread reader;

    private ServedProcess(Process process, URI address, BufferedReader output) {
        this.process = process;
        this.address = address;
        // A process whose output nobody reads stops when the pipe is full.
        reader = new Thread(() -> read(output), "what the service says");
        reader.setDaemon(true);
        reader.start();
    }

    /**
     * Starts a service, and waits until it listens.
     *
     * @param jvm     options of its JVM
     * @param token   null for none: then several services may share a folder
     * @param options of the command, beside base, adapters and port
     * @throws IOException if it ends instead; the message has its output
     */
    public static ServedProcess start(List<String> jvm, String token, Path base, Path adapters, String... options)
            throws IOException {
        List<String> command = new ArrayList<>(List.of(Path.of(System.getProperty("java.home"), "bin", "java").toString()));
        command.addAll(jvm);
        command.addAll(List.of("-cp", System.getProperty("surefire.test.class.path", System.getProperty("java.class.path")),
                "io.github.dl4jlora.cli.Main", "serve", "--base", base.toString(), "--adapters", adapters.toString(),
                "--port", "0"));
        command.addAll(List.of(options));
        ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
        builder.environment().remove(VARIABLE);
        if (token != null) {
            builder.environment().put(VARIABLE, token);
        }
        Process process = builder.start();
        BufferedReader output = new BufferedReader(new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8));
        StringBuilder said = new StringBuilder();
        for (String line = output.readLine(); line != null; line = output.readLine()) {
            Matcher address = ADDRESS.matcher(line);
            if (address.find()) {
                return new ServedProcess(process, URI.create(address.group(1)), output);
            }
            said.append(line).append('\n');
        }
        throw new IOException("The service did not start:\n" + said);
    }

    private void read(BufferedReader output) {
        try {
            output.lines().forEach(this::add);
        } catch (UncheckedIOException e) {
            // It was killed.
        }
    }

    private synchronized void add(String line) {
        if (said.size() < MOST_LINES) {
            said.add(line);
        }
    }

    public Process process() {
        return process;
    }

    public URI address() {
        return address;
    }

    /** The first thousand lines since it listens; all of them, if it has ended. */
    public List<String> said() throws InterruptedException {
        if (!process.isAlive()) {
            reader.join();
        }
        synchronized (this) {
            return List.copyOf(said);
        }
    }

    /** SIGTERM; the process's own destroy would close its output. */
    public void signal() {
        process.toHandle().destroy();
    }

    /** As {@code kill -9} does. */
    public void kill() throws InterruptedException {
        process.destroyForcibly().waitFor();
    }

    /** @return the exit code after {@link #signal}; -1 if it does not end */
    int end(long seconds) throws InterruptedException {
        signal();
        return process.waitFor(seconds, TimeUnit.SECONDS) ? process.exitValue() : -1;
    }

    @Override
    public void close() {
        process.destroyForcibly();
    }
}
