package io.github.dl4jlora.benchmarks;

import io.github.dl4jlora.pages.ShellCommand;
import org.junit.jupiter.api.Test;
import picocli.CommandLine;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;

import static org.assertj.core.api.Assertions.assertThat;

class CompareTest {

    @Test
    void everyOptionOnThePagesIsAccepted() throws IOException {
        assertThat(ShellCommand.argumentsOf("compare")).isNotEmpty()
                .allSatisfy(words -> Compare.commandLine().parseArgs(words.toArray(String[]::new)));
    }

    @Test
    void noRoundsAreRefused() {
        StringWriter err = new StringWriter();

        assertThat(Compare.commandLine().setErr(new PrintWriter(err)).execute("--rounds", "0"))
                .isEqualTo(CommandLine.ExitCode.USAGE);
        assertThat(err.toString()).contains("--rounds is 0");
    }
}
