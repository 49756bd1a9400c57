package io.github.dl4jlora.cli;

import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.ObjectMapper;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Path;
import java.util.Arrays;

/** Runs the command line as a user would, in a folder. */
final class Shell {

    private final Path folder;
    private StringWriter out;
    private StringWriter err;

    Shell(Path folder) {
        this.folder = folder;
    }

    /** A word that starts with {@code @} names a file in the folder. */
    int run(String... words) {
        out = new StringWriter();
        err = new StringWriter();
        String[] arguments = Arrays.stream(words).map(word -> word.startsWith("@") ? folder.resolve(word.substring(1))
                .toString() : word)
                .toArray(String[]::new);
        return Main.commandLine().setOut(new PrintWriter(out, true)).setErr(new PrintWriter(err, true)).execute(arguments);
    }

    String out() {
        return out.toString();
    }

    String err() {
        return err.toString();
    }

    JsonNode json() throws IOException {
        return new ObjectMapper().readTree(out());
    }
}
