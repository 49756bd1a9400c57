package io.github.dl4jlora.examples;

import io.github.dl4jlora.browser.PageCheck;
import io.github.dl4jlora.pages.ShellCommand;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import picocli.CommandLine;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

@Tag("heavy")
class DigitsExampleTest {

    private static final String HELP = "See mvn -q -pl examples -am compile exec:exec@digits -Dargs=\"--help\"";

    private final StringWriter out = new StringWriter();
    private final StringWriter err = new StringWriter();

    @Test
    void everyOptionOnThePagesIsAccepted() throws IOException {
        assertThat(ShellCommand.argumentsOf("digits")).isNotEmpty()
                .allSatisfy(words -> DigitsExample.commandLine().parseArgs(words.toArray(String[]::new)));
    }

    @Test
    void itsShortFormRunsToTheEndAndEveryCheckHolds(@TempDir Path folder) {
        assertShortFormWorks(folder, "--storage", "embedded");
    }

    private void assertShortFormWorks(Path folder, String... more) {
        int exitCode = run(Stream.concat(Stream.of("--short", "--rank", "4", "--output", folder.resolve("new").toString()),
                Stream.of(more)).toArray(String[]::new));

        assertThat(err.toString()).isEmpty();
        assertThat(exitCode).isZero();
        assertThat(out.toString().lines().filter(line -> line.startsWith("ok "))).hasSize(4);
        assertThat(out.toString()).doesNotContain("FAILED").contains("full fine-tuning", "adapter removed");
        assertThat(folder.resolve("new/adapter/adapter_model.safetensors")).isNotEmptyFile();
        assertThat(folder.resolve("new/base.zip")).isNotEmptyFile();
        assertThat(out.toString()).contains("Look at it: " + folder.resolve("new/report.html").toUri());
        assertThat(folder.resolve("new/report.html")).content().contains("fc3", "full fine-tuning");
    }

    @Test
    void itsReportHasNoDefectInABrowser(@TempDir Path folder) throws Exception {
        assertThat(run("--short", "--sweep", "--output", folder.toString())).isZero();

        assertThat(PageCheck.of(folder.resolve("report.html"))).isEmpty();
    }

    @ParameterizedTest
    @CsvSource({"--rank, 0, --rank is 0", "--alpha, NaN, --alpha is NaN", "--epochs, 0, --epochs is 0",
            "--storage, cloud, 'expected one of [SHARED, EMBEDDED]'", "--seed, x, 'is not a whole number'"})
    void aBadValueIsNamedWithWhatIsExpected(String option, String value, String message) {
        int exitCode = run(option, value);

        assertThat(exitCode).isEqualTo(CommandLine.ExitCode.USAGE);
        assertThat(err.toString()).contains(message).endsWith(HELP + System.lineSeparator()).doesNotContain("Usage:");
    }

    @Test
    void anUnknownOptionIsAnsweredWithTheCommandThatPrintsTheHelp() {
        assertThat(run("--bogus")).isEqualTo(CommandLine.ExitCode.USAGE);

        assertThat(err.toString().lines()).containsExactly("Unknown option: '--bogus'", HELP);
    }

    @Test
    void aSweepFindsEachWayARateOfItsOwn(@TempDir Path folder) {
        assertShortFormWorks(folder, "--sweep", "--storage", "SHARED");

        assertThat(out.toString().lines().filter(line -> line.matches(
                " +(head-only|LoRA|full fine-tuning) +learning rate .*e-0\\d suggested, of 6 .*"))).hasSize(3);
        assertThat(folder.resolve("new/report.html")).content().contains("<h2>Learning rates</h2>",
                "each with its own learning rate", ", swept, Adam");
    }

    @Test
    void aRateAndASweepExcludeEachOther() {
        assertThat(run("--sweep", "--learning-rate", "1e-3")).isEqualTo(CommandLine.ExitCode.USAGE);
        assertThat(err.toString()).contains("mutually exclusive");
    }

    @Test
    void shortAndEpochsExcludeEachOther() {
        assertThat(run("--short", "--epochs", "5")).isEqualTo(CommandLine.ExitCode.USAGE);
        assertThat(err.toString()).contains("mutually exclusive");
    }

    @Test
    void aFileIsNoOutputFolder(@TempDir Path folder) throws Exception {
        Path file = Files.writeString(folder.resolve("file"), "");

        assertThat(run("--output", file.toString())).isEqualTo(CommandLine.ExitCode.USAGE);
        assertThat(err.toString()).contains("is not a folder");
    }

    @Test
    void withoutTheTrainingPagesTheirOptionSaysHowToGetThem() {
        assumeFalse(onClassPath("io.vertx.core.Vertx"));

        assertThat(run("--ui")).isEqualTo(CommandLine.ExitCode.USAGE);
        assertThat(err.toString()).contains("mvn -q -Pui -pl examples -am compile exec:exec@digits -Dargs=\"--ui\"");
    }

    @Test
    void whatAnEarlierBuildLeftOfTheTrainingPagesIsAsGoodAsNothing(@TempDir Path classes) throws Exception {
        assumeFalse(onClassPath("io.vertx.core.Vertx"));
        Path services = Files.createDirectories(classes.resolve("META-INF/services"));
        Files.writeString(services.resolve(TrainingPages.Provider.class.getName()), "io.github.dl4jlora.examples.ui.Gone");
        Thread thread = Thread.currentThread();
        ClassLoader usual = thread.getContextClassLoader();
        try (URLClassLoader stale = new URLClassLoader(new URL[] {classes.toUri().toURL()}, usual)) {
            thread.setContextClassLoader(stale);

            assertThat(run("--ui")).isEqualTo(CommandLine.ExitCode.USAGE);
        } finally {
            thread.setContextClassLoader(usual);
        }
        assertThat(err.toString()).startsWith("--ui needs DL4J's training pages").doesNotContain("\tat ");
    }

    @ParameterizedTest
    @ValueSource(strings = {"0", "65536"})
    void aPortThatIsNoneIsNamed(String port) {
        assertThat(run("--ui", "--ui-port", port)).isEqualTo(CommandLine.ExitCode.USAGE);
        assertThat(err.toString()).contains("--ui-port is " + port);
    }

    private static boolean onClassPath(String type) {
        return DigitsExampleTest.class.getResource("/" + type.replace('.', '/') + ".class") != null;
    }

    private int run(String... args) {
        return DigitsExample.commandLine().setOut(new PrintWriter(out, true)).setErr(new PrintWriter(err, true)).execute(args);
    }
}
