package io.github.dl4jlora.cli;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.exception.FrozenWeightsMissingException;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Arrays;

import static org.assertj.core.api.Assertions.assertThat;

@Tag("heavy")
class MessagesTest {

    @TempDir
    private Path folder;
    private Shell shell;

    @BeforeEach
    void saveThem() throws IOException {
        shell = new Shell(folder);
        Path base = folder.resolve("base.zip");
        ModelSerializer.writeModel(Networks.layers(1), base.toFile(), false);
        Networks.adapter(Networks.layers(1), 2, 1).save(folder.resolve("spam"));
        ModelSerializer.writeModel(Networks.layers(99), folder.resolve("other.zip").toFile(), false);
        Networks.adapter(Networks.layers(1), 2, 1).save(folder.resolve("loud"));
        Path config = folder.resolve("loud").resolve("adapter_config.json");
        Files.writeString(config, Files.readString(config).replaceFirst("\"lora_alpha\" ?: ?[0-9.]+", "\"lora_alpha\": 1e29"));
        byte[] whole = Files.readAllBytes(base);
        Files.write(folder.resolve("cut.zip"), Arrays.copyOf(whole, whole.length / 2));
        Files.writeString(folder.resolve("text.zip"), "no zip");
        Files.writeString(folder.resolve("loss.tsv"), "0\t1.5\n1\t0.75\n");
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', value = {
            "inspect @none.zip | none.zip does not exist. Check the name",
            "inspect @cut.zip | cut.zip is truncated",
            "inspect @text.zip | text.zip is truncated, damaged or not a saved network",
            "inspect @spam/adapter_model.safetensors | Name the adapter's folder",
            "merge @spam @spam -o @x | spam is a folder, but a saved network (.zip) is needed here; it holds an adapter",
            "merge @base.zip @base.zip -o @x | base.zip is a file, but an adapter is a folder",
            "merge @base.zip @none -o @x | none does not exist. An adapter is a folder",
            "merge @base.zip -o @x | has no adapter to merge. Name one",
            "report @base.zip -o @x | has no adapter to report on. Name one",
            "export @base.zip -o @x | Make an adapted one with: dl4j-lora apply",
            "apply @base.zip --targets fc9 -o @x | fc9",
            "apply @base.zip @spam -o @none/x | does not exist. Create it first",
            "apply @base.zip @spam -o @spam | is a folder, but the result is a file",
            "merge @base.zip @spam --base @base.zip -o @x | needs no --base",
            "import @spam @base.zip --base @base.zip -o @x | needs no --base",
            "combine @spam @none -o @x | none does not exist",
            "quantize --as int8 @none.zip -o @x | none.zip does not exist",
            "quantize --as int8 @spam -o @x | spam is a folder, but a saved network",
            "quantize --as int8 @text.zip -o @x | text.zip",
            "apply @cut.zip --quantize nf4 -o @x | cut.zip",
            "report @base.zip @spam @spam -o @x | another adapter is already named spam",
            "report @base.zip @spam --scores @text.zip -o @x | text.zip contains no scores",
            "report @base.zip @spam --scores @loss.tsv --scores @loss.tsv -o @x | other losses are already named loss",
            "apply @other.zip @spam -o @x | or dl4j-lora import with --any-base",
            "import @spam @base.zip --rename fc1=zz -o @x | has layer \"zz\" (renamed from \"fc1\"), the network has [fc1, "
                    + "fc2, out]",
            "extract @base.zip @base.zip --rank 1 -o @x | base.zip: The fine-tuned network has the same values as the base",
            "extract @base.zip @spam --rank 1 -o @x | spam is a folder, but a saved network",
            "apply @base.zip --rank 1000000 -o @x | --rank 1000000 is too large for layer \"fc1\", whose matrix has 6 rows",
            "apply @base.zip --quantize int8 --rank 8 -o @x | Give at most --rank 6",
            "plan @base.zip --batch 4 --rank 7 | --rank 7 is too large for layer \"fc1\"",
            "inspect @loud | has a lora_alpha out of range, 1.0E29",
            "apply @base.zip @loud -o @x | lora_alpha out of range",
            "inspect @folder | adapter_model.safetensors"})
    void workThatFailsSaysWhichFileAndWhatToDo(String line, String message) throws IOException {
        Files.createDirectories(folder.resolve("folder"));

        assertThat(shell.run(line.split(" "))).as(shell.err()).isEqualTo(1);

        assertThat(shell.err()).startsWith("dl4j-lora ").contains(message)
                .doesNotContain("Usage:", "\tat ", "ApplyOption", "..", "\\Q");
        assertThat(shell.out()).isEmpty();
        assertThat(folder.resolve("x")).doesNotExist();
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', value = {
            "inspect | Missing required parameter: 'NETWORK|ADAPTER'",
            "merge @base.zip @spam | Missing required option: '--output=OUTPUT'",
            "apply @base.zip @spam --rank 4 -o @x | leave out either",
            "apply @base.zip --rank 0 -o @x | rank is 0",
            "apply @base.zip --targets ( -o @x | is not a regular expression",
            "extract @base.zip @base.zip -o @x | Say what to keep",
            "extract @base.zip @base.zip --energy 2 -o @x | --energy 2.0 must be above 0 and at most 1",
            "quantize @base.zip -o @x | Missing required option: '--as=WORD'",
            "quantize --as int2 @base.zip -o @x | expected one of",
            "combine @spam=heavy -o @x | \"heavy\" is not a weight",
            "combine @spam --method ties -o @x | needs a --density",
            "combine @spam --density 0.5 -o @x | is for ties",
            "combine @spam --majority-sign total -o @x | is for ties, not for CAT",
            "combine @spam --rank 2 -o @x | needs --method svd",
            "combine @spam --seed 0 -o @x | --seed is for dare, not for CAT",
            "combine @spam --method ties --density 0.5 --seed 7 -o @x | --seed is for dare, not for TIES",
            "combine @spam --compress 0 -o @x | must be at least 1",
            "combine @spam --method best -o @x | expected one of",
            "import @spam @base.zip --rename fc1 -o @x | is not of the form REGEX=NAME",
            "import @spam @base.zip --rename (.*)=$2 -o @x | --rename (.*)=$2 has an invalid replacement: No group 2",
            "import @spam @base.zip --rename (.*)=${x} -o @x | No group with name {x}",
            "import @spam @base.zip --rename (=x -o @x | is not a regular expression"})
    void wrongUsageExitsWithTwoAndSaysWhereTheHelpIs(String line, String message) {
        assertThat(shell.run(line.split(" "))).as(shell.err()).isEqualTo(2);

        assertThat(shell.err()).contains(message, "See dl4j-lora " + line.split(" ")[0] + " --help").doesNotContain("Usage:");
        assertThat(shell.err().lines().count()).isLessThanOrEqualTo(6);
        assertThat(folder.resolve("x")).doesNotExist();
    }

    @Test
    void noCommandAtAllIsWrongUsage() {
        assertThat(shell.run()).isEqualTo(2);
        assertThat(shell.err()).contains("Name one of", "inspect", "report");
    }

    @Test
    void theVersionIsTheLibrarys() {
        assertThat(shell.run("--version")).isZero();
        assertThat(shell.out()).matches("dl4j-lora \\d+\\.\\d+\\S*\\s+");
    }

    @Test
    void helpTakesACommandToo() {
        assertThat(shell.run("help", "merge")).isZero();
        assertThat(shell.out().replace("\r\n", "\n")).isEqualTo(HelpTest.help("merge"));
    }

    @Test
    void aCommandThatIsNoneIsGuessed() {
        assertThat(shell.run("melt", "@base.zip")).isEqualTo(2);
        assertThat(shell.err()).containsPattern("Did you mean: .*dl4j-lora merge\\?");
    }

    @Test
    void aCommandThatIsLikeNoneListsAll() {
        assertThat(shell.run("nix")).isEqualTo(2);
        assertThat(shell.err()).contains("'nix'", "Commands: inspect, quantize, plan, apply, merge");
    }

    @Test
    void aNameThatJavaCannotWriteIsSaidWithTheRemedy() {
        InvalidPathException failure = new InvalidPathException("gr\ufffd\ufffd.zip",
                "Malformed input or input contains unmappable characters");
        assertThat(FailureMessage.message(failure, true)).startsWith("'gr??.zip' is not a file name here").contains("LC_ALL",
                "C.UTF-8", System.getProperty("sun.jnu.encoding"));

        assertThat(shell.run("inspect", "a\0b")).isEqualTo(2);
        assertThat(shell.err()).contains("'a?b' is not a file name: Nul character").doesNotContain("LC_ALL", "cannot convert");
    }

    @Test
    void aStackTraceIsForWhoAsksForIt() {
        assertThat(shell.run("inspect", "@none.zip", "--stacktrace")).isEqualTo(1);
        assertThat(shell.err()).contains("none.zip does not exist", "\tat io.github.dl4jlora.cli.SavedNetwork");
    }

    @Test
    void failuresWithoutWordsOfTheirOwnGetSome() {
        assertThat(FailureMessage.message(new NoSuchFileException("a.zip"), true))
                .isEqualTo("a.zip does not exist. Check the name");
        assertThat(FailureMessage.message(new AccessDeniedException("a.zip"), true)).contains("a.zip cannot be read or written");
        assertThat(FailureMessage.message(new FrozenWeightsMissingException("fc1", "abc"), true)).contains("fc1", "--base FILE")
                .doesNotContain("..", "LoRA.attach");
        assertThat(FailureMessage.message(new FrozenWeightsMissingException("fc1", "abc"), false)).doesNotContain("--base");
        assertThat(FailureMessage.message(new IllegalStateException(), true)).isEqualTo("internal error, IllegalStateException. "
                + "Run the command again with --stacktrace, and report the output");
    }
}
