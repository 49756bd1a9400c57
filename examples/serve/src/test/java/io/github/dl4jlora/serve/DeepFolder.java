package io.github.dl4jlora.serve;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * A folder that nobody can delete on Linux, root included: it is made of two halves, and paths in the lower one are longer than
 * the system takes. Closing it takes them apart.
 */
final class DeepFolder implements AutoCloseable {

    /** Ten of them have room in a path of 4096 bytes, twenty have not. */
    private static final String NAME = "n".repeat(250);
    private static final int DEPTH = 10;

    private final Path aside;
    private Path folder;

    /**
     * Makes it.
     *
     * @param folder which may be there already
     * @param aside  on the same disk, where the lower half is made and left
     */
    DeepFolder(Path folder, Path aside) throws IOException {
        this.aside = aside.resolve("lower");
        this.folder = folder;
        Files.createDirectories(bottom(this.aside));
        Files.createDirectories(lower().getParent());
        Files.move(this.aside, lower());
    }

    private static Path bottom(Path top) {
        Path bottom = top;
        for (int i = 0; i < DEPTH; i++) {
            bottom = bottom.resolve(NAME);
        }
        return bottom;
    }

    private Path lower() {
        return bottom(folder).resolve("lower");
    }

    /** Somebody has moved it. */
    void isNow(Path place) {
        folder = place;
    }

    @Override
    public void close() throws IOException {
        Files.move(lower(), aside);
    }
}
