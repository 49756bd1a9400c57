package io.github.dl4jlora.examples.enlarge;

import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import picocli.CommandLine;

import javax.imageio.ImageIO;
import java.awt.Color;
import java.awt.Graphics2D;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

@Tag("heavy")
class EnlargeExampleTest {

    private static final Path REAL = Path.of("target/enlarge");
    private static final Path FONTS = Path.of("/usr/share/fonts");

    private final StringWriter out = new StringWriter();
    private final StringWriter err = new StringWriter();

    @TempDir
    private Path folder;

    private int run(String... args) {
        return EnlargeExample.commandLine().setOut(new PrintWriter(out, true)).setErr(new PrintWriter(err, true)).execute(args);
    }

    /** As the script makes it, with a tiny network, this machine's first font for all, and a drawing for a photograph. */
    private Path data() throws IOException {
        Path font = aFont().orElse(null);
        assumeTrue(font != null, "there is no TrueType font below " + FONTS);
        Path data = folder.resolve("data");
        TinyLayersModel.write(data.resolve("network"));
        for (String face : Stream.concat(Material.LEARNED_FACES.stream().map("dejavu/"::concat),
                Material.TESTED_FACES.stream().map("lora/"::concat)).toList()) {
            Path file = data.resolve("fonts").resolve(face);
            Files.createDirectories(file.getParent());
            Files.copy(font, file);
        }
        BufferedImage drawing = new BufferedImage(101, 80, BufferedImage.TYPE_INT_RGB);
        Graphics2D pen = drawing.createGraphics();
        pen.setColor(Color.ORANGE);
        pen.fillOval(10, 10, 60, 60);
        pen.dispose();
        ImageIO.write(drawing, "jpg", Files.createDirectories(data.resolve("photographs/a")).resolve("image.jpg").toFile());
        return data;
    }

    private static Optional<Path> aFont() throws IOException {
        if (!Files.isDirectory(FONTS)) {
            return Optional.empty();
        }
        try (Stream<Path> files = Files.walk(FONTS)) {
            return files.filter(file -> file.toString().endsWith(".ttf")).sorted().findFirst();
        }
    }

    @Test
    void itsShortFormRunsToTheEndAndEveryCheckHolds() throws IOException {
        assertShortFormWorks(data(), "--rank", "2", "--seeds", "2");

        assertThat(out.toString()).contains(" ± ");
    }

    @Test
    void itsShortFormRunsOnTheRealNetwork() throws IOException {
        assumeTrue(Files.exists(REAL.resolve("photographs")), "examples/fetch-enlarge.sh has not been run");

        assertShortFormWorks(REAL);

        assertThat(out.toString()).contains("222,075");
    }

    private void assertShortFormWorks(Path data, String... more) throws IOException {
        Path output = folder.resolve("output");

        int exitCode = run(Stream.concat(Stream.of("--short", "--data", data.toString(), "--output", output.toString()),
                Stream.of(more)).toArray(String[]::new));

        assertThat(err.toString()).isEmpty();
        assertThat(exitCode).isZero();
        assertThat(out.toString().lines().filter(line -> line.startsWith("ok "))).hasSize(4);
        assertThat(out.toString()).contains("bicubic", "base", "last layer", "LoRA", "adapter", "removed", "full");
        for (String file : List.of("base.zip", "merged.zip", "full-fine-tuning.zip", "last-layer.zip", "report.html",
                "adapter/adapter_model.safetensors", "pictures.png")) {
            assertThat(output.resolve(file)).isNotEmptyFile();
        }
        assertThat(ImageIO.read(output.resolve("pictures.png").toFile()).getWidth()).isEqualTo(5 * 2 * 80 + 4 * 6);
    }

    @Test
    void aSweepFindsEachWayARateOfItsOwn() throws IOException {
        assertThat(run("--short", "--sweep", "--rank", "2", "--data", data().toString(), "--output",
                folder.resolve("output").toString())).as(err.toString()).isZero();

        assertThat(out.toString().lines().filter(line -> line.contains("suggested, of 6"))).hasSize(3);
    }

    @ParameterizedTest
    @CsvSource({"network/model.json", "network/shard.bin", "fonts/dejavu/DejaVuSans.ttf",
            "fonts/lora/700Bold/Lora_700Bold.ttf", "photographs/a/image.jpg"})
    void whatIsMissingIsNamedWithTheScriptThatFetchesIt(String missing) throws IOException {
        Path data = data();
        Files.delete(data.resolve(missing));

        assertThat(run("--short", "--rank", "2", "--data", data.toString(), "--output", folder.resolve("output").toString()))
                .isEqualTo(CommandLine.ExitCode.SOFTWARE);

        assertThat(err.toString()).startsWith("enlarge: There ").contains(data.toString(), "examples/fetch-enlarge.sh", "--data")
                .doesNotContain("\tat ");
        assertThat(folder.resolve("output")).doesNotExist();
    }

    @Test
    void aRateThatIsNoneIsNamed() throws IOException {
        assertThat(run("--data", data().toString(), "--output", folder.resolve("output").toString(), "--short", "--rank", "2",
                "--learning-rate", "0")).isEqualTo(CommandLine.ExitCode.USAGE);

        assertThat(err.toString()).contains("--learning-rate is 0");
    }

    @Test
    void aNetworkThatDoesNotDoubleIsRefused() throws IOException {
        Path model = data().resolve("network/model.json");
        Files.writeString(model, Files.readString(model).replace("\"size\": [2, 2]", "\"size\": [4, 4]"));

        assertThat(run("--data", folder.resolve("data").toString())).isEqualTo(CommandLine.ExitCode.SOFTWARE);

        assertThat(err.toString()).contains("does not make coloured pictures twice as large");
    }

    @ParameterizedTest
    @CsvSource({"--rank, 0, --rank is 0", "--epochs, 0, --epochs is 0", "--seeds, 0, --seeds is 0",
            "--seed, x, 'is not a whole number'", "--rank, 8, '--rank is 8, but must be below 8'"})
    void aBadValueIsNamedWithWhatIsExpected(String option, String value, String message) throws IOException {
        assertThat(run("--data", data().toString(), "--output", folder.resolve("output").toString(), option, value))
                .isEqualTo(CommandLine.ExitCode.USAGE);

        assertThat(err.toString()).contains(message).endsWith(
                "See mvn -q -pl examples -am compile exec:exec@enlarge -Dargs=\"--help\"" + System.lineSeparator());
    }
}
