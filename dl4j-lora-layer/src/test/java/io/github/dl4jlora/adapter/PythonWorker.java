package io.github.dl4jlora.adapter;

import io.github.dl4jlora.Python;
import org.nd4j.shade.jackson.databind.ObjectMapper;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.Writer;
import java.net.URISyntaxException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;

/** A Python process that runs the programs among the test resources, one after the other. */
final class PythonWorker implements AutoCloseable {

    private final Path log;
    private final Process process;
    private final Writer orders;
    private final BufferedReader answers;

    PythonWorker(Path log) throws IOException, URISyntaxException {
        this.log = log;
        process = new ProcessBuilder(Python.PROGRAM, resource("/python_worker.py")).redirectError(log.toFile()).start();
        orders = process.outputWriter(StandardCharsets.UTF_8);
        answers = process.inputReader(StandardCharsets.UTF_8);
    }

    private static String resource(String name) throws URISyntaxException {
        return Path.of(PythonWorker.class.getResource(name).toURI()).toString();
    }

    /** Fails with what Python said if the program does. */
    void run(String program, List<String> arguments) throws IOException, URISyntaxException {
        List<String> order = new ArrayList<>(List.of(resource(program)));
        order.addAll(arguments);
        orders.write(new ObjectMapper().writeValueAsString(order) + "\n");
        orders.flush();
        String answer = answers.readLine();
        assertThat(answer).as("%s %s: Python says %s", program, arguments, Files.readString(log)).isEqualTo("done");
    }

    @Override
    public void close() throws IOException {
        orders.close();
        process.destroy();
    }
}
