package io.github.dl4jlora.internal.file;

import io.github.dl4jlora.ChildJvm;
import io.github.dl4jlora.internal.processor.FolderExchange;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assumptions.assumeThat;

/** Processes that save into one folder, and are killed: at rest and meanwhile its two files are those of one save. */
@Tag("heavy")
class KilledSaveTest {

    private static final int KILLS = 15;

    @TempDir
    private Path temporary;
    private Path home;
    private Path folder;

    @BeforeEach
    void anAdapterAmongOtherFiles() throws IOException {
        home = Files.createDirectory(temporary.resolve("home")).toRealPath();
        folder = home.resolve("adapter");
        AtomicFile.writeFolder(folder, Pairs.of(0));
        Files.writeString(folder.resolve("README.md"), "of the user");
        Files.createDirectory(folder.resolve("sub"));
        Files.writeString(folder.resolve("sub/notes"), "of the user");
    }

    /** Without JNA files are replaced one by one, as on Windows. */
    private Process start(boolean hasJna, int from, int saves) throws IOException {
        List<String> classpath = new ArrayList<>(ChildJvm.classpath());
        classpath.removeIf(entry -> !hasJna && Path.of(entry).getFileName().toString().startsWith("jna-"));
        return ChildJvm.start(classpath, log(from), Saver.class.getName(), folder.toString(), String.valueOf(from),
                String.valueOf(saves));
    }

    private Path log(int from) {
        return temporary.resolve("log" + from);
    }

    private void assertUsersFiles() {
        assertThat(folder.resolve("README.md")).hasContent("of the user");
        assertThat(folder.resolve("sub/notes")).hasContent("of the user");
    }

    @ParameterizedTest(name = "with JNA: {0}")
    @ValueSource(booleans = {true, false})
    void whoeverIsKilledLeavesTheFilesOfOneSave(boolean hasJna) throws Exception {
        boolean isWhole = hasJna && canExchange();
        Random random = new Random(7);
        for (int i = 1; i <= KILLS; i++) {
            Process saver = start(hasJna, 1000 * i, Integer.MAX_VALUE);
            try {
                while (!Files.readString(log(1000 * i)).contains(Saver.SAVING)) {
                    assertThat(saver.isAlive()).as(Files.readString(log(1000 * i))).isTrue();
                    Thread.sleep(2);
                }
                Thread.sleep(random.nextInt(30));
            } finally {
                saver.destroyForcibly();
            }
            assertThat(saver.waitFor(10, TimeUnit.MINUTES)).isTrue();

            List<String> pair = Pairs.in(folder);
            assertThat(pair.get(0)).as("kill %d", i).isNotEqualTo("-");
            assertThat(pair.get(1)).as("kill %d", i).isIn(isWhole ? pair.get(0) : "-", pair.get(0));
            assertThat(Pairs.read(folder)).as("kill %d", i).containsExactly(pair.get(0), pair.get(0));
            assertUsersFiles();
        }
        makeLeftOversOld();
        AtomicFile.writeFolder(folder, Pairs.of(1));

        assertThat(Pairs.in(folder)).containsExactly("1", "1");
        assertUsersFiles();
        assertThat(Pairs.names(folder)).containsExactly("README.md", Pairs.SECOND, Pairs.FIRST, "sub");
        assertThat(Pairs.names(home)).containsExactly("adapter");
    }

    /** A folder that a save was killed in before it could lock it is nobody's after a minute only. */
    private void makeLeftOversOld() throws IOException {
        for (String name : Pairs.names(home)) {
            if (name.startsWith(".")) {
                Files.setLastModifiedTime(home.resolve(name), FileTime.from(Instant.now().minus(Duration.ofHours(1))));
            }
        }
    }

    private boolean canExchange() throws IOException {
        Path one = Files.createDirectory(temporary.resolve("one"));
        return FolderExchange.exchange(one, Files.createDirectory(temporary.resolve("other")));
    }

    /** Also where one of them has JNA and the other has not. */
    @ParameterizedTest(name = "the second with JNA: {0}")
    @ValueSource(booleans = {true, false})
    void twoProcessesAtOnceLeaveTheFilesOfOneSave(boolean hasJna) throws Exception {
        assumeThat(canExchange()).isTrue();
        Process one = start(true, 1_000_000, 300);
        Process other = start(hasJna, 2_000_000, 300);
        try {
            int reads = 0;
            while (one.isAlive() || other.isAlive()) {
                List<String> pair = Pairs.read(folder);
                assertThat(pair.get(1)).isEqualTo(pair.get(0));
                reads++;
            }
            assertThat(reads).isPositive();
            assertThat(one.waitFor()).as(Files.readString(log(1_000_000))).isZero();
            assertThat(other.waitFor()).as(Files.readString(log(2_000_000))).isZero();
        } finally {
            one.destroyForcibly();
            other.destroyForcibly();
        }

        assertThat(Pairs.in(folder)).isIn(List.of("1000299", "1000299"), List.of("2000299", "2000299"));
        assertUsersFiles();
        assertThat(Pairs.names(folder)).containsExactly("README.md", Pairs.SECOND, Pairs.FIRST, "sub");
        assertThat(Pairs.names(home)).containsExactly("adapter");
    }

    /** Saves so many times, or until it is killed. */
    static final class Saver {

        static final String SAVING = "saving now";

        private Saver() {
        }

        public static void main(String[] arguments) throws IOException {
            int from = Integer.parseInt(arguments[1]);
            for (int i = 0; i < Integer.parseInt(arguments[2]); i++) {
                AtomicFile.writeFolder(Path.of(arguments[0]), Pairs.of(from + i));
                if (i == 0) {
                    System.out.println(SAVING);
                }
            }
        }
    }
}
