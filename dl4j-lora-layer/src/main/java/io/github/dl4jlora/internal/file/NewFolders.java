package io.github.dl4jlora.internal.file;

import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;

/** The folders of a path that were missing: they are deleted again, unless they are kept. */
final class NewFolders implements AutoCloseable {

    /** The innermost first. */
    private final List<Path> made = new ArrayList<>();

    NewFolders(Path folder) throws IOException {
        Deque<Path> missing = new ArrayDeque<>();
        for (Path one = folder; one != null && !Files.isDirectory(one); one = one.getParent()) {
            missing.push(one);
        }
        try {
            for (Path one : missing) {
                make(one);
            }
        } catch (IOException e) {
            close();
            throw e;
        }
    }

    private void make(Path folder) throws IOException {
        try {
            Files.createDirectory(folder);
            made.add(0, folder);
        } catch (FileAlreadyExistsException e) {
            // Somebody else may have made it just now.
            if (!Files.isDirectory(folder)) {
                throw new IOException(folder + " is a file, not a folder", e);
            }
        }
    }

    void keep() {
        made.stream().map(Path::getParent).forEach(Moves::flush);
        made.clear();
    }

    @Override
    public void close() {
        for (Path folder : made) {
            try {
                Files.deleteIfExists(folder);
            } catch (IOException e) {
                // Somebody else uses it by now.
                return;
            }
        }
    }
}
