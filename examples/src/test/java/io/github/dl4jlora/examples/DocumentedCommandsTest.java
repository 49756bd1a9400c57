package io.github.dl4jlora.examples;

import io.github.dl4jlora.console.PseudoTerminal;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeFalse;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

/** What the pages say to type is typed, in a copy as of a fresh clone, on a terminal. Maven is told to stay offline, no more. */
@Tag("heavy")
class DocumentedCommandsTest {

    private static final Path ROOT = Path.of("..").toAbsolutePath().normalize();
    private static final Pattern DIGITS = Pattern.compile("^    (mvn .* exec:exec@digits)$", Pattern.MULTILINE);

    /** All tests share it: what one has compiled, the next one finds compiled, as somebody does who types on. */
    @TempDir
    private static Path clone;

    @BeforeAll
    static void aFreshClone() throws IOException, InterruptedException {
        PseudoTerminal.require();
        assumeTrue(succeeds("mvn -v | grep -q 'Maven 3.9' && bash --version > /dev/null"), "needs mvn 3.9 and bash");
        Files.walkFileTree(ROOT, new SimpleFileVisitor<>() {
            @Override
            public FileVisitResult preVisitDirectory(Path folder, BasicFileAttributes attributes) throws IOException {
                String name = folder.getFileName().toString();
                if (name.equals("target") || name.equals(".git")) {
                    return FileVisitResult.SKIP_SUBTREE;
                }
                Files.createDirectories(clone.resolve(ROOT.relativize(folder)));
                return FileVisitResult.CONTINUE;
            }

            @Override
            public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) throws IOException {
                Files.copy(file, clone.resolve(ROOT.relativize(file)));
                return FileVisitResult.CONTINUE;
            }
        });
    }

    private static boolean succeeds(String line) throws IOException, InterruptedException {
        return new ProcessBuilder("sh", "-c", line).start().waitFor() == 0;
    }

    private static PseudoTerminal.Ended typed(String... lines) throws IOException, InterruptedException {
        String repository = System.getProperty("maven.repo.local");
        Path script = Files.writeString(Files.createTempFile("typed", ".sh"),
                "set -e\nshopt -s expand_aliases\nexport MAVEN_ARGS='-o -B -ntp" + (repository == null ? ""
                : " -Dmaven.repo.local=" + repository) + "'\n" + String.join("\n", lines) + "\n");
        try {
            PseudoTerminal.Ended ended = PseudoTerminal.run(80, clone, "bash " + PseudoTerminal.quoted(script.toString()), 60);
            assumeFalse(ended.shown().contains("in offline mode") || ended.shown().contains("No plugin found for prefix"),
                    "this machine has not yet fetched what the commands need");
            return ended;
        } finally {
            Files.delete(script);
        }
    }

    @Test
    void theReadmesExampleShowsHowFarItIsAndNamesFilesFromWhereItWasTyped() throws Exception {
        Matcher command = DIGITS.matcher(Files.readString(clone.resolve("README.md")));
        assertThat(command.find()).isTrue();

        PseudoTerminal.Ended ended = typed(command.group(1) + " -Dargs=\"--short --output examples/target/short\"");

        assertThat(ended.exitCode()).as(ended.shown()).isZero();
        for (String way : List.of("base, upright", "head-only", "LoRA", "full fine-tuning")) {
            // How many states between these two are drawn depends on how fast the machine is.
            List<String> progress = ended.states().stream().filter(state -> state.matches(" +" + way + " +epoch .*")).toList();
            assertThat(progress).as("%s%n%s", way, ended.shown()).anyMatch(state -> state.contains("epoch 1 of 2"))
                    .anyMatch(state -> state.contains("epoch 2 of 2, mean loss")).allMatch(state -> state.length() <= 80);
        }
        assertThat(ended.shown()).contains("Saved in examples/target/short");
        assertThat(clone.resolve("examples/target/short/base.zip")).isNotEmptyFile();
    }

    @Test
    void wrongOptionsAreToldInOneLineAndMavenFailsWithoutAStackTrace() throws Exception {
        for (String example : List.of("digits", "convolution", "style")) {
            PseudoTerminal.Ended ended = typed("mvn -q -pl examples -am compile exec:exec@" + example + " -Dargs=\"--rank 0\"");

            assertThat(ended.exitCode()).as(example).isEqualTo(1);
            assertThat(ended.shown()).as(example).contains("--rank is 0, but must be at least 1", "exec:exec@" + example,
                    "--help", "Process exited with an error: 2").doesNotContain("\tat ", "ExecuteException");
        }
        PseudoTerminal.Ended ended = typed("mvn -q -pl benchmarks -am compile exec:exec@compare -Dargs=\"--rounds many\"");
        assertThat(ended.exitCode()).isEqualTo(1);
        assertThat(ended.shown()).contains("'many' is not a whole number", "exec:exec@compare")
                .doesNotContain("\tat ", "ExecuteException", "Usage:");
    }

    @Test
    void theWalkThroughWorksFromTopToBottom() throws Exception {
        String page = Files.readString(clone.resolve("docs/guide/cli.md"));
        String commands = String.join("\n", page.substring(0, page.indexOf("\n## inspect")).lines()
                .filter(line -> line.startsWith("    ")).map(String::strip).toList());
        assertThat(commands.lines()).hasSizeGreaterThan(9).first().asString().startsWith("mvn ");

        PseudoTerminal.Ended ended = typed(commands);

        assertThat(ended.exitCode()).as(ended.shown()).isZero();
        assertThat(ended.shown()).contains("adapter: a LoRA adapter of 3 layers.", "page.html (", "small (", "Rank 4 keeps",
                "plain.zip: a DL4J network, a MultiLayerNetwork.", "tuned.zip (").doesNotContain("Exception");
        assertThat(clone.resolve("examples/target/walk/page.html")).isNotEmptyFile();
    }
}
