package io.github.dl4jlora.internal.untrusted;

import io.github.dl4jlora.exception.AdapterFormatException;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** Two files of a folder that somebody replaces while they are read. */
@DisabledOnOs(value = OS.WINDOWS, disabledReason = "Windows moves no folder with an open file in it")
class SteadyFilesTest {

    @TempDir
    private Path home;
    private Path live;
    private int version;
    private int attempts;

    @BeforeEach
    void aFolder() throws IOException {
        live = home.resolve("live");
        swap();
    }

    /** As a program does that moves the old folder away and the new one into its place. */
    private void swap() throws IOException {
        version++;
        Path next = Files.createDirectory(home.resolve("next" + version));
        Files.writeString(next.resolve("a"), "version " + version);
        Files.writeString(next.resolve("b"), "version " + version);
        if (Files.exists(live)) {
            Files.move(live, home.resolve("old" + version));
        }
        Files.move(next, live);
    }

    private List<Path> paths() {
        return List.of(live.resolve("a"), live.resolve("b"));
    }

    private List<String> texts(SteadyFiles files) throws IOException {
        return List.of(new String(files.bytes(live.resolve("a"), 100)), new String(files.bytes(live.resolve("b"), 100)));
    }

    /** After the first look at the names, and before the files are open. */
    @Test
    void filesThatAreReplacedBeforeTheyAreOpenAreOpenedAgain() throws IOException {
        List<String> read = SteadyFiles.read(live, () -> {
            if (attempts++ == 1) {
                swap();
            }
            return paths();
        }, this::texts);

        assertThat(read).containsExactly("version 2", "version 2");
    }

    @Test
    void filesThatAreReplacedWhileTheyAreReadAreTheOldOnes() throws IOException {
        List<String> read = SteadyFiles.read(live, this::paths, files -> {
            String first = new String(files.bytes(live.resolve("a"), 100));
            attempts++;
            swap();
            return List.of(first, new String(files.bytes(live.resolve("b"), 100)));
        });

        assertThat(read).containsExactly("version 1", "version 1");
        assertThat(attempts).isEqualTo(1);
    }

    /** As PEFT writes them. */
    @Test
    void filesThatAreWrittenWhereTheyLieAreReadAgain() throws IOException {
        List<String> read = SteadyFiles.read(live, this::paths, files -> {
            List<String> texts = texts(files);
            if (attempts++ == 0) {
                Files.writeString(live.resolve("a"), "written later");
                Files.writeString(live.resolve("b"), "written later");
            }
            return texts;
        });

        assertThat(read).containsExactly("written later", "written later");
    }

    @Test
    void aFileThatIsMissingForAMomentIsNotMissed() throws IOException {
        Files.delete(live.resolve("b"));

        List<String> read = SteadyFiles.read(live, this::paths, files -> {
            if (attempts++ == 0) {
                assertThat(files.has(live.resolve("b"))).isFalse();
                swap();
            }
            return texts(files);
        });

        assertThat(read).containsExactly("version 2", "version 2");
    }

    @Test
    void aFileThatIsMissingIsMissed() throws IOException {
        Files.delete(live.resolve("b"));

        assertThatThrownBy(() -> SteadyFiles.read(live, this::paths, files -> {
            attempts++;
            return texts(files);
        })).isInstanceOf(AdapterFormatException.class).hasMessageContainingAll(live.resolve("b").toString(), "does not exist");
        assertThat(attempts).isEqualTo(1);
    }

    @Test
    void filesThatNobodyLeavesInPeaceAreRefused() {
        assertThatThrownBy(() -> SteadyFiles.read(live, () -> {
            swap();
            return paths();
        }, this::texts)).isInstanceOf(AdapterFormatException.class)
                .hasMessageContainingAll(live.toString(), "while it was being read", "when no other program writes");
    }

    @Test
    void whatTheReadingThrowsOfSteadyFilesIsThrown() {
        assertThatThrownBy(() -> SteadyFiles.read(live, this::paths, files -> {
            attempts++;
            throw new IOException("damaged");
        })).isInstanceOf(IOException.class).hasMessage("damaged");
        assertThat(attempts).isEqualTo(1);
    }
}
