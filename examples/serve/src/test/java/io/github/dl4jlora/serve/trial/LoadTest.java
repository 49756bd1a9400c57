package io.github.dl4jlora.serve.trial;

import io.github.dl4jlora.pages.ShellCommand;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.concurrent.TimeUnit;

import static org.assertj.core.api.Assertions.assertThat;

/** The smallest that can be measured; of what it finds, that it is there. */
@Tag("serve")
@Timeout(value = 15, unit = TimeUnit.MINUTES)
class LoadTest {

    @Test
    void everyOptionOnThePagesIsAccepted() throws IOException {
        assertThat(ShellCommand.argumentsOf("load")).isNotEmpty()
                .allSatisfy(words -> LoadCommand.commandLine().parseArgs(words.toArray(String[]::new)));
    }

    @Test
    void aTableTellsWhatHostileClientsCost() {
        StringWriter out = new StringWriter();

        int exitCode = LoadCommand.commandLine().setOut(new PrintWriter(out, true)).execute("--clients", "2", "--adapters", "1",
                "--width", "16", "--rounds", "1", "--seconds", "0.5", "--hostile", "8");

        assertThat(exitCode).as(out.toString()).isZero();
        assertThat(out.toString()).containsPattern("\nhalf within, ms +[\\d.]+ +[\\d.]+ +\\d").contains("beside 8 hostile ones",
                "Every request was answered.");
    }

    @Test
    void aTableTellsWhatAdaptersCost() {
        StringWriter out = new StringWriter();

        int exitCode = LoadCommand.commandLine().setOut(new PrintWriter(out, true)).execute("--clients", "2", "--adapters", "1,3",
                "--width", "16", "--rounds", "1", "--seconds", "0.5");

        assertThat(exitCode).as(out.toString()).isZero();
        assertThat(out.toString()).containsPattern("\n1 +[\\d,]+ +[\\d,]+ +\\d\\.\\d\\d").containsPattern("\n3 +[\\d,]+")
                .contains("Without batches, 3 adapters: ", "3 adapters / 1: ");
    }
}
