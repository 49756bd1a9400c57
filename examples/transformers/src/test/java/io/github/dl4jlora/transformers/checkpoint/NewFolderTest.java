package io.github.dl4jlora.transformers.checkpoint;

import io.github.dl4jlora.internal.file.AtomicFile;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

/** A folder with folders in it appears whole, wherever it is. */
class NewFolderTest {

    @TempDir
    private Path folder;

    private static Map<String, AtomicFile.Content> files() {
        Map<String, AtomicFile.Content> files = new LinkedHashMap<>();
        List.of("config.json", "1_Pooling/config.json", "1_Pooling/more.json", "modules.json")
                .forEach(name -> files.put(name, out -> out.write(name.length())));
        return files;
    }

    private Path target(boolean isThere) throws IOException {
        Path target = folder.resolve("out");
        return isThere ? Files.createDirectory(target) : target;
    }

    private static List<String> names(Path in) throws IOException {
        try (Stream<Path> files = Files.walk(in)) {
            return files.filter(Files::isRegularFile).map(file -> in.relativize(file).toString().replace('\\', '/')).sorted()
                    .toList();
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void aFolderThatIsThereStaysTheSameFolder(boolean isThere) throws IOException {
        Path target = target(isThere);
        Object before = isThere ? Files.readAttributes(target, BasicFileAttributes.class).fileKey() : null;

        NewFolder.write(target, files());

        assertThat(names(folder)).containsExactly("out/1_Pooling/config.json", "out/1_Pooling/more.json", "out/config.json",
                "out/modules.json");
        assertThat(Files.list(target)).hasSize(3);
        if (isThere) {
            assertThat(Files.readAttributes(target, BasicFileAttributes.class).fileKey()).isEqualTo(before);
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void nothingIsLeftOfAFolderThatCannotBeWritten(boolean isThere) throws IOException {
        Path target = target(isThere);
        Map<String, AtomicFile.Content> files = files();
        files.put("last.bin", out -> {
            throw new IOException("the disk is full");
        });

        assertThatThrownBy(() -> NewFolder.write(target, files)).isInstanceOf(IOException.class).hasMessageContaining("is full");
        if (isThere) {
            assertThat(target).isEmptyDirectory();
        } else {
            assertThat(folder).isEmptyDirectory();
        }
    }

    /** As the root of a file system has it, and as a killed program leaves it. */
    @Test
    void whatMayLieInAnEmptyFolderIsKnownByItsName() {
        assertThat(NewFolder.isNothing(folder.resolve("lost+found"))).isTrue();
        assertThat(NewFolder.isNothing(folder.resolve(".new.3f1c.tmp"))).isTrue();
        assertThat(NewFolder.isNothing(folder.resolve("config.json"))).isFalse();
    }

    @Test
    void aLinkThatLeadsNowhereYetStaysALink() throws IOException {
        Path link = folder.resolve("link");
        try {
            Files.createSymbolicLink(link, folder.resolve("real"));
        } catch (IOException | UnsupportedOperationException e) {
            assumeTrue(false, "no links here");
        }

        NewFolder.write(link, files());

        assertThat(link).isSymbolicLink();
        assertThat(names(folder.resolve("real"))).hasSize(4);
    }
}
