package io.github.dl4jlora.internal.file;

import io.github.dl4jlora.ChildJvm;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.internal.common.Temporary;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.io.File;
import java.io.IOException;
import java.lang.ref.WeakReference;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

/** Whoever ends a program in the middle of a save finds what was there before, and nothing else. */
@DisabledOnOs(value = OS.WINDOWS, disabledReason = "Windows has no SIGINT and SIGTERM to send")
@Tag("heavy")
class EndedProgramTest {

    private static final Path STATUS = Path.of("/proc/self/status");
    private static final int SIGINT_BIT = 1 << 1;

    @TempDir
    private Path folder;
    private Path target;
    private Path temporary;

    @BeforeEach
    void folders() throws IOException {
        target = Files.createDirectory(folder.resolve("target"));
        temporary = Files.createDirectory(folder.resolve("tmp"));
    }

    @ParameterizedTest(name = "{0} after {2} ms")
    @CsvSource({"INT, 130, 0", "INT, 130, 3", "INT, 130, 7", "INT, 130, 12", "TERM, 143, 1", "TERM, 143, 5", "TERM, 143, 9"})
    void itsFilesAreWholeAndNothingElseIsLeft(String signal, int exitCode, int millis) throws Exception {
        assertThat(endedBy(signal, millis, "plain")).isEqualTo(exitCode);

        assertThat(target.resolve("file")).hasSize((long) EndedWriter.PIECES << 12);
        for (Path path : left("folder-\\d+", "file", "replaced")) {
            assertThat(path.resolve("a")).hasSize((long) EndedWriter.PIECES << 12);
            assertThat(path.resolve("b")).hasSize((long) EndedWriter.PIECES << 12);
        }
        Path replaced = target.resolve("replaced");
        assertThat(Pairs.in(replaced)).containsExactly(Pairs.in(replaced).get(0), Pairs.in(replaced).get(0));
        assertThat(Pairs.names(replaced)).containsExactly("README.md", Pairs.SECOND, Pairs.FIRST);
    }

    @Test
    void whatIsBegunWhileItEndsIsNotLeftEither() throws Exception {
        runToItsEnd("late");
        assertThat(left("")).isEmpty();
    }

    /** Where folders cannot change places, the lock is held while files are written: the end waits for that. */
    @Test
    void saveInPlaceIsFinishedAndItsLockIsNotLeft() throws Exception {
        runToItsEnd("in-place");
        assertThat(left("held")).containsExactly(target.resolve("held"));
        assertThat(Pairs.in(target.resolve("held"))).containsExactly("2", "2");
        assertThat(Pairs.names(target.resolve("held"))).containsExactly(Pairs.SECOND, Pairs.FIRST);
    }

    /** The JVM deletes at its end whatever was registered for that, whoever has it by then. */
    @Test
    void lockOfAnotherProgramIsNotDeleted() throws Exception {
        Path held = target.toRealPath().resolve("held");
        Process process = start("hooked");
        try {
            while (!Files.readString(log()).contains(EndedWriter.READY)) {
                assertThat(process.isAlive()).as(Files.readString(log())).isTrue();
                Thread.sleep(5);
            }
            try (FolderLock lock = FolderLock.ofLeftOver(held)) {
                assertThat(lock).isNotNull();
                Files.createFile(target.resolve("go-on"));
                assertThat(process.waitFor(10, TimeUnit.MINUTES)).isTrue();
                assertThat(held.resolve(FolderLock.NAME)).exists();
            }
        } finally {
            process.destroyForcibly();
        }
        assertThat(Pairs.in(held)).containsExactly("2", "2");
    }

    /** Another program may hold the folder for as long as it likes. */
    @Test
    void itsEndWaitsForNoOtherProgram() throws Exception {
        Path held = target.toRealPath().resolve("held");
        AtomicFile.writeFolder(held, Pairs.of(1));
        Process process;
        try (FolderLock lock = FolderLock.ofLeftOver(held)) {
            assertThat(lock).isNotNull();
            process = start("waiting");
            while (Pairs.names(target).size() == 1) {
                assertThat(process.isAlive()).as(Files.readString(log())).isTrue();
                Thread.sleep(5);
            }
            // From there it is not far to the lock, for which it waits.
            Thread.sleep(500);
            process.destroy();
            assertThat(process.waitFor(50, TimeUnit.SECONDS)).as("before the minute is over").isTrue();
        }
        assertThat(process.exitValue()).isEqualTo(128 + 15);
        assertThat(Pairs.in(held)).containsExactly("1", "1");
        assertThat(left("held")).containsExactly(target.resolve("held"));
    }

    @ParameterizedTest(name = "{0} after {2} ms")
    @CsvSource({"INT, 130, 0", "INT, 130, 110", "INT, 130, 270", "INT, 130, 430", "TERM, 143, 60", "TERM, 143, 190",
            "TERM, 143, 350"})
    void itsNetworksAndAdaptersAreWholeAndNothingElseIsLeft(String signal, int exitCode, int millis) throws Exception {
        assertThat(endedBy(signal, millis, "networks")).isEqualTo(exitCode);

        assertThat(LoRA.load(target.resolve("file"))).isNotNull();
        assertThat(LoRA.openBase(target.resolve("base"))).isNotNull();
        for (Path path : left("folder-\\d+", "file", "base")) {
            assertThat(LoRAAdapter.load(path).layers()).containsExactly("fc");
        }
    }

    /** A hook for each of many saves would keep what they refer to for as long as the JVM lives. */
    @Test
    void nothingStaysRegisteredWithTheJvm() throws Exception {
        Temporary temporary = Temporary.fileBeside(folder.resolve("file"));
        WeakReference<Temporary> registered = new WeakReference<>(temporary);
        temporary = null;
        System.gc();
        assertThat(registered.get()).as("held by the JVM until it is closed").isNotNull();

        registered.get().close();

        for (int i = 0; i < 100 && registered.get() != null; i++) {
            System.gc();
            Thread.sleep(10);
        }
        assertThat(registered.get()).isNull();
        assertThat(folder).isDirectoryNotContaining(path -> path.toString().endsWith(".tmp"));
    }

    /** The exit code. */
    private int endedBy(String signal, int millis, String writer) throws Exception {
        assumeFalse(signal.equals("INT") && ignoresInterrupts(), "whoever started these tests has them ignore SIGINT");
        Process process = start(writer);
        try {
            while (!Files.readString(log()).contains(EndedWriter.READY)) {
                assertThat(process.isAlive()).as(Files.readString(log())).isTrue();
                Thread.sleep(5);
            }
            Thread.sleep(millis);
            assertThat(new ProcessBuilder("sh", "-c", "kill -" + signal + " " + process.pid()).start().waitFor()).isZero();
            assertThat(process.waitFor(10, TimeUnit.MINUTES)).isTrue();
            return process.exitValue();
        } finally {
            process.destroyForcibly();
        }
    }

    private void runToItsEnd(String writer) throws Exception {
        Process process = start(writer);
        try {
            assertThat(process.waitFor(10, TimeUnit.MINUTES)).isTrue();
            assertThat(process.exitValue()).as(Files.readString(log())).isZero();
        } finally {
            process.destroyForcibly();
        }
    }

    private Process start(String writer) throws IOException {
        List<String> command = List.of(Path.of(System.getProperty("java.home"), "bin", "java").toString(), "-Xmx512m",
                "-XX:TieredStopAtLevel=1", "-Djava.io.tmpdir=" + temporary, "-cp",
                String.join(File.pathSeparator, ChildJvm.classpath()), EndedWriter.class.getName(), writer, target.toString());
        return new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(log().toFile()).start();
    }

    private Path log() {
        return folder.resolve("log");
    }

    /** Programs that a shell runs in the background inherit that. */
    private static boolean ignoresInterrupts() throws IOException {
        if (!Files.isReadable(STATUS)) {
            return false;
        }
        try (Stream<String> lines = Files.lines(STATUS)) {
            return lines.filter(line -> line.startsWith("SigIgn:"))
                    .anyMatch(line -> (Long.parseUnsignedLong(line.substring(7).strip(), 16) & SIGINT_BIT) != 0);
        }
    }

    /** What is in the target's folder bears one of these names, all of which are there; the folders among it. */
    private List<Path> left(String folders, String... files) throws IOException {
        // JNA keeps an empty folder of its own there, as every program that uses it does.
        try (Stream<Path> others = Files.walk(temporary)) {
            assertThat(others.filter(Files::isRegularFile)).as("the system's temporary folder").isEmpty();
        }
        try (Stream<Path> found = Files.list(target)) {
            List<Path> paths = found.toList();
            assertThat(paths.stream().map(path -> path.getFileName().toString()).filter(name -> !name.matches(folders)))
                    .containsExactlyInAnyOrder(files);
            return paths.stream().filter(path -> path.getFileName().toString().matches(folders)).toList();
        }
    }
}
