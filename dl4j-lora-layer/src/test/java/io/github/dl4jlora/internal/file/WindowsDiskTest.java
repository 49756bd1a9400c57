package io.github.dl4jlora.internal.file;

import io.github.dl4jlora.conf.SaveOption;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileTime;
import java.util.Set;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** Files and folders are replaced where Windows lets them be; where it does not, the message says why, and the old ones stay. */
class WindowsDiskTest {

    private static final String LEFT = ".adapter.01234567-89ab-cdef-0123-456789abcdef.tmp";

    private final WindowsDisk disk = new WindowsDisk();
    private Path home;
    private Path folder;
    private Path file;

    @BeforeEach
    void whatIsThere() throws IOException {
        home = disk.folder("home");
        folder = home.resolve("adapter");
        file = Files.writeString(home.resolve("base.lora"), "old");
    }

    @AfterEach
    void close() throws IOException {
        disk.close();
    }

    private void write(String text, SaveOption... options) throws IOException {
        AtomicFile.write(file, out -> out.write(text.getBytes(StandardCharsets.UTF_8)), options);
    }

    private void save(int number, SaveOption... options) throws IOException {
        AtomicFile.writeFolder(folder, Pairs.of(number), options);
    }

    @Test
    void filesAndFoldersAreReplaced() throws IOException {
        write("new");
        save(1);
        Files.writeString(folder.resolve("README.md"), "of the user");
        save(2);

        assertThat(Files.readString(file)).isEqualTo("new");
        assertThat(Pairs.in(folder)).containsExactly("2", "2");
        assertThat(Pairs.read(folder)).containsExactly("2", "2");
        assertThat(Pairs.names(folder)).containsExactly("README.md", Pairs.SECOND, Pairs.FIRST);
        assertThat(Pairs.names(home)).containsExactly("adapter", "base.lora");
    }

    @Test
    void aNameInAnotherCaseIsTheSameFileAndFolder() throws IOException {
        save(1);
        AtomicFile.writeFolder(home.resolve("ADAPTER"), Pairs.of(2));
        AtomicFile.write(home.resolve("BASE.lora"), out -> out.write('n'));

        assertThat(Pairs.in(folder)).containsExactly("2", "2");
        assertThat(Files.readString(file)).isEqualTo("n");
        assertThat(Pairs.names(home)).hasSize(2);
        assertThatThrownBy(() -> AtomicFile.writeFolder(home.resolve("Adapter"), Pairs.of(3), SaveOption.NEW_ONLY))
                .hasMessageContaining("NEW_ONLY");
    }

    @Test
    void aMappedFileStaysAndTheMessageSaysWhy() throws IOException {
        disk.map(file);

        assertThatThrownBy(() -> write("new")).isInstanceOf(IOException.class).hasMessage("Cannot write " + file + ": Windows "
                + "refuses to replace or move what a program has open or mapped, and what is read-only. Close the network or the "
                + "program that uses it, or choose another name. Nothing was changed");

        assertThat(Files.readString(file)).isEqualTo("old");
        assertThat(Pairs.names(home)).containsExactly("base.lora");
    }

    @Test
    void anAdapterThatIsBeingReadStaysAndTheMessageSaysWhy() throws IOException {
        save(1);
        try (FileChannel reader = FileChannel.open(folder.resolve(Pairs.FIRST), StandardOpenOption.READ)) {
            assertThatThrownBy(() -> save(2)).isInstanceOf(IOException.class).hasMessageContainingAll(folder.toString(),
                    "Windows refuses", "open or mapped", "Its previous files are unchanged");
            assertThat(reader.isOpen()).isTrue();
        }

        assertThat(Pairs.in(folder)).containsExactly("1", "1");
        assertThat(Pairs.names(folder)).containsExactly(Pairs.SECOND, Pairs.FIRST);
        save(2);
        assertThat(Pairs.in(folder)).containsExactly("2", "2");
    }

    @Test
    void aVirusScannerThatLooksAtNewFilesIsWaitedFor() throws IOException {
        FolderSteps scanner = new Scanner();
        new FolderSave(folder, Pairs.of(1), false, scanner).run();
        assertThat(Pairs.in(folder)).containsExactly("1", "1");
        new FolderSave(folder, Pairs.of(2), false, scanner).run();
        assertThat(Pairs.in(folder)).containsExactly("2", "2");
        AtomicFile.write(file, out -> {
            out.write('n');
            scan();
        });
        assertThat(Files.readString(file)).isEqualTo("n");
    }

    /** Looks at each new file and folder of a save, three times. */
    private final class Scanner implements FolderSteps {

        @Override
        public void done(String step) throws IOException {
            if (step.equals("prepared") || step.equals("staged")) {
                scan();
            }
        }
    }

    private void scan() throws IOException {
        for (Path parent : Files.isDirectory(folder) ? Set.of(home, folder) : Set.of(home)) {
            for (Path entry : OtherFiles.entries(parent)) {
                if (entry.toString().endsWith(".tmp")) {
                    disk.scan(entry, 3);
                }
            }
        }
    }

    @Test
    void oneWhoStillHoldsTheDeletedFileOfALockIsWaitedFor() throws Exception {
        save(1);
        Path lock = Files.writeString(folder.resolve(FolderLock.NAME), "f");
        FileChannel other = FileChannel.open(lock, StandardOpenOption.READ);
        Files.delete(lock);
        Thread late = new Thread(() -> {
            try (other) {
                Thread.sleep(100);
            } catch (IOException | InterruptedException e) {
                throw new IllegalStateException(e);
            }
        });
        late.start();

        save(2);

        late.join();
        assertThat(Pairs.in(folder)).containsExactly("2", "2");
        assertThat(Pairs.names(folder)).containsExactly(Pairs.SECOND, Pairs.FIRST);
    }

    @Test
    void whatAKilledSaveOfANewFolderLeftIsDeleted() throws IOException {
        Path left = Files.createDirectory(home.resolve(LEFT));
        Files.writeString(left.resolve(Pairs.FIRST), "0");
        Files.writeString(left.resolve(FolderLock.NAME), "p");

        save(1);

        assertThat(Pairs.names(home)).containsExactly("adapter", "base.lora");
    }

    @Test
    void whatWasKilledBeforeItHadTheLockIsDeletedAfterAMinute() throws IOException {
        save(1);
        Path left = Files.createDirectory(home.resolve(LEFT));
        Files.writeString(left.resolve(Pairs.FIRST), "0");
        Files.setLastModifiedTime(left, FileTime.fromMillis(0));

        save(2);

        assertThat(Pairs.names(home)).containsExactly("adapter", "base.lora");
    }

    @Test
    void aNewAdapterWhoseFirstFileHasItsNameIsReadAndFinished() throws IOException {
        String id = LEFT.substring(".adapter".length());
        Files.createDirectory(folder);
        Files.writeString(folder.resolve("." + Pairs.FIRST + id), "1");
        Files.createLink(folder.resolve(Pairs.FIRST), folder.resolve("." + Pairs.FIRST + id));
        Files.writeString(folder.resolve("." + Pairs.SECOND + id), "1");

        assertThat(Pairs.read(folder)).containsExactly("1", "1");
        assertThatThrownBy(() -> save(2, SaveOption.NEW_ONLY)).hasMessageContaining("NEW_ONLY");
        assertThat(AtomicFile.interrupted(folder, Pairs.FIRST, Pairs.SECOND)).isPresent();
    }

    @Test
    void nothingIsReplacedWhereThatIsForbidden() throws IOException {
        save(1, SaveOption.NEW_ONLY);

        assertThatThrownBy(() -> save(2, SaveOption.NEW_ONLY)).hasMessageContaining("NEW_ONLY");
        assertThatThrownBy(() -> write("new", SaveOption.NEW_ONLY)).hasMessageContaining("NEW_ONLY");
        assertThat(Pairs.in(folder)).containsExactly("1", "1");
        assertThat(Pairs.names(home)).containsExactly("adapter", "base.lora");
    }
}
