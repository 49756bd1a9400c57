package io.github.dl4jlora.internal.file;

import io.github.dl4jlora.SaveOption;

import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.channels.FileChannel;
import java.nio.file.AtomicMoveNotSupportedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.Set;
import java.util.UUID;

/**
 * Writes a file so that a reader finds either the old one or the new one, whole, whatever happens meanwhile.
 */
public final class AtomicFile {

    /** Writes the content. */
    @FunctionalInterface
    public interface Content {
        void writeTo(OutputStream out) throws IOException;
    }

    private AtomicFile() {
    }

    /**
     * Writes to a temporary name in the same folder, flushes to the disk, then moves. If anything fails the target is
     * as it was and nothing is left behind.
     *
     * @throws IOException naming the file, if the content cannot be written or the folder does not exist; a
     *                     FileAlreadyExistsException if the file is there and must not be replaced
     */
    public static void write(Path target, Content content, SaveOption... options) throws IOException {
        requireNew(target, options);
        // Through a link to the file it stands for, which stays a link.
        Path absolute = Files.isSymbolicLink(target) && Files.exists(target) ? target.toRealPath() : target.toAbsolutePath();
        Path folder = absolute.getParent();
        if (folder == null || !Files.isDirectory(folder)) {
            throw new IOException("Cannot write " + target + ": the folder " + folder + " does not exist");
        }
        // Not Files.createTempFile, which makes files that nobody else may read.
        Path temporary = folder.resolve(absolute.getFileName() + "." + UUID.randomUUID() + ".tmp");
        try {
            try (OutputStream out = new BufferedOutputStream(
                    Files.newOutputStream(temporary, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE), 1 << 16)) {
                content.writeTo(out);
            }
            try (FileChannel channel = FileChannel.open(temporary, StandardOpenOption.WRITE)) {
                channel.force(true);
            }
            if (Set.of(options).contains(SaveOption.NEW_ONLY)) {
                moveToNew(temporary, absolute);
            } else {
                move(temporary, absolute);
            }
        } catch (FileAlreadyExistsException e) {
            throw exists(target);
        } catch (IOException e) {
            throw new IOException("Cannot write " + target + ": " + e.getMessage() + ". What was there before is untouched", e);
        } finally {
            Files.deleteIfExists(temporary);
        }
    }

    /**
     * To be called before work that would be in vain.
     *
     * @throws FileAlreadyExistsException if the file is there, and the options forbid to replace it
     */
    public static void requireNew(Path target, SaveOption... options) throws FileAlreadyExistsException {
        if (Set.of(options).contains(SaveOption.NEW_ONLY) && Files.exists(target, LinkOption.NOFOLLOW_LINKS)) {
            throw exists(target);
        }
    }

    private static FileAlreadyExistsException exists(Path target) {
        return new FileAlreadyExistsException(target.toString(), null, "it exists, and SaveOption.NEW_ONLY does not replace it. "
                + "Choose another name, or leave the option out. Nothing was written");
    }

    /** A link is made only where there is nothing, in one step. */
    private static void moveToNew(Path from, Path to) throws IOException {
        try {
            Files.createLink(to, from);
        } catch (FileAlreadyExistsException e) {
            throw e;
        } catch (UnsupportedOperationException | FileSystemException e) {
            Files.move(from, to);
        }
    }

    private static void move(Path from, Path to) throws IOException {
        try {
            Files.move(from, to, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        } catch (AtomicMoveNotSupportedException e) {
            Files.move(from, to, StandardCopyOption.REPLACE_EXISTING);
        }
    }
}
