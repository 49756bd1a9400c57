package io.github.dl4jlora.examples.tasks;

import io.github.dl4jlora.machine.Threads;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.IOException;
import java.io.PrintStream;
import java.lang.reflect.Method;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import javax.tools.ToolProvider;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** The programs to copy run, do what they say, and can be copied as they stand. */
class TasksTest {

    private static final Path SOURCES = Path.of("src/main/java/io/github/dl4jlora/examples/tasks");
    private static final Path WRITTEN = Path.of("target/tasks");
    private static final String ADAPTER = "adapter/adapter_model.safetensors";
    private static final String PACKAGE = "io/github/dl4jlora/examples/tasks";
    private static final int MOST_LINES = 120;
    private static final Pattern LEARNED = Pattern.compile("([\\d.,]+) % right before.*?([\\d.,]+) % after");
    private static final Pattern MERGED = Pattern.compile("epochs ([\\d.,]+) %; merged, in .*, ([\\d.,]+) %");
    private static final Pattern LISTED = Pattern.compile(
            "\\| \\[(\\w+)]\\(examples/src/main/java/[\\w/]+/tasks/(\\w+)\\.java\\) \\|");

    /**
     * What a run has to show.
     *
     * @param right percent that are right after the training, at least
     * @param more  percent points more than before, at least
     * @param files that are written
     */
    private record Expected(String program, double right, double more, List<String> files) {

        Expected(String program, double right, double more, String... files) {
            this(program, right, more, List.of(files));
        }

        @Override
        public String toString() {
            return program;
        }
    }

    static List<Expected> expected() {
        return List.of(new Expected("AdaptABaseInEightBits", 90, 50, "base.zip", "base.int8"),
                new Expected("AdaptAGraphWithTwoInputsAndOutputs", 80, 20),
                new Expected("AdaptAKerasModelsConvolutions", 75, 50, "digits.h5", ADAPTER),
                new Expected("AdaptASavedNetwork", 90, 50, "base.zip", ADAPTER, "merged.zip"),
                new Expected("AdaptAnLstmWithMasks", 68, 25),
                new Expected("DeclareALoRADenseLayer", 90, 50),
                new Expected("ExchangeFilesWithPeft", 90, 50, ADAPTER, "adapter/adapter_config.json"),
                new Expected("GiveANewHead", 90, 30, ADAPTER),
                new Expected("GiveATransformerHeads", 80, 20, "capitals/adapter_model.safetensors",
                        "speeches/adapter_model.safetensors"),
                new Expected("ReportOnATraining", 90, 50, "base.zip", ADAPTER, "report.html"),
                new Expected("ServeManyAdapters", 90, 30, "turned 270/adapter_model.safetensors"),
                new Expected("ServeWithOnnxRuntime", 90, 50, "merged.onnx", "small.onnx", "base.onnx", "turned.onnx_adapter"),
                new Expected("SwapTwoAdapters", 90, 30, "MIRRORED/adapter_model.safetensors"));
    }

    private static List<String> programs() {
        return expected().stream().map(Expected::program).toList();
    }

    @AfterAll
    static void letThreadsBeAsTheyWere() {
        Threads.settle().undo();
    }

    @Tag("heavy")
    @ParameterizedTest
    @MethodSource("expected")
    void itLearnsItsTaskAndLeavesItsFiles(Expected of) throws Exception {
        Path folder = WRITTEN.resolve(of.program);
        delete(folder);

        String printed = run(of.program);

        List<MatchResult> learned = LEARNED.matcher(printed).results().toList();
        assertThat(learned).as(printed).isNotEmpty().allSatisfy(line -> {
            assertThat(number(line.group(2))).isGreaterThanOrEqualTo(of.right);
            assertThat(number(line.group(2)) - number(line.group(1))).isGreaterThanOrEqualTo(of.more);
        });
        assertThat(MERGED.matcher(printed).results()).as("a merged network is as right as it was").hasSize(
                of.files.contains("merged.zip") ? 1 : 0).allSatisfy(line -> assertThat(line.group(1)).isEqualTo(line.group(2)));
        assertThat(of.files).allSatisfy(file -> assertThat(folder.resolve(file)).isNotEmptyFile());
        assertThat(Files.exists(folder)).isEqualTo(!of.files.isEmpty());
        assertThat(of.files).filteredOn(file -> file.endsWith(".zip")).allSatisfy(file -> assertThat(ModelSerializer
                .restoreMultiLayerNetwork(folder.resolve(file).toFile()).getLayers()).as("layers of stock networks")
                .allSatisfy(layer -> assertThat(layer.getClass().getName()).startsWith("org.deeplearning4j.")));
    }

    private static void delete(Path folder) throws IOException {
        if (Files.exists(folder)) {
            try (Stream<Path> files = Files.walk(folder)) {
                for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
                    Files.delete(file);
                }
            }
        }
    }

    private static double number(String printed) {
        return Double.parseDouble(printed.replace(',', '.'));
    }

    private static String run(String program) throws Exception {
        PrintStream usual = System.out;
        ByteArrayOutputStream printed = new ByteArrayOutputStream();
        System.setOut(new PrintStream(printed, true, StandardCharsets.UTF_8));
        try {
            Class.forName(TasksTest.class.getPackageName() + "." + program).getMethod("main", String[].class)
                    .invoke(null, (Object) new String[0]);
        } finally {
            System.setOut(usual);
        }
        usual.print(printed.toString(StandardCharsets.UTF_8));
        return printed.toString(StandardCharsets.UTF_8);
    }

    @Test
    void everyProgramIsTriedHereAndNamedInReadmeAndPackage() throws IOException {
        List<String> there;
        try (Stream<Path> files = Files.list(SOURCES)) {
            there = files.map(file -> file.getFileName().toString().replace(".java", ""))
                    .filter(name -> !name.equals("package-info")).toList();
        }
        String readme = Files.readString(Path.of("../README.md"));

        assertThat(programs()).containsExactlyInAnyOrderElementsOf(there);
        assertThat(LISTED.matcher(readme).results()).allSatisfy(row -> assertThat(row.group(1)).isEqualTo(row.group(2)))
                .extracting(row -> row.group(1)).containsExactlyInAnyOrderElementsOf(there);
        assertThat(readme).contains("\n    mvn -q -pl examples -am compile exec:exec@task -Dtask=AdaptASavedNetwork\n");
        assertThat(Files.readString(SOURCES.resolve("package-info.java"))).contains(there);
    }

    @Test
    void noProgramIsLongOrKnowsWhatUsersCannotKnow() {
        assertThat(programs()).allSatisfy(program -> {
            List<String> lines = Files.readAllLines(SOURCES.resolve(program + ".java"));
            assertThat(lines).hasSizeLessThanOrEqualTo(MOST_LINES).noneMatch(line -> line.contains(".internal."));
        });
    }

    @ParameterizedTest
    @MethodSource("programs")
    void copiedWithoutItsDataItNamesTheFileToCopy(String program, @TempDir Path folder) throws Exception {
        Path compiled = Path.of("target/classes").resolve(PACKAGE);
        Files.createDirectories(folder.resolve(PACKAGE));
        try (Stream<Path> files = Files.list(compiled)) {
            for (Path file : files.filter(of -> of.getFileName().toString().matches(program + "(\\$.*)?\\.class")).toList()) {
                Files.copy(file, folder.resolve(PACKAGE).resolve(file.getFileName()));
            }
        }
        try (URLClassLoader alone = new URLClassLoader(new URL[] {folder.toUri().toURL()}, new WithoutThisModule())) {
            Method main = alone.loadClass(PACKAGE.replace('/', '.') + "." + program).getMethod("main", String[].class);

            assertThatThrownBy(() -> main.invoke(null, (Object) new String[0])).cause()
                    .hasMessageMatching("Copy /io/github/dl4jlora/examples/\\S+ from dl4j-lora's examples/src/main/resources to "
                            + "yours");
        }
    }

    /** Finds what the tests find, but no classes and data of this module. */
    private static final class WithoutThisModule extends ClassLoader {

        WithoutThisModule() {
            super(TasksTest.class.getClassLoader());
        }

        @Override
        protected Class<?> loadClass(String name, boolean resolve) throws ClassNotFoundException {
            if (name.startsWith("io.github.dl4jlora.examples.")) {
                throw new ClassNotFoundException(name);
            }
            return super.loadClass(name, resolve);
        }

        @Override
        public URL getResource(String name) {
            return name.startsWith("io/github/dl4jlora/examples/") ? null : super.getResource(name);
        }
    }

    /** Of this module's classes none is on the class path. */
    @ParameterizedTest
    @MethodSource("programs")
    void itCompilesAloneWithoutAWarning(String program, @TempDir Path folder) {
        String classpath = Arrays.stream(System.getProperty("java.class.path").split(File.pathSeparator))
                .filter(entry -> !Path.of(entry).toAbsolutePath().startsWith(Path.of("target").toAbsolutePath()))
                .collect(Collectors.joining(File.pathSeparator));

        assertThat(ToolProvider.getSystemJavaCompiler().run(null, null, null, "-Xlint:all,-path,-processing,-classfile,-try",
                "-Werror", "-proc:none", "-classpath", classpath, "-d", folder.toString(),
                SOURCES.resolve(program + ".java").toString())).isZero();
    }
}
