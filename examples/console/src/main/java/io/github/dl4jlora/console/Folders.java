package io.github.dl4jlora.console;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.stream.Stream;

/** What programs do with whole folders. */
public final class Folders {

    private Folders() {
    }

    /**
     * Deletes a folder and all that is in it. Whatever somebody else deletes meanwhile does no harm.
     *
     * @throws IOException if something in it cannot be listed or deleted
     */
    public static void deleteAll(Path folder) throws IOException {
        try (Stream<Path> files = Files.walk(folder)) {
            for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
                Files.deleteIfExists(file);
            }
        } catch (UncheckedIOException e) {
            // A folder inside cannot be listed.
            throw e.getCause();
        }
    }
}
