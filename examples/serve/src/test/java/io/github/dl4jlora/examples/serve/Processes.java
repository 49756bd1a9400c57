package io.github.dl4jlora.examples.serve;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** {@code dl4j-lora serve} as a process of its own. */
final class Processes {

    private static final Pattern ADDRESS = Pattern.compile(" at (http://\\S+)");

    private Processes() {
    }

    /** A process that listens. */
    record Served(Process process, URI address, BufferedReader output) {
    }

    static Served serve(Path base, Path adapters, String... more) throws IOException {
        List<String> command = new ArrayList<>(List.of(Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xmx512m", "-cp", System.getProperty("surefire.test.class.path", System.getProperty("java.class.path")),
                "io.github.dl4jlora.examples.cli.Main", "serve", "--base", base.toString(), "--adapters", adapters.toString(),
                "--port", "0"));
        command.addAll(List.of(more));
        ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
        builder.environment().put(TokenOptions.VARIABLE, Running.TOKEN);
        Process process = builder.start();
        BufferedReader output = new BufferedReader(new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8));
        StringBuilder said = new StringBuilder();
        for (String line = output.readLine(); line != null; line = output.readLine()) {
            Matcher address = ADDRESS.matcher(line);
            if (address.find()) {
                return new Served(process, URI.create(address.group(1)), output);
            }
            said.append(line).append('\n');
        }
        throw new IOException("The service did not start:\n" + said);
    }
}
