package io.github.dl4jlora.examples;

import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Path;

import static org.assertj.core.api.Assertions.assertThat;

/** The short forms of the examples beside the main one run to their end, and every check holds. */
@Tag("heavy")
class ComparisonExamplesTest {

    private final StringWriter out = new StringWriter();
    private final StringWriter err = new StringWriter();

    @Test
    void convolutionsAreAdapted(@TempDir Path folder) {
        run(ConvolutionExample.commandLine(), folder);

        assertThat(out.toString()).contains("on the board", "head-only", "full fine-tuning");
    }

    @Test
    void recurrentLayersAreAdapted(@TempDir Path folder) {
        run(StyleExample.commandLine(), folder);

        assertThat(out.toString()).contains("Bits per character", "With the adapter:");
    }

    private void run(CommandLine example, Path folder) {
        // As on a wide terminal, where headings are in one line.
        int exitCode = example.setUsageHelpWidth(120).setOut(new PrintWriter(out, true)).setErr(new PrintWriter(err, true))
                .execute("--short", "--rank", "4", "--output", folder.toString());

        assertThat(err.toString()).isEmpty();
        assertThat(exitCode).isZero();
        assertThat(out.toString().lines().filter(line -> line.startsWith("ok "))).hasSize(4);
        assertThat(out.toString()).doesNotContain("FAILED").contains("Two epochs only");
        assertThat(folder.resolve("adapter/adapter_model.safetensors")).isNotEmptyFile();
    }
}
