package io.github.dl4jlora.internal.file;

import io.github.dl4jlora.SaveOption;
import io.github.dl4jlora.internal.common.Options;
import io.github.dl4jlora.internal.common.Temporary;

import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.channels.FileChannel;
import java.nio.file.AccessDeniedException;
import java.nio.file.AtomicMoveNotSupportedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFileAttributeView;
import java.util.Map;
import java.util.Set;

/**
 * Writes a file so that a reader finds either the old one or the new one, whole, whatever happens meanwhile: an
 * error, or the end of the program.
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
        if (Files.exists(absolute) && !Files.isRegularFile(absolute)) {
            throw new IOException("Cannot write " + target + ": it is there, and is no file but a "
                    + (Files.isDirectory(absolute) ? "folder" : "device or a pipe") + ". Name a file");
        }
        try (Temporary temporary = Temporary.fileBeside(absolute)) {
            fill(temporary.path(), content);
            keepPermissions(absolute, temporary.path());
            if (isNewOnly(options)) {
                moveToNew(temporary.path(), absolute);
            } else {
                move(temporary.path(), absolute);
            }
        } catch (FileAlreadyExistsException e) {
            throw exists(target);
        } catch (IOException e) {
            throw new IOException("Cannot write " + target + ": " + reason(e) + ". What was there before is untouched", e);
        }
    }

    /**
     * Has a new folder appear with all of its files in it. Where there is one meanwhile, each file is written into that.
     *
     * @param files by name
     * @throws IOException naming the folder or the file
     */
    public static void writeFolder(Path target, Map<String, Content> files, SaveOption... options) throws IOException {
        Path absolute = target.toAbsolutePath();
        Files.createDirectories(absolute.getParent());
        if (!Files.exists(target, LinkOption.NOFOLLOW_LINKS)) {
            try (Temporary temporary = Temporary.folderBeside(absolute, files.keySet())) {
                for (Map.Entry<String, Content> file : files.entrySet()) {
                    fill(temporary.path().resolve(file.getKey()), file.getValue());
                }
                requireWhole(temporary.path(), files.keySet());
                Files.move(temporary.path(), absolute);
                requireWhole(absolute, files.keySet());
                return;
            } catch (IOException e) {
                if (!Files.isDirectory(absolute)) {
                    throw new IOException("Cannot write " + target + ": " + reason(e) + ". Nothing was written", e);
                }
            }
        }
        Files.createDirectories(absolute);
        for (Map.Entry<String, Content> file : files.entrySet()) {
            write(target.resolve(file.getKey()), file.getValue(), options);
        }
    }

    /** Whatever the end of the program has deleted does not come back. */
    private static void fill(Path file, Content content) throws IOException {
        try (OutputStream out = new BufferedOutputStream(Files.newOutputStream(file, StandardOpenOption.WRITE), 1 << 16)) {
            content.writeTo(out);
        }
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
            channel.force(true);
        }
    }

    /** The end of the program deletes files of a temporary folder one by one, maybe while that is moved. */
    private static void requireWhole(Path folder, Set<String> names) throws IOException {
        if (names.stream().allMatch(name -> Files.exists(folder.resolve(name)))) {
            return;
        }
        for (String name : names) {
            Files.deleteIfExists(folder.resolve(name));
        }
        Files.deleteIfExists(folder);
        throw new IOException("the program is being ended");
    }

    /** What replaces a file may be read and written by those who could read and write that. */
    private static void keepPermissions(Path old, Path replacement) throws IOException {
        if (Files.exists(old) && Files.getFileAttributeView(replacement, PosixFileAttributeView.class) != null) {
            Files.setPosixFilePermissions(replacement, Files.getPosixFilePermissions(old));
        }
    }

    /** The temporary file's name would say nothing to anybody. */
    private static String reason(IOException e) {
        return e instanceof AccessDeniedException || e instanceof NoSuchFileException ? "no file can be made in its folder"
                : e instanceof FileSystemException file && file.getReason() != null ? file.getReason() : e.getMessage();
    }

    private static boolean isNewOnly(SaveOption... options) {
        return Options.of(options).contains(SaveOption.NEW_ONLY);
    }

    /**
     * To be called before work that would be in vain.
     *
     * @throws FileAlreadyExistsException if the file is there, and the options forbid to replace it
     */
    public static void requireNew(Path target, SaveOption... options) throws FileAlreadyExistsException {
        if (isNewOnly(options) && Files.exists(target, LinkOption.NOFOLLOW_LINKS)) {
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
