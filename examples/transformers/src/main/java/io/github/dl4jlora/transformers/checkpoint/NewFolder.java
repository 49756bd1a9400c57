package io.github.dl4jlora.transformers.checkpoint;

import io.github.dl4jlora.internal.common.Temporary;
import io.github.dl4jlora.internal.file.AtomicFile;

import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Map;

/** Writes a folder that has folders in it, so that it appears completely or not at all. */
final class NewFolder {

    private NewFolder() {
    }

    /**
     * Writes beside the target, then moves.
     *
     * @param target does not exist, or is empty
     * @param files  by name; a folder and a slash may go before it
     * @throws IOException if it cannot be written; nothing is left then
     */
    static void write(Path target, Map<String, AtomicFile.Content> files) throws IOException {
        Path place = Files.exists(target) ? target.toRealPath() : target.toAbsolutePath().normalize();
        if (place.getParent() == null) {
            throw new IOException("Cannot write " + target + ": it has no parent folder. Name a folder in it");
        }
        Files.createDirectories(place.getParent());
        try (Temporary folder = Temporary.folderBeside(place, List.of())) {
            for (Map.Entry<String, AtomicFile.Content> file : files.entrySet()) {
                Path path = folder.path().resolve(file.getKey());
                if (!Files.exists(path.getParent())) {
                    folder.add(path.getParent(), () -> Files.createDirectory(path.getParent()));
                }
                folder.add(path, () -> Files.createFile(path));
                fill(path, file.getValue());
            }
            folder.hold(() -> {
                // Replaces an empty folder, and no other.
                Files.move(folder.path(), place, StandardCopyOption.REPLACE_EXISTING);
                folder.release();
            });
        }
    }

    private static void fill(Path file, AtomicFile.Content content) throws IOException {
        try (OutputStream out = new BufferedOutputStream(Files.newOutputStream(file, StandardOpenOption.WRITE), 1 << 16)) {
            content.writeTo(out);
        }
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
            channel.force(true);
        }
    }
}
