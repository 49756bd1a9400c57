package io.github.dl4jlora.examples.spark;

import io.github.dl4jlora.pages.ShellCommand;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import picocli.CommandLine;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Path;

import static org.assertj.core.api.Assertions.assertThat;

/** What is told of a training, and where. */
@Tag("spark")
class SparkExampleTest {

    private final StringWriter out = new StringWriter();
    private final StringWriter err = new StringWriter();

    @Test
    void everyOptionOnThePagesIsAccepted() throws IOException {
        assertThat(ShellCommand.argumentsOf("spark")).isNotEmpty()
                .allSatisfy(words -> SparkExample.commandLine().parseArgs(words.toArray(String[]::new)));
    }

    private int run(String... arguments) {
        return SparkExample.commandLine().setOut(new PrintWriter(out, true)).setErr(new PrintWriter(err, true))
                .execute(arguments);
    }

    @Test
    void itTellsHowLongEachTrainingTookAndWhereTheLogIs(@TempDir Path folder) {
        assertThat(run("--width", "32", "--epochs", "1", "--output", folder.toString())).as(err.toString()).isZero();

        assertThat(out.toString()).contains("Spark's log: " + folder.resolve("driver.log"))
                .containsPattern(" LoRA +1 epochs, \\d+\\.\\d s").containsPattern(" full fine-tuning +1 epochs, \\d+\\.\\d s")
                .containsPattern("\\d+\\.\\d minutes\\. Base and logs in ").doesNotContain("FAILED");
        assertThat(folder.resolve("driver.log")).content().contains("INFO  DAGScheduler");
    }

    @ParameterizedTest
    @CsvSource({"--epochs 0, --epochs is 0", "--width none, 'none' is not a whole number", "--kill, --kill needs --cluster",
            "--ui --sharing gradients, --ui does not work with --sharing GRADIENTS"})
    void wrongOptionsAreToldInALine(String options, String message) {
        assertThat(run(options.split(" "))).isEqualTo(CommandLine.ExitCode.USAGE);

        assertThat(err.toString()).contains(message).endsWith(
                "See mvn -q -Pspark -pl examples/spark -am compile exec:exec@spark -Dargs=\"--help\"" + System.lineSeparator());
    }

    @Test
    void expectedErrorsAreInTheLogAlone(@TempDir Path folder) throws IOException {
        Logger log = LoggerFactory.getLogger("org.apache.spark.Something");
        PrintStream usual = System.err;
        ByteArrayOutputStream screen = new ByteArrayOutputStream();
        try (DriverLog driver = new DriverLog(folder.resolve("driver.log"))) {
            System.setErr(new PrintStream(screen, true));
            driver.quietly(() -> log.error("Lost executor 0"));
            log.error("Lost executor 1");
            log.info("found a block");
        } finally {
            System.setErr(usual);
        }

        assertThat(folder.resolve("driver.log")).content().contains("Lost executor 0", "Lost executor 1", "found a block");
        assertThat(screen.toString()).contains("Lost executor 1").doesNotContain("Lost executor 0", "found a block");
    }
}
