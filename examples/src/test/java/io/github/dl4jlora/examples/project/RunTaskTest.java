package io.github.dl4jlora.examples.project;

import org.junit.jupiter.api.Test;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Path;

import static org.assertj.core.api.Assertions.assertThat;

/** The answers to wrong names. That programs run is tried by the tests of the tasks. */
class RunTaskTest {

    private final StringWriter err = new StringWriter();

    private int run(Path clone, String program) {
        return RunTask.commandLine(clone).setErr(new PrintWriter(err, true)).execute(program);
    }

    @Test
    void aNameThatThereIsNotIsAnsweredWithAllThatThereAre() {
        assertThat(run(Path.of(".."), "AdaptMe")).isEqualTo(2);

        assertThat(err.toString()).contains("AdaptMe is no program to copy. Name one of [AdaptABaseInEightBits, ",
                "SwapTwoAdapters", "exec:exec@task -Dargs=\"--help\"");
    }

    @Test
    void elsewhereItSaysWhereItRuns() {
        assertThat(run(Path.of("src"), "AdaptASavedNetwork")).isEqualTo(2);

        assertThat(err.toString()).contains("Run this in the root of dl4j-lora's clone").doesNotContain("--clone");
    }
}
