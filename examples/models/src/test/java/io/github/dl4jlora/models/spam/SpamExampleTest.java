package io.github.dl4jlora.models.spam;

import io.github.dl4jlora.pages.ShellCommand;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import picocli.CommandLine;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

@Tag("minilm")
class SpamExampleTest {

    private final StringWriter out = new StringWriter();
    private final StringWriter err = new StringWriter();

    @Test
    void everyOptionOnThePagesIsAccepted() throws IOException {
        assertThat(ShellCommand.argumentsOf("spam")).isNotEmpty()
                .allSatisfy(words -> SpamExample.commandLine().parseArgs(words.toArray(String[]::new)));
    }

    static Path mails(Path folder) throws Exception {
        String[] openings = {"alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa",
                "lambda", "mu"};
        for (String opening : openings) {
            write(folder.resolve("ham"), opening, "Subject: " + opening
                    + "\n\nThe compiler warns about an unused variable in the patch.");
            write(folder.resolve("spam"), opening, "Subject: " + opening
                    + "\n\nEarn cash fast, free offer, click now to claim a prize.");
        }
        return folder;
    }

    private static void write(Path folder, String name, String mail) throws Exception {
        Files.writeString(Files.createDirectories(folder).resolve(name + ".txt"), mail);
    }

    @ParameterizedTest
    @EnumSource
    void everyMethodTrainsReportsAndKeepsWhatItLearned(Method method, @TempDir Path folder) throws Exception {
        Path output = folder.resolve("new/output");

        int exitCode = run("train", "--short", "--only", method.name(), "--mails", mails(folder).toString(),
                "--output", output.toString());

        assertThat(err.toString()).isEmpty();
        assertThat(exitCode).isZero();
        // Whoever reads the table takes it to last to an empty line.
        assertThat(out.toString()).contains(method.title, "F1").containsPattern("\\R\\RKept in");
        assertThat(Outcome.read(output.resolve(method.name().toLowerCase() + ".properties")).bytes()).isPositive();
        if (method.isLoRA()) {
            assertThat(out.toString()).contains("Look at it: " + output.resolve("report.html").toUri());
            assertThat(output.resolve("report.html")).content().contains(method.title, "all-MiniLM-L6-v2",
                    "encoder.layer.0.attention.self.query".replaceAll("([._])", "$1<wbr>"));
        }
    }

    @Test
    void aSavedAdapterClassifiesTheSameMerged(@TempDir Path folder) throws Exception {
        String adapter = folder.resolve("lora_query_value").toString();
        run("train", "--short", "--only", "LORA_QUERY_VALUE", "--mails", mails(folder).toString(), "--output", folder.toString());
        out.getBuffer().setLength(0);

        assertThat(run("classify", "--adapter", adapter, "Free", "cash")).isZero();
        String adapted = out.toString();
        out.getBuffer().setLength(0);
        assertThat(run("classify", "--adapter", adapter, "--merged", "Free cash")).isZero();

        assertThat(adapted).matches("(?s)(spam|ham) \\(probability of spam [01]\\.\\d{4}\\)\\s+");
        assertThat(probability(out.toString())).isCloseTo(probability(adapted), within(2e-4));
    }

    private static double probability(String told) {
        return Double.parseDouble(told.replaceAll("(?s).* ([\\d.]+)\\).*", "$1"));
    }

    @Test
    void missingMailsAndAdaptersAreNamedWithTheCure(@TempDir Path folder) {
        assertThat(run("train", "--mails", folder.resolve("none").toString())).isEqualTo(CommandLine.ExitCode.SOFTWARE);
        assertThat(err.toString()).contains("no folder", "fetch-mails.sh", "--mails");
        err.getBuffer().setLength(0);
        assertThat(run("classify", "--adapter", folder.resolve("none").toString(), "hello"))
                .isEqualTo(CommandLine.ExitCode.SOFTWARE);
        assertThat(err.toString()).contains("no adapter", "train", "--adapter");
    }

    @Test
    void bitsOfABaseWithoutAdaptersAreRefused() {
        assertThat(run("train", "--only", "FULL", "--quantize", "INT8")).isEqualTo(CommandLine.ExitCode.USAGE);
        assertThat(err.toString()).contains("--quantize INT8 is for the base under adapters", "--only FULL");
    }

    @ParameterizedTest
    @CsvSource({"--batch, 0", "--learning-rate, NaN", "--learning-rate, -1"})
    void whatNoMethodCanTrainWithIsRefusedBeforeAnyDoes(String option, String value, @TempDir Path folder) throws Exception {
        assertThat(run("train", option, value, "--mails", mails(folder).toString(), "--output", folder.resolve("new").toString()))
                .isEqualTo(CommandLine.ExitCode.USAGE);
        assertThat(err.toString()).contains(option + " is " + value).doesNotContain(".log");
        assertThat(folder.resolve("new")).doesNotExist();
    }

    private int run(String... args) {
        return SpamExample.commandLine().setOut(new PrintWriter(out, true)).setErr(new PrintWriter(err, true)).execute(args);
    }
}
