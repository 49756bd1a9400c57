package io.github.dl4jlora.examples.project;

import io.github.dl4jlora.console.Origin;
import io.github.dl4jlora.pages.ShellCommand;
import org.bytedeco.javacpp.Loader;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import picocli.CommandLine;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;

/** What a new project has. That Maven runs it is tried by .ci/run, since the library has to be installed for that. */
class NewProjectTest {

    private static final Path CLONE = Path.of("..");
    private static final String EXAMPLES = "io/github/dl4jlora/examples";

    private final StringWriter out = new StringWriter();
    private final StringWriter err = new StringWriter();

    @TempDir
    private Path folder;

    static List<String> programs() throws IOException {
        return TaskProgram.names(CLONE.resolve(TaskProgram.FOLDER));
    }

    private static List<String> data(String program) {
        return switch (program) {
            case "AdaptAKerasModelsConvolutions" -> List.of("digits.csv.gz", "tasks/digits.h5");
            case "AdaptAnLstmWithMasks" -> List.of("alice.txt.gz", "shakespeare.txt.gz");
            case "GiveATransformerHeads" -> List.of("alice.txt.gz");
            default -> List.of("digits.csv.gz");
        };
    }

    private int run(String... args) {
        return NewProject.commandLine().setOut(new PrintWriter(out, true)).setErr(new PrintWriter(err, true)).execute(args);
    }

    private int inClone(String... args) {
        return run(Stream.concat(Stream.of(args), Stream.of("--clone", CLONE.toString())).toArray(String[]::new));
    }

    @ParameterizedTest
    @MethodSource("programs")
    void aProjectHasItsProgramItsDataAndItsBuild(String program) throws IOException {
        Path project = folder.resolve("new/my adapter");

        assertThat(inClone(project.toString(), program)).as("%s", err).isZero();

        Path source = CLONE.resolve(TaskProgram.FOLDER).resolve(program + ".java");
        assertThat(project.resolve("src/main/java").resolve(TaskProgram.PACKAGE).resolve(program + ".java"))
                .hasContent(Files.readString(source).replace("Path.of(\"target\", \"tasks\"", "Path.of(\"results\""))
                .content().doesNotContain("\"target\"");
        assertThat(data(program)).allSatisfy(file -> assertThat(project.resolve("src/main/resources").resolve(EXAMPLES)
                .resolve(file)).hasSameBinaryContentAs(CLONE.resolve(TaskProgram.RESOURCES).resolve(EXAMPLES).resolve(file)));
        try (Stream<Path> files = Files.walk(project.resolve("src/main/resources/io"))) {
            assertThat(files.filter(Files::isRegularFile)).hasSize(data(program).size());
        }
        assertThat(project.resolve("pom.xml")).content().contains("<artifactId>my-adapter</artifactId>",
                "<dl4j-lora.version>" + Origin.facts().get("version") + "<",
                "<program>io.github.dl4jlora.examples.tasks." + program + "</program>")
                .doesNotContain("PROJECT", "VERSION", "PROGRAM");
        assertThat(project.resolve("src/main/resources/logback.xml")).isNotEmptyFile();
        assertThat(project.resolve(".mvn/maven.config")).content()
                .startsWith("-Djavacpp.platform=" + Loader.getPlatform() + "\n");
        assertThat(project.resolve(".mvn/jvm.config")).isNotEmptyFile();
        assertThat(out.toString().lines()).contains("    cd \"" + project + "\"");
        try (Stream<Path> files = Files.list(folder.resolve("new"))) {
            assertThat(files).as("nothing unfinished is left").containsExactly(project);
        }
    }

    /** Profiles are those of the POM, modules those of this project. */
    @Test
    void whatAProgramImportsIsInItsBuildAndIsInstalled() throws IOException {
        assertThat(settings("AdaptASavedNetwork", "dl4j-lora-layer")).hasSize(1);
        assertThat(settings("GiveATransformerHeads", "dl4j-lora-layer,examples/transformers")).endsWith("-Ptransformers");
        assertThat(settings("ReportOnATraining", "dl4j-lora-layer,examples/report")).endsWith("-Preport");
        assertThat(settings("ServeWithOnnxRuntime", "dl4j-lora-layer,examples/onnx")).endsWith("-Ponnx");
        assertThat(settings("AdaptAKerasModelsConvolutions", "dl4j-lora-layer")).endsWith("-Pkeras");
        assertThat(folder.resolve("ReportOnATraining/pom.xml")).content().contains("<id>transformers</id>", "<id>report</id>",
                "<id>onnx</id>", "<id>keras</id>");
    }

    private List<String> settings(String program, String modules) throws IOException {
        out.getBuffer().setLength(0);
        Path project = folder.resolve(program);

        assertThat(inClone(project.toString(), program)).as("%s", err).isZero();

        assertThat(out.toString().lines()).containsSubsequence("    mvn -q -pl " + modules + " -am install -DskipTests",
                "    mvn -q compile exec:exec").anyMatch(line -> line.matches("    cd \"?\\Q" + project + "\\E\"?"));
        assertThat(modules.split(",")).allSatisfy(module -> assertThat(CLONE.resolve(module).resolve("pom.xml")).exists());
        return Files.readAllLines(project.resolve(".mvn/maven.config"));
    }

    @Test
    void whatIsWrongIsSaidAndNothingIsWritten() throws IOException {
        Path there = Files.createDirectory(folder.resolve("there"));
        Path file = Files.createFile(there.resolve("file"));
        Path none = folder.resolve("none");
        for (Path used : List.of(there, file)) {
            refused(used + " exists already, and is no empty folder. Name a new one", used.toString(), "--clone",
                    CLONE.toString());
        }
        refused(file + " is not a folder in which others can be made", file.resolve("a/b").toString(), "--clone",
                CLONE.toString());
        refused("begins with ~, which a shell does not replace within quotes", "~/none", "--clone", CLONE.toString());
        refused("AdaptMe is no program to copy. Name one of [AdaptABaseInEightBits, ", none.toString(), "AdaptMe", "--clone",
                CLONE.toString());
        refused("Run this in the root of dl4j-lora's clone, or name that by --clone", none.toString(), "--clone",
                there.toString());
        refused("Missing required parameter: '<folder>'");
        assertThat(none).doesNotExist();
    }

    private void refused(String message, String... args) {
        err.getBuffer().setLength(0);

        assertThat(run(args)).isEqualTo(CommandLine.ExitCode.USAGE);
        assertThat(err.toString()).contains(message, "See mvn -q -pl examples -am compile exec:exec@project -Dargs=\"--help\"");
    }

    /** Java has it in the place of what the locale cannot write. */
    @Test
    @DisabledOnOs(OS.WINDOWS)
    void aNameWithAQuestionMarkIsRefused() {
        refused("has a question mark", folder.resolve("n?ne").toString(), "--clone", CLONE.toString());
    }

    @Test
    void anEmptyFolderIsFilled() throws IOException {
        Path empty = Files.createDirectory(folder.resolve("empty"));

        assertThat(inClone(empty.toString())).as("%s", err).isZero();
        assertThat(empty.resolve("pom.xml")).isNotEmptyFile();
    }

    @Test
    void everyCommandOnThePagesIsAccepted() throws IOException {
        assertThat(ShellCommand.argumentsOf("project")).isNotEmpty()
                .allSatisfy(words -> NewProject.commandLine().parseArgs(words.toArray(String[]::new)));
    }
}
