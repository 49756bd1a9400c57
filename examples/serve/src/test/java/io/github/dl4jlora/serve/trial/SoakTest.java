package io.github.dl4jlora.serve.trial;

import io.github.dl4jlora.pages.ShellCommand;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import picocli.CommandLine;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.concurrent.TimeUnit;

import static org.assertj.core.api.Assertions.assertThat;

/** A quarter of a minute of it; {@code -Ddl4jlora.soak="--minutes 10 --clients 64"} for what the guide tells. */
@Tag("serve")
@Timeout(value = 60, unit = TimeUnit.MINUTES)
class SoakTest {

    /** In so short a time everything still grows. */
    private static final String SHORT = "--minutes 0.25 --clients 6 --growth 10";

    @Test
    void everyOptionOnThePagesIsAccepted() throws IOException {
        assertThat(ShellCommand.argumentsOf("soak")).isNotEmpty()
                .allSatisfy(words -> SoakCommand.commandLine().parseArgs(words.toArray(String[]::new)));
    }

    @Test
    void aServiceKeepsWorking() {
        StringWriter out = new StringWriter();
        CommandLine soak = SoakCommand.commandLine().setOut(new PrintWriter(out, true));

        int exitCode = soak.execute(System.getProperty("dl4jlora.soak", SHORT).split(" "));

        assertThat(exitCode).as(out.toString()).isZero();
        assertThat(out.toString()).contains("It keeps working.").doesNotContain(" 0 of them answered");
    }

    @Test
    void whatMakesNoSenseIsRefused() {
        for (String arguments : new String[] {"--minutes -1.0", "--clients 0", "--growth 0.5", "--minutes NaN"}) {
            StringWriter err = new StringWriter();
            assertThat(SoakCommand.commandLine().setErr(new PrintWriter(err, true)).execute(arguments.split(" "))).isEqualTo(2);
            assertThat(err.toString()).startsWith(arguments.replace(" ", " is ") + ", but must be ");
        }
    }
}
