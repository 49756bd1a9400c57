package io.github.dl4jlora.machine;

import io.github.dl4jlora.ChildJvm;
import io.github.dl4jlora.Settling;
import io.github.dl4jlora.internal.processor.NativeLibraries;
import io.github.dl4jlora.internal.processor.ThreadCounts;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;

/** What {@link Settling} tells of a JVM in which threads were settled at one time or another. */
@Tag("heavy")
public class ThreadsTest {

    private static final boolean ONE_DNN = NativeLibraries.has("org.bytedeco.dnnl.global.dnnl");
    private static final int CORES = ThreadCounts.cores();
    private static final String WARNING = "spin against each other";
    private static final String PHYSICAL = "-Dorg.bytedeco.javacpp.maxphysicalbytes=";
    /** Several threads each, however few cores there are. */
    private static final Map<String, String> TWO = Map.of("OMP_NUM_THREADS", "2");

    @TempDir
    private Path folder;

    private List<String> run(Map<String, String> environment, List<String> options, String... words)
            throws IOException, InterruptedException {
        return run(ChildJvm.classpath(), environment, options, words);
    }

    private List<String> run(List<String> classpath, Map<String, String> environment, List<String> options, String... words)
            throws IOException, InterruptedException {
        List<String> all = new ArrayList<>(options);
        all.add(ChildJvm.SHORT);
        return ChildJvm.runIn(environment, classpath, all, folder.resolve("log"), Settling.class, words);
    }

    private static String counts(int openMp, int master, int blas) {
        return new ThreadCounts(openMp, master, blas).toString();
    }

    @Test
    @EnabledOnOs({OS.LINUX, OS.MAC})
    @DisabledOnOs(value = OS.MAC, architectures = "aarch64", disabledReason = "ND4J's JNA has no code for Apple's processors")
    void beforeAnythingIsLoadedItSetsWhatNativeCodeReads() throws Exception {
        List<String> said = run(Map.of(), List.of(), "settle", "tell", "settle", "apply");

        assertThat(said).contains("Threads settled: BLAS on " + CORES + ", ND4J's own loops on 1, no thread spins.",
                "Set in the environment of ND4J's native code: OMP_WAIT_POLICY=passive, OMP_NUM_THREADS=1, OPENBLAS_NUM_THREADS="
                        + CORES + (ONE_DNN ? ", OPENBLAS_THREAD_TIMEOUT=4." : "."),
                "here: " + counts(1, 1, CORES) + ", elsewhere: " + counts(1, 1, CORES) + ", physical: 0, environment: null",
                "again: true");
        assertThat(said).noneMatch(line -> line.contains(WARNING));
    }

    @Test
    void withoutJnaItSettlesInTheProcess() throws Exception {
        List<String> without = ChildJvm.classpath().stream().filter(entry -> !entry.contains("jna")).toList();

        List<String> said = run(without, Map.of(), List.of(), "settle", "tell");

        assertThat(said).anyMatch(line -> line.startsWith("Set in the process, because JNA, which ND4J brings through OSHI, is"))
                .anyMatch(line -> line.startsWith("here: " + counts(1, 1, CORES)) && line.contains("physical: 0"));
    }

    @Test
    @EnabledOnOs(OS.LINUX)
    void laterItSettlesInTheProcessAndCanBeUndone() throws Exception {
        List<String> said = run(Map.of(), List.of(), "load", "tell", "team", "settle", "tell", "team", "settle", "undo",
                "undo", "tell", "gone", "settle");

        List<String> told = said.stream().filter(line -> line.startsWith("here: ")).toList();
        assertThat(told.get(1)).startsWith("here: " + counts(1, 1, CORES) + ", elsewhere: ");
        assertThat(told.get(2)).isEqualTo(told.get(0));
        assertThat(said.stream().filter(line -> line.startsWith("again: "))).containsExactly("again: false", "again: true",
                "again: false");
        assertThat(said).anyMatch(line -> line.startsWith("Too late for maxphysicalbytes=0"))
                .anyMatch(line -> line.matches("WARN .*Too late for maxphysicalbytes=0.*"))
                .anyMatch(line -> line.startsWith("Set in the process, because ND4J's native code was loaded already"));
        int master = Integer.parseInt(told.get(0).replaceAll(".*?master=(\\d+).*", "$1"));
        assertThat(said.stream().filter(line -> line.startsWith("team: "))).as("it rests, and is dismissed")
                .containsExactly("team: 0", "team: " + (master > 1 ? master : 0), "team: 0");
    }

    @Test
    @EnabledOnOs({OS.LINUX, OS.MAC})
    void forgottenArraysDoNotPileUp() throws Exception {
        assertThat(run(Map.of(), List.of("-Xmx128m"), "settle", "arrays")).filteredOn(line -> line.startsWith("peak: "))
                .singleElement()
                .satisfies(line -> assertThat(Long.parseLong(line.substring("peak: ".length()))).isLessThan(2000));
    }

    @Test
    void whatEnvironmentAndPropertiesSayIsLeft() throws Exception {
        List<String> said = run(Map.of("OMP_NUM_THREADS", "2", "OMP_WAIT_POLICY", "active"), List.of(PHYSICAL + "6g"), "settle",
                "tell");

        assertThat(said).contains("Threads settled: BLAS on 2, ND4J's own loops on 2, waiting as OMP_WAIT_POLICY says.",
                "Left as the environment says: OMP_WAIT_POLICY=active, OMP_NUM_THREADS=2.",
                "here: " + counts(2, 2, 2) + ", elsewhere: " + counts(2, 2, 2) + ", physical: " + (6L << 30)
                        + ", environment: 2");
    }

    @Test
    void theEnvironmentsNumberForBlasHoldsAndWithoutOneDnnItMaySpin() throws Exception {
        assertThat(run(Map.of("OPENBLAS_NUM_THREADS", "1"), List.of("-Ddl4jlora.onednn=false"), "settle", "tell"))
                .anyMatch(line -> line.startsWith("here: " + counts(1, 1, 1)))
                .contains("Left as the environment says: OPENBLAS_NUM_THREADS=1.")
                .anyMatch(line -> line.startsWith("Set in the environment of ND4J's native code: "))
                .noneMatch(line -> line.contains("TIMEOUT"));
    }

    @Test
    void theEnvironmentsTimeToSpinHolds() throws Exception {
        assertThat(run(Map.of("OPENBLAS_THREAD_TIMEOUT", "26"), List.of(), "settle", "tell"))
                .contains("Left as the environment says: OPENBLAS_THREAD_TIMEOUT=26.");
    }

    @Test
    void applyWarnsOnceWhereNothingIsSettled() throws Exception {
        assertThat(run(TWO, List.of(), "apply", "apply")).filteredOn(line -> line.contains(WARNING)).singleElement().asString()
                .contains("(2 threads)", "Threads.settle()", "OMP_WAIT_POLICY=passive");
        assertThat(run(TWO, List.of(), "load", "settle", "apply", "undo", "apply", "apply"))
                .filteredOn(line -> line.contains(WARNING)).hasSize(1);
        // What native code has read stays.
        assertThat(run(TWO, List.of(), "settle", "undo", "apply")).noneMatch(line -> line.contains(WARNING));
        assertThat(run(Map.of("OMP_NUM_THREADS", "2", "OMP_WAIT_POLICY", "passive"), List.of(), "apply"))
                .noneMatch(line -> line.contains(WARNING));
    }
}
