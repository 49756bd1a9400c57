package io.github.dl4jlora.internal.untrusted;

import io.github.dl4jlora.exception.AdapterFormatException;
import org.junit.jupiter.api.Test;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Set;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** A zip out of a stream: the files that are wanted, and nothing else. */
class SpooledZipTest {

    private static final Set<String> WANTED = Set.of("a", "b");

    /** Each file holds its own name. */
    private static InputStream zip(String... names) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (ZipOutputStream zip = new ZipOutputStream(bytes)) {
            for (String name : names) {
                zip.putNextEntry(new ZipEntry(name));
                zip.write(name.getBytes(StandardCharsets.UTF_8));
            }
        }
        return new ByteArrayInputStream(bytes.toByteArray());
    }

    private static void refused(InputStream in, String reason) {
        assertThatThrownBy(() -> SpooledZip.of(in, WANTED)).isInstanceOf(AdapterFormatException.class)
                .hasMessageContaining(reason);
    }

    @Test
    void filesAreFoundInAnyFolderAndOthersAreLeftOut() throws IOException {
        Path folder;
        try (SpooledZip zip = SpooledZip.of(zip("deep/er/a", "other", "..\\b"), WANTED)) {
            folder = zip.folder();
            try (Stream<Path> files = Files.list(folder)) {
                assertThat(files.map(file -> file.getFileName().toString())).containsExactlyInAnyOrder("a", "b");
            }
            assertThat(folder.resolve("a")).hasContent("deep/er/a");
            assertThat(folder.resolve("b")).hasContent("..\\b");
        }
        assertThat(folder).doesNotExist();
    }

    @Test
    void aFileThatIsNotInTheZipIsNotThere() throws IOException {
        try (SpooledZip zip = SpooledZip.of(zip("a"), WANTED)) {
            assertThat(zip.folder().resolve("a")).exists();
            assertThat(zip.folder().resolve("b")).doesNotExist();
        }
    }

    @Test
    void aFileOfWhichThereAreTwoIsRefused() throws IOException {
        refused(zip("a", "folder/a"), "two files called a");
        SpooledZip.of(zip("x", "folder/x"), WANTED).close();
    }

    @Test
    void whatIsNoZipIsRefused() {
        refused(new ByteArrayInputStream(new byte[100]), "is not a zip");
        refused(new ByteArrayInputStream(new byte[0]), "is not a zip");
    }

    @Test
    void aDamagedZipIsRefusedByName() throws IOException {
        byte[] whole = zip("a", "b").readAllBytes();

        for (int length : new int[] {30, 32, 40}) {
            refused(new ByteArrayInputStream(Arrays.copyOf(whole, length)), "damaged zip: it ends too early");
        }
        byte[] flipped = whole.clone();
        // In the compressed content of the first file, after a header of 30 bytes and its name.
        flipped[31] ^= 6;
        refused(new ByteArrayInputStream(flipped), "damaged zip");
    }

    @Test
    void aStreamThatCannotBeReadIsNoDamagedZip() {
        IOException broken = new IOException("connection reset");
        InputStream in = new InputStream() {
            @Override
            public int read() throws IOException {
                throw broken;
            }
        };

        assertThatThrownBy(() -> SpooledZip.of(in, WANTED)).isSameAs(broken);
    }

    @Test
    void tenThousandFilesAreReadAndOneMoreIsRefused() throws IOException {
        String[] names = IntStream.range(0, 10_001).mapToObj(i -> "file" + i).toArray(String[]::new);

        SpooledZip.of(zip(Arrays.copyOf(names, 10_000)), WANTED).close();
        refused(zip(names), "more than 10000 files");
    }
}
