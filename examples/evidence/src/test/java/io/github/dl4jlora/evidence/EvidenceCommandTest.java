package io.github.dl4jlora.evidence;

import io.github.dl4jlora.pages.ShellCommand;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

import javax.imageio.ImageIO;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;

class EvidenceCommandTest {

    private static final Pattern IMAGE = Pattern.compile("!\\[[^]]+]\\((evidence/[^)]+)\\)");

    @TempDir
    private Path folder;

    private final StringWriter out = new StringWriter();
    private final StringWriter err = new StringWriter();

    @Test
    void everyOptionOnThePagesIsAccepted() throws IOException {
        assertThat(ShellCommand.argumentsOf("evidence")).isNotEmpty()
                .allSatisfy(words -> EvidenceCommand.commandLine().parseArgs(words.toArray(String[]::new)));
    }

    @Test
    void aClaimInShortFormBecomesAPageWithItsPicture() throws IOException {
        assertThat(run("--short", "--only", "loraplus")).isZero();
        String page = Files.readString(folder.resolve("evidence.md"));
        assertThat(page).contains("<a id=\"loraplus\"></a>", "--only loraplus").doesNotContain("**FAILS**");
        pictures(page).forEach(this::isPicture);
        assertThat(pictures(page)).isNotEmpty();
    }

    @Test
    void anUnknownClaimIsRefusedWithThoseThatThereAre() {
        assertThat(run("--only", "rates,folklore")).isEqualTo(CommandLine.ExitCode.USAGE);
        assertThat(err.toString()).contains("--only folklore", "rates", "loraplus");
        assertThat(folder.resolve("evidence.md")).doesNotExist();
    }

    @Test
    void noThreadsAreRefused() {
        assertThat(run("--threads", "0")).isEqualTo(CommandLine.ExitCode.USAGE);
        assertThat(err.toString()).contains("--threads is 0");
    }

    @Test
    void dataThatIsHalfThereIsNamed() throws IOException {
        Files.createDirectories(folder.resolve("fashion-mnist"));
        assertThat(run("--list", "--data", folder.toString())).isEqualTo(CommandLine.ExitCode.SOFTWARE);
        assertThat(err.toString()).contains("train-images-idx3-ubyte.gz is missing").doesNotContain("\tat ");
    }

    @Test
    void whatIsLeftOutIsSaid() {
        assertThat(run("--list", "--data", folder.toString())).isZero();
        assertThat(out.toString()).contains("Fashion-MNIST is left out", "fetch-evidence.sh");
    }

    @Test
    void thePublishedPageHasEveryClaimThatIsListed() throws IOException {
        run("--list");
        String page = Files.readString(Path.of("..", "..", "docs", "evidence.md"));
        List<String> ids = out.toString().lines().filter(line -> line.matches("[a-z-]+ +[A-Z].*")).map(line ->
                line.split(" ")[0]).toList();
        assertThat(ids).hasSizeGreaterThan(8).allSatisfy(id -> assertThat(page).contains("<a id=\"" + id + "\"></a>",
                "--only " + id + "\""));
        assertThat(page).doesNotContain("**FAILS**", "not judged");
        assertThat(pictures(page)).allSatisfy(picture -> assertThat(Path.of("..", "..", "docs", picture)).exists());
    }

    @Test
    @Tag("heavy")
    void everyClaimWorksInShortForm() throws IOException {
        assertThat(run("--short")).isZero();
        String page = Files.readString(folder.resolve("evidence.md"));
        assertThat(page).contains("<a id=\"table\"></a>", "<a id=\"intruders\"></a>");
        pictures(page).forEach(this::isPicture);
    }

    private static List<String> pictures(String page) {
        return IMAGE.matcher(page).results().map((MatchResult found) -> found.group(1)).toList();
    }

    private void isPicture(String path) {
        try {
            assertThat(ImageIO.read(folder.resolve(path).toFile()).getWidth()).as(path).isGreaterThan(500);
        } catch (IOException e) {
            throw new AssertionError(path, e);
        }
    }

    private int run(String... arguments) {
        CommandLine line = EvidenceCommand.commandLine();
        line.setOut(new PrintWriter(out, true)).setErr(new PrintWriter(err, true));
        String[] all = Stream.concat(Stream.of("--output", folder.toString()),
                Arrays.stream(arguments)).toArray(String[]::new);
        return line.execute(all);
    }
}
