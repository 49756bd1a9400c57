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
import java.util.function.Function;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

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
    void aPageThatWouldLackClaimsIsRefusedOnRequest() {
        assertThat(run("--complete", "--data", folder.toString())).isEqualTo(CommandLine.ExitCode.USAGE);
        assertThat(err.toString()).contains("--complete is given, but: ", "Fashion-MNIST is left out", "fetch-evidence.sh");
        assertThat(folder.resolve("evidence.md")).doesNotExist();
    }

    /** Of two claims, the first fails. */
    private static List<Claim> oneThatFails() {
        return List.of(new Supposed("folklore", lab -> {
            throw new IllegalArgumentException("no such layer");
        }), new Supposed("arithmetic", lab -> new Finding().check("one and one", "2", 2, 2, 2)));
    }

    private record Supposed(String id, Function<Lab, Finding> examination) implements Claim {

        @Override
        public Statement statement() {
            return new Statement(id, "Something is so", new Source("Anyone", ""), "It is.");
        }

        @Override
        public Finding examine(Lab lab) {
            return examination.apply(lab);
        }
    }

    @Test
    void aClaimThatFailsEndsNoOther() throws IOException {
        CommandLine line = EvidenceCommand.commandLine((data, leaves) -> oneThatFails());

        assertThat(run(line, "--only", "folklore,arithmetic")).isEqualTo(1);

        assertThat(err.toString()).contains("folklore could not be examined", "no such layer");
        assertThat(Files.readString(folder.resolve("evidence.md"))).contains("<a id=\"arithmetic\"></a>",
                "**Missing**, since their examination failed: folklore.").doesNotContain("<a id=\"folklore\"></a>");
    }

    @Test
    void whatWasFoundIsWrittenBeforeTheNextClaim() throws IOException {
        CommandLine line = EvidenceCommand.commandLine((data, leaves) -> List.of(oneThatFails().get(1),
                new Supposed("folklore", lab -> {
                    throw new OutOfMemoryError();
                })));

        assertThatThrownBy(() -> run(line, "--only", "folklore,arithmetic")).isInstanceOf(OutOfMemoryError.class);

        assertThat(Files.readString(folder.resolve("evidence.md"))).contains("<a id=\"arithmetic\"></a>");
    }

    @Test
    void aFileIsNoPlaceForPages() throws IOException {
        Path file = Files.createFile(folder.resolve("evidence.md"));
        CommandLine line = EvidenceCommand.commandLine((data, leaves) -> List.of(new Supposed("folklore", lab -> {
            throw new AssertionError("an hour");
        }))).setErr(new PrintWriter(err, true));

        assertThat(line.execute("--only", "folklore", "--output", file.toString())).isEqualTo(CommandLine.ExitCode.USAGE);
        assertThat(err.toString()).contains("exists, but is not a folder");
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
        // Measured, not copied: an adapter that is off leaves nothing behind.
        assertThat(page.lines().filter(line -> line.startsWith("| base |")).findFirst().orElseThrow().replace("base", ""))
                .isEqualTo(page.lines().filter(line -> line.startsWith("| LoRA, adapter off |")).findFirst().orElseThrow()
                        .replace("LoRA, adapter off", ""));
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
        return run(EvidenceCommand.commandLine(), arguments);
    }

    private int run(CommandLine line, String... arguments) {
        line.setOut(new PrintWriter(out, true)).setErr(new PrintWriter(err, true));
        String[] all = Stream.concat(Stream.of("--output", folder.toString()),
                Arrays.stream(arguments)).toArray(String[]::new);
        return line.execute(all);
    }
}
