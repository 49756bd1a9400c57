package io.github.dl4jlora.internal.file;

import io.github.dl4jlora.conf.SaveOption;
import io.github.dl4jlora.internal.processor.FolderExchange;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.PosixFilePermissions;
import java.nio.file.attribute.UserDefinedFileAttributeView;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

/** A folder's two files are those of one save, at every step; whatever else is in the folder stays. */
class FolderSaveTest {

    /** What a program that is killed after a step leaves, for each step. */
    private static final class Snapshots extends Way.Steps {

        private final Path from;
        private final Path to;
        private final Map<String, Path> taken = new LinkedHashMap<>();

        Snapshots(Way way, Path from, Path to) {
            super(way);
            this.from = from;
            this.to = to;
        }

        @Override
        public void done(String step) throws IOException {
            if (step.equals("linked") || step.equals("staged")) {
                Files.writeString(from.resolve("adapter/late"), "late");
                Files.writeString(from.resolve("adapter/sub/late"), "late");
            }
            Path copy = to.resolve(String.valueOf(taken.size()));
            try (Stream<Path> files = Files.walk(from)) {
                for (Path file : files.toList()) {
                    Files.copy(file, copy.resolve(from.relativize(file).toString()), StandardCopyOption.COPY_ATTRIBUTES,
                            LinkOption.NOFOLLOW_LINKS);
                }
            }
            taken.put(step, copy);
        }
    }

    @TempDir
    private Path temporary;
    private Path home;
    private Path folder;

    @BeforeEach
    void anAdapterAmongOtherFiles() throws IOException {
        home = Files.createDirectory(temporary.resolve("home")).toRealPath();
        folder = home.resolve("adapter");
        save(1, Way.SYSTEM);
        Files.writeString(folder.resolve("README.md"), "of the user");
        Files.createDirectory(folder.resolve("sub"));
        Files.writeString(folder.resolve("sub/notes"), "of the user");
    }

    private void save(int number, Way way, SaveOption... options) throws IOException {
        save(folder, number, way.steps(), options);
    }

    private static void save(Path folder, int number, FolderSteps steps, SaveOption... options) throws IOException {
        new FolderSave(folder, Pairs.of(number), options.length > 0, steps).run();
    }

    private static void assertUsersFiles(Path folder) {
        assertThat(folder.resolve("README.md")).hasContent("of the user");
        assertThat(folder.resolve("sub/notes")).hasContent("of the user");
    }

    /** Some file systems cannot, such as NFS. */
    private void assumeExchange() throws IOException {
        Path one = Files.createDirectory(temporary.resolve("one"));
        assumeTrue(FolderExchange.exchange(one, Files.createDirectory(temporary.resolve("other"))));
    }

    @ParameterizedTest
    @EnumSource
    void whoeverIsKilledAfterAStepLeavesOneSaveAndTheNextOneClearsUp(Way way) throws IOException {
        Snapshots snapshots = new Snapshots(way, home, Files.createDirectory(temporary.resolve("snapshots")));

        save(folder, 2, snapshots);

        assertThat(Pairs.in(folder)).containsExactly("2", "2");
        assertThat(Pairs.names(home)).containsExactly("adapter");
        assertThat(Pairs.names(folder)).containsExactly("README.md", Pairs.SECOND, Pairs.FIRST, "late", "sub");
        assertThat(snapshots.taken).hasSizeGreaterThan(3);
        for (Map.Entry<String, Path> killed : snapshots.taken.entrySet()) {
            Path left = killed.getValue().resolve("adapter");
            List<String> pair = Pairs.in(left);
            assertThat(pair.get(1)).as(killed.getKey()).isIn("-", pair.get(0));
            if (way == Way.SYSTEM && FolderExchange.isPossible(left)) {
                assertThat(pair).as(killed.getKey()).doesNotContain("-");
            }
            assertThat(Pairs.read(left)).as(killed.getKey()).containsExactly(pair.get(0), pair.get(0));
            assertUsersFiles(left);
            boolean isLate = Files.exists(killed.getValue().resolve("adapter/sub/late")) || !killed.getKey().equals("prepared");

            save(left, 3, way.steps());

            assertThat(Pairs.in(left)).as(killed.getKey()).containsExactly("3", "3");
            assertUsersFiles(left);
            assertThat(Pairs.names(left)).as(killed.getKey()).containsExactlyElementsOf(isLate
                    ? List.of("README.md", Pairs.SECOND, Pairs.FIRST, "late", "sub")
                    : List.of("README.md", Pairs.SECOND, Pairs.FIRST, "sub"));
            assertThat(Pairs.names(killed.getValue())).as(killed.getKey()).containsExactly("adapter");
        }
    }

    /** Both steps between which nobody may look are shown to be there. */
    @Test
    void stepsAreTheseAndNoOthers() throws IOException {
        assumeExchange();
        Path copies = Files.createDirectory(temporary.resolve("snapshots"));
        Snapshots whole = new Snapshots(Way.SYSTEM, home, Files.createDirectory(copies.resolve("whole")));
        Snapshots single = new Snapshots(Way.IN_PLACE, home, Files.createDirectory(copies.resolve("single")));

        save(folder, 2, whole);
        save(folder, 3, single);

        assertThat(whole.taken.keySet()).containsExactly("prepared", "linked", "exchanged", "cleared away");
        assertThat(Pairs.in(whole.taken.get("linked").resolve("adapter"))).containsExactly("1", "1");
        assertThat(Pairs.in(whole.taken.get("exchanged").resolve("adapter"))).containsExactly("2", "2");
        assertThat(single.taken.keySet()).containsExactly("staged", "aside", "first replaced", "named", "old ones deleted");
        assertThat(Pairs.in(single.taken.get("aside").resolve("adapter"))).containsExactly("2", "-");
        assertThat(Pairs.in(single.taken.get("first replaced").resolve("adapter"))).containsExactly("3", "-");
    }

    @Test
    void aNewFolderAppearsWithAllOfItsFiles() throws IOException {
        Path house = Files.createDirectories(temporary.resolve("house/adapter/sub")).getParent().getParent().toRealPath();
        Snapshots snapshots = new Snapshots(Way.SYSTEM, house, Files.createDirectory(temporary.resolve("snapshots")));

        save(house.resolve("new"), 2, snapshots);

        assertThat(snapshots.taken.keySet()).containsExactly("prepared", "in its place");
        assertThat(snapshots.taken.get("prepared").resolve("new")).doesNotExist();
        assertThat(Pairs.names(snapshots.taken.get("in its place").resolve("new"))).containsExactly(Pairs.SECOND, Pairs.FIRST);
    }

    @Test
    void aFileInTheFoldersPlaceIsNamed() throws IOException {
        Path file = Files.createFile(home.resolve("notes.txt"));

        assertThatThrownBy(() -> save(file.resolve("adapter"), 2, FolderSteps.SYSTEM)).isInstanceOf(IOException.class)
                .isNotInstanceOf(FileAlreadyExistsException.class)
                .hasMessageContainingAll("Cannot write " + file.resolve("adapter"), file + " is a file, not a folder",
                        "Nothing was written");
        assertThat(file).isEmptyFile();
    }

    @Test
    void missingFoldersAreNotLeftBehindByAFailure() throws IOException {
        FolderSteps failing = new Way.Steps(Way.SYSTEM) {
            @Override
            public void done(String step) throws IOException {
                throw new IOException("No space left on device");
            }
        };

        assertThatThrownBy(() -> save(home.resolve("no/where/adapter"), 2, failing)).hasMessageContaining("Nothing was written");
        assertThat(Pairs.names(home)).containsExactly("adapter");

        save(home.resolve("some/where/adapter"), 2, FolderSteps.SYSTEM);
        assertThat(Pairs.in(home.resolve("some/where/adapter"))).containsExactly("2", "2");
    }

    @ParameterizedTest
    @EnumSource
    void whatFailsLeavesTheOldFiles(Way way) throws IOException {
        for (String step : List.of("prepared", "linked", "staged", "aside")) {
            FolderSteps failing = new Way.Steps(way) {
                @Override
                public void done(String done) throws IOException {
                    if (done.equals(step)) {
                        throw new IOException("No space left on device");
                    }
                }
            };
            try {
                save(folder, 2, failing);
                // Not a step of this way.
                save(1, way);
            } catch (IOException e) {
                assertThat(e).hasMessageContainingAll(folder.toString(), "No space left", "unchanged");
            }
            assertThat(Pairs.in(folder)).as(step).containsExactly("1", "1");
            assertUsersFiles(folder);
            assertThat(Pairs.names(folder)).hasSize(4);
            assertThat(Pairs.names(home)).containsExactly("adapter");
        }
    }

    /** The user needs to know of what is neither the old save nor the new one. */
    @ParameterizedTest(name = "after \"{0}\"")
    @CsvSource({"first replaced, adapter_model.safetensors is new", "aside, could not get back their names"})
    void whatIsHalfDoneIsNotSaidToBeUnchanged(String step, String said) throws IOException {
        FolderSteps failing = new Way.Steps(Way.IN_PLACE) {
            @Override
            public void done(String done) throws IOException {
                if (done.equals(step)) {
                    Files.createDirectories(folder.resolve(Pairs.SECOND).resolve("another's"));
                    if (done.equals("aside")) {
                        throw new IOException("No space left on device");
                    }
                }
            }
        };

        assertThatThrownBy(() -> save(folder, 2, failing)).isInstanceOf(AtomicFile.HalfDone.class)
                .hasMessageContainingAll("Cannot write " + folder, said, Pairs.SECOND, "save again")
                .hasMessageNotContainingAny("unchanged", "Nothing was written");

        Files.delete(folder.resolve(Pairs.SECOND).resolve("another's"));
        Files.delete(folder.resolve(Pairs.SECOND));
        Files.move(hidden(step.equals("aside") ? ".old" : ".tmp"), folder.resolve(Pairs.SECOND));
        String whole = step.equals("aside") ? "1" : "2";
        assertThat(Pairs.in(folder)).containsExactly(whole, whole);
    }

    /** What is left of them is deleted by the next save. */
    @Test
    void aSaveIsDoneAlsoWhereAnOldFileCannotBeDeleted() throws IOException {
        FolderSteps keeping = new Way.Steps(Way.IN_PLACE) {
            @Override
            public void done(String done) throws IOException {
                if (done.equals("named")) {
                    Path old = hidden(".old");
                    Files.delete(old);
                    Files.createDirectories(old.resolve("in use"));
                }
            }
        };

        save(folder, 2, keeping);

        assertThat(Pairs.in(folder)).containsExactly("2", "2");
        Files.delete(hidden(".old").resolve("in use"));
        save(3, Way.IN_PLACE);
        assertThat(Pairs.names(folder)).hasSize(4);
    }

    private Path hidden(String end) throws IOException {
        return folder.resolve(Pairs.names(folder).stream().filter(name -> name.endsWith(end)).findFirst().orElseThrow());
    }

    @Test
    void whatOthersChangeMeanwhileIsThereAfterwards() throws IOException {
        save(folder, 2, new Way.Steps(Way.SYSTEM) {
            @Override
            public void done(String step) throws IOException {
                if (step.equals("linked")) {
                    Path replacement = Files.writeString(temporary.resolve("replacement"), "replaced before");
                    Files.move(replacement, folder.resolve("README.md"), StandardCopyOption.REPLACE_EXISTING);
                    Files.createDirectory(folder.resolve("made"));
                    Files.writeString(folder.resolve("made/file"), "new");
                } else if (step.equals("exchanged")) {
                    Path replacement = Files.writeString(temporary.resolve("replacement"), "replaced after");
                    Files.move(replacement, folder.resolve("sub/notes"), StandardCopyOption.REPLACE_EXISTING);
                }
            }
        });

        assertThat(folder.resolve("README.md")).hasContent("replaced before");
        assertThat(folder.resolve("sub/notes")).hasContent("replaced after");
        assertThat(folder.resolve("made/file")).hasContent("new");
        assertThat(Pairs.names(home)).containsExactly("adapter");
    }

    @Test
    void aFolderIsReplacedAsAWholeOnThisSystem() throws IOException {
        assumeExchange();
        Object before = Files.readAttributes(folder, "fileKey").get("fileKey");
        Object readme = Files.readAttributes(folder.resolve("README.md"), "fileKey").get("fileKey");

        save(2, Way.SYSTEM);

        assertThat(Files.readAttributes(folder, "fileKey").get("fileKey")).isNotEqualTo(before);
        assertThat(Files.readAttributes(folder.resolve("README.md"), "fileKey").get("fileKey")).isEqualTo(readme);
    }

    /** Whose shell stands in the folder would stand nowhere. */
    @Test
    void filesThatAreWrittenTogetherLeaveTheFolderWhereItIs() throws IOException {
        Object key = Files.readAttributes(folder, BasicFileAttributes.class).fileKey();
        AtomicFile.writeTogether(folder, Pairs.of(2));

        assertThat(Files.readAttributes(folder, BasicFileAttributes.class).fileKey()).isEqualTo(key);
        assertUsersFiles(folder);
        for (Map.Entry<String, AtomicFile.Content> file : Pairs.of(2).entrySet()) {
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            file.getValue().writeTo(out);
            assertThat(folder.resolve(file.getKey())).hasBinaryContent(out.toByteArray());
        }
    }

    @Test
    void theWorkingFolderStaysTheFolderThatItIs() throws IOException {
        Path working = Path.of("").toRealPath();

        assertThat(FolderSteps.SYSTEM.mayExchange(working)).isFalse();
        assertThat(FolderSteps.SYSTEM.mayExchange(working.getParent())).isFalse();
        assertThat(FolderSteps.SYSTEM.mayExchange(folder)).isEqualTo(FolderExchange.isPossible(folder));
    }

    /** Of a service that was deployed anew, or of sudo in somebody's home. */
    @Test
    void theWorkingFolderMayBeGone() {
        assertThat(FolderSteps.isIn(folder, folder.resolve("gone"))).isTrue();
        assertThat(FolderSteps.isIn(folder, home.resolve("gone"))).isFalse();
    }

    /** As PEFT would, which asks for no lock. */
    @ParameterizedTest
    @EnumSource
    void anotherProgramsFilesAreNotReplacedWhereThatIsForbidden(Way way) throws IOException {
        Path place = Files.createDirectory(home.resolve("new"));
        FolderSteps steps = new Way.Steps(way) {
            @Override
            public void done(String step) throws IOException {
                if (step.equals("linked") || step.equals("staged")) {
                    Files.writeString(place.resolve(Pairs.FIRST), "another's");
                }
            }
        };

        assertThatThrownBy(() -> save(place, 2, steps, SaveOption.NEW_ONLY)).isInstanceOf(FileAlreadyExistsException.class);
        assertThat(Pairs.in(place)).containsExactly("another's", "-");
        assertThat(Pairs.names(place)).containsExactly(Pairs.FIRST);
        assertThat(Pairs.names(home)).containsExactly("adapter", "new");
    }

    @Test
    @DisabledOnOs(OS.WINDOWS)
    void aLinkStaysALinkAlsoToAFolderThatIsToCome() throws IOException {
        Path latest = Files.createSymbolicLink(home.resolve("latest"), Path.of("adapter"));
        Path next = Files.createSymbolicLink(home.resolve("next"), Path.of("to-come"));

        save(latest, 2, FolderSteps.SYSTEM);
        save(next, 3, FolderSteps.SYSTEM);

        assertThat(latest).isSymbolicLink();
        assertThat(Pairs.in(folder)).containsExactly("2", "2");
        assertUsersFiles(folder);
        assertThat(next).isSymbolicLink();
        assertThat(Pairs.in(home.resolve("to-come"))).containsExactly("3", "3");
        assertThat(Pairs.names(home)).containsExactly("adapter", "latest", "next", "to-come");
    }

    @ParameterizedTest
    @EnumSource
    @EnabledOnOs({OS.LINUX, OS.MAC})
    void permissionsStay(Way way) throws IOException {
        Files.setPosixFilePermissions(folder, PosixFilePermissions.fromString("rwxr-x--x"));
        Files.setPosixFilePermissions(folder.resolve("sub"), PosixFilePermissions.fromString("rwx------"));
        Files.setPosixFilePermissions(folder.resolve(Pairs.FIRST), PosixFilePermissions.fromString("rw-------"));

        Object mode = (int) Files.getAttribute(folder, "unix:mode") | 02000;
        Files.setAttribute(folder, "unix:mode", (int) mode & 07777);

        save(2, way);

        assertThat(Files.getAttribute(folder, "unix:mode")).as("new files are of its group").isEqualTo(mode);
        assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(folder))).isEqualTo("rwxr-x--x");
        assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(folder.resolve("sub")))).isEqualTo("rwx------");
        assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(folder.resolve(Pairs.FIRST))))
                .isEqualTo("rw-------");
    }

    /** Access control lists are such attributes, which Java can neither see nor copy. */
    @Test
    @EnabledOnOs(OS.LINUX)
    void aFolderWithAttributesOfItsOwnStaysThatFolder() throws IOException {
        UserDefinedFileAttributeView attributes = Files.getFileAttributeView(folder, UserDefinedFileAttributeView.class);
        assumeTrue(attributes != null && Files.getFileStore(folder).supportsFileAttributeView("user"));
        attributes.write("note", ByteBuffer.wrap(new byte[] {1}));

        save(2, Way.SYSTEM);

        assertThat(Files.getFileAttributeView(folder, UserDefinedFileAttributeView.class).list()).containsExactly("note");
        assertThat(Pairs.in(folder)).containsExactly("2", "2");
        assertThat(Pairs.names(home)).containsExactly("adapter");
    }

    @Test
    @EnabledOnOs({OS.LINUX, OS.MAC})
    void whatIsNoFileStays() throws Exception {
        assertThat(new ProcessBuilder("mkfifo", folder.resolve("pipe").toString()).start().waitFor()).isZero();
        Files.createSymbolicLink(folder.resolve("link"), Path.of("nowhere"));

        save(2, Way.SYSTEM);

        assertThat(Pairs.names(folder)).contains("pipe", "link");
        assertThat(folder.resolve("link")).isSymbolicLink();
        assertThat(Pairs.in(folder)).containsExactly("2", "2");
        assertUsersFiles(folder);
    }

    @Test
    void whatAnotherProgramIsPreparingStays() throws IOException {
        Path others = Files.createDirectory(home.resolve(".adapter.01234567-89ab-cdef-0123-456789abcdef.tmp"));
        Files.writeString(others.resolve("file"), "theirs");
        try (FolderLock theirs = FolderLock.ofPrepared(others)) {
            assertThat(theirs).isNotNull();
            save(2, Way.SYSTEM);
            assertThat(others.resolve("file")).hasContent("theirs");
        }
    }

    /** A service starts meanwhile, and clears away what seems to be nobody's. */
    @ParameterizedTest
    @ValueSource(strings = {"adapter", "new"})
    void whatIsClearedAwayBeforeItIsLockedIsMadeAgain(String name) throws IOException {
        List<Path> made = new ArrayList<>();
        FolderSteps clearing = new FolderSteps() {
            @Override
            public void made(Path prepared) throws IOException {
                if (made.isEmpty()) {
                    AtomicFile.clearLeftOvers(home, Pairs.of(2).keySet());
                    assertThat(prepared).doesNotExist();
                }
                made.add(prepared);
            }
        };

        save(home.resolve(name), 2, clearing);

        assertThat(made).hasSize(2).doesNotHaveDuplicates();
        assertThat(Pairs.in(home.resolve(name))).containsExactly("2", "2");
        assertUsersFiles(folder);
        assertThat(Pairs.names(home)).isEqualTo(Stream.of("adapter", name).distinct().toList());
    }

    /** Killed between the two, whether or not its target was there. */
    @ParameterizedTest
    @ValueSource(strings = {"adapter", "new"})
    void whoeverIsKilledBeforeTheLockLeavesAnEmptyFolder(String name) throws IOException {
        Path copy = Files.createDirectory(temporary.resolve("copy")).toRealPath();
        FolderSteps copying = new FolderSteps() {
            @Override
            public void made(Path prepared) throws IOException {
                assertThat(Pairs.names(prepared)).isEmpty();
                Files.createDirectory(copy.resolve(prepared.getFileName()));
            }
        };
        save(home.resolve(name), 2, copying);
        assertThat(Pairs.names(copy)).hasSize(1);
        if (name.equals("adapter")) {
            save(copy.resolve(name), 1, FolderSteps.SYSTEM);
        }

        AtomicFile.clearLeftOvers(copy, Pairs.of(2).keySet());

        assertThat(Pairs.names(copy)).isEqualTo(name.equals("adapter") ? List.of(name) : List.of());
    }

    @Test
    void namesMayBeAsLongAsASystemTakesThem() throws IOException {
        Path longest = home.resolve("n".repeat(250));

        save(longest, 2, FolderSteps.SYSTEM);
        save(longest, 3, FolderSteps.SYSTEM);

        assertThat(Pairs.in(longest)).containsExactly("3", "3");
    }

    /** Where the new folder is made: beside the old one, not in it. */
    @ParameterizedTest
    @EnumSource
    void pointsNameTheFolderItself(Way way) throws IOException {
        for (String name : List.of(".", "sub/..", "../adapter/.")) {
            Path seen = folder.resolve(name);
            FolderSteps looking = new Way.Steps(way) {
                @Override
                public void done(String step) throws IOException {
                    assertThat(Pairs.names(folder)).as(step).noneMatch(entry -> entry.matches("\\.+[0-9a-f-]{36}\\.tmp"));
                    super.done(step);
                }
            };
            save(seen, 2, looking);

            assertThat(Pairs.in(folder)).as(name).containsExactly("2", "2");
            assertThat(Pairs.names(folder)).containsExactly("README.md", Pairs.SECOND, Pairs.FIRST, "sub");
            assertThat(Pairs.names(home)).containsExactly("adapter");
            save(1, way);
        }
    }

    /** Of two Java characters, between which a temporary name would be cut. */
    @Test
    void namesMayHaveCharactersOfEveryPlane() throws IOException {
        assumeTrue("UTF-8".equals(System.getProperty("sun.jnu.encoding")));
        Path wide = home.resolve("n".repeat(47) + "\ud841\udf0e" + "n".repeat(40));

        save(wide, 2, FolderSteps.SYSTEM);
        save(wide, 3, FolderSteps.SYSTEM);

        assertThat(Pairs.in(wide)).containsExactly("3", "3");
        assertThat(Pairs.names(home)).containsExactly("adapter", wide.getFileName().toString());
    }
}
