package io.github.dl4jlora.serve.trial;

import io.github.dl4jlora.pages.ShellCommand;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

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
        assertThat(told("--adapters", "1", "--hostile", "8")).containsPattern("\nhalf within, ms +[\\d.,]+ +[\\d.,]+ +\\d")
                .contains("beside 8 hostile ones", "Every request was answered.");
    }

    @Test
    void aTableTellsWhatAdaptersCost() {
        assertThat(told("--adapters", "1,3")).containsPattern("\n1 +[\\d,]+ +[\\d,]+ +\\d+\\.\\d\\d")
                .containsPattern("\n3 +[\\d,]+").contains("Without batches, 3 adapters: ", "3 adapters / 1: ");
    }

    private static String told(String... more) {
        StringWriter out = new StringWriter();
        String[] all = Stream.concat(Stream.of("--clients", "2", "--width", "16", "--rounds", "1", "--seconds", "0.5"),
                Stream.of(more)).toArray(String[]::new);
        int exitCode = LoadCommand.commandLine().setOut(new PrintWriter(out, true)).execute(all);
        assertThat(exitCode).as(out.toString()).isZero();
        return out.toString();
    }
}
