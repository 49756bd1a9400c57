package io.github.dl4jlora.transformers.checkpoint;

import io.github.dl4jlora.internal.common.Temporary;
import io.github.dl4jlora.internal.file.AtomicFile;

import java.io.IOException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.Map;

/** Writes a folder that has folders in it: nothing takes it for a checkpoint before it is complete. */
final class NewFolder {

    private static final String STAGED = "new";

    private NewFolder() {
    }

    /** Whether this may lie in an empty folder: what a killed program left, or what a file system keeps for itself. */
    static boolean isNothing(Path file) {
        String name = file.getFileName().toString();
        return name.equals("lost+found") || name.startsWith("." + STAGED + ".") && name.endsWith(Temporary.SUFFIX);
    }

    /**
     * Writes under another name, then moves. A folder that is there stays the same folder, since it may be where a disk is
     * mounted or a shell stands: its files are written in it, and the first of them gets its name last.
     *
     * @param target does not exist, or is empty
     * @param files  by name; a folder and a slash may go before it
     * @throws IOException if it cannot be written; nothing is left then but folders above it
     */
    static void write(Path target, Map<String, AtomicFile.Content> files) throws IOException {
        Path place = AtomicFile.behindLinks(target);
        if (place.getParent() == null) {
            throw new IOException("Cannot write " + target + ": it has no parent folder. Name a folder in it");
        }
        boolean isThere = Files.isDirectory(place);
        Files.createDirectories(place.getParent());
        try (Temporary folder = Temporary.folderBeside(isThere ? place.resolve(STAGED) : place, List.of())) {
            for (Map.Entry<String, AtomicFile.Content> file : files.entrySet()) {
                Path path = folder.path().resolve(file.getKey());
                if (!Files.exists(path.getParent())) {
                    folder.add(path.getParent(), () -> Files.createDirectory(path.getParent()));
                }
                folder.add(path, () -> Files.createFile(path));
                AtomicFile.fill(path, file.getValue());
            }
            folder.hold(() -> {
                if (isThere) {
                    moveAll(files.keySet().stream().map(name -> name.split("/")[0]).distinct().toList(), folder.path(), place);
                } else {
                    Files.move(folder.path(), place);
                    folder.release();
                }
            });
        } catch (FileSystemException e) {
            throw new IOException("Cannot write " + target + ": " + e + ". Nothing was written", e);
        }
    }

    /** Moves the first last, and none if one cannot be moved. */
    private static void moveAll(List<String> names, Path from, Path to) throws IOException {
        Deque<String> moved = new ArrayDeque<>();
        try {
            for (int i = names.size() - 1; i >= 0; i--) {
                Files.move(from.resolve(names.get(i)), to.resolve(names.get(i)));
                moved.push(names.get(i));
            }
        } catch (IOException e) {
            for (String name : moved) {
                try {
                    Files.move(to.resolve(name), from.resolve(name));
                } catch (IOException notBack) {
                    e.addSuppressed(notBack);
                }
            }
            throw e;
        }
    }
}
