package io.github.dl4jlora.internal.file;

import io.github.dl4jlora.conf.SaveOption;
import io.github.dl4jlora.internal.common.Options;
import io.github.dl4jlora.internal.common.Temporary;
import org.jspecify.annotations.Nullable;

import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.channels.ClosedByInterruptException;
import java.nio.channels.FileChannel;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFileAttributeView;
import java.nio.file.attribute.PosixFileAttributes;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
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

    /** A folder has neither the old files nor the new ones under their names; the message names it and says what to do. */
    public static final class HalfDone extends IOException {

        private static final long serialVersionUID = 1L;

        /** @param cause why the rest could not be done */
        public HalfDone(String message, IOException cause) {
            super(message, cause);
        }
    }

    /** As many links as Linux follows. */
    private static final int MOST_LINKS = 40;

    private AtomicFile() {
    }

    /**
     * Writes to a temporary name in the same folder, which is made if it is missing, flushes to the disk, then moves. If anything
     * fails the target is as it was and nothing is left behind.
     *
     * @throws IOException naming the file, if the content or the folder cannot be written; a FileAlreadyExistsException if the
     *                     file is there and must not be replaced
     */
    public static void write(Path target, Content content, SaveOption... options) throws IOException {
        requireNew(target, options);
        Path absolute = file(target);
        Path folder = Objects.requireNonNull(absolute.getParent());
        try (NewFolders folders = new NewFolders(folder); Temporary temporary = Temporary.fileBeside(absolute)) {
            fill(temporary.path(), content);
            keepPermissions(absolute, temporary.path());
            if (isNewOnly(options)) {
                moveToNew(temporary.path(), absolute);
            } else {
                Moves.move(temporary.path(), absolute);
            }
            Moves.flush(folder);
            folders.keep();
        } catch (FileAlreadyExistsException e) {
            throw exists(target);
        } catch (IOException e) {
            throw new IOException("Cannot write " + target + ": " + reason(absolute, e) + ". Nothing was changed", e);
        }
    }

    /**
     * {@return the absolute path behind a path's links, which is not the root} What is there may be a file, or nothing.
     *
     * @throws IOException naming the path, if something else is there
     */
    public static Path file(Path target) throws IOException {
        Path absolute = behindLinks(target);
        if (absolute.getParent() == null) {
            throw new IOException("Cannot write " + target + ": it is a folder, not a file. Name a file");
        }
        if (Files.exists(absolute) && !Files.isRegularFile(absolute)) {
            throw new IOException("Cannot write " + target + ": it is a "
                    + (Files.isDirectory(absolute) ? "folder" : "device or a pipe") + ", not a file. Name a file");
        }
        return absolute;
    }

    /**
     * Puts files into a folder, all at once. In a new folder they appear together; in an existing folder they replace the files
     * of the same names together, and everything else stays.
     *
     * @param files by name; readers do not accept the first file without the others
     * @throws HalfDone    if only some of the files could be replaced
     * @throws IOException naming the folder, if it cannot be written, or is a file; a FileAlreadyExistsException if one of the
     *                     files is there and must not be replaced
     */
    public static void writeFolder(Path target, Map<String, Content> files, SaveOption... options) throws IOException {
        new FolderSave(target, files, isNewOnly(options), FolderSteps.SYSTEM).run();
    }

    /**
     * As {@link #writeFolder}, into a folder that has other files, too, and stays the same folder: it is not exchanged for a new
     * one. A program that ends in the middle may leave the first file without the others.
     */
    public static void writeTogether(Path folder, Map<String, Content> files, SaveOption... options) throws IOException {
        new FolderSave(folder, files, isNewOnly(options), FolderSteps.IN_PLACE).run();
    }

    /**
     * Clears away what each killed {@link #writeFolder} into a folder in this folder left behind; the next {@code writeFolder}
     * does that, too. Files that belong in those folders are moved into them. Saves that are under way are left alone; one
     * that is just beginning may have to begin again, and does.
     *
     * @param names of the files that {@code writeFolder} was about to write
     * @throws IOException if something cannot be cleared away
     */
    public static void clearLeftOvers(Path folder, Set<String> names) throws IOException {
        FolderSave.clearLeftOversIn(folder, names);
    }

    /**
     * A file of a {@link #writeFolder} that was killed, or that is under way.
     *
     * @param file  with a temporary name
     * @param first the first file under its temporary name: whether it is there decided which file was chosen
     */
    public record Interrupted(Path file, Path first) {
    }

    /**
     * {@return the other file that belongs to a folder's first file, if it is not there under its own name; empty if there is no
     * such file, or more than one}
     */
    public static Optional<Interrupted> interrupted(Path folder, String first, String other) throws IOException {
        return InPlaceSave.interrupted(folder, first, other);
    }

    /**
     * {@return the absolute path behind a path's links} A link stays a link, and its target is written, even where the target is
     * not there yet.
     */
    public static Path behindLinks(Path target) throws IOException {
        Path path = target.toAbsolutePath();
        for (int links = 0; Files.isSymbolicLink(path); links++) {
            if (links == MOST_LINKS) {
                throw new IOException("Cannot write " + target + ": it is a symbolic link that leads back to itself. Name a file "
                        + "or a folder");
            }
            path = path.resolveSibling(Files.readSymbolicLink(path));
        }
        if (Files.isDirectory(path)) {
            // "." and ".." name a folder, too: what is made beside such a name would be made in the folder.
            return path.toRealPath();
        }
        Path folder = path.getParent();
        return folder != null && Files.isDirectory(folder) ? folder.toRealPath().resolve(path.getFileName()) : path.normalize();
    }

    /** Writes to a file that is there: a file that the end of the program has deleted is not made again. */
    public static void fill(Path file, Content content) throws IOException {
        try (OutputStream out = new BufferedOutputStream(Files.newOutputStream(file, StandardOpenOption.WRITE), 1 << 16)) {
            content.writeTo(out);
        }
        force(file);
    }

    static void force(Path file) throws IOException {
        try (Uninterrupted none = new Uninterrupted();
                FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
            channel.force(true);
        }
    }

    /** Gives a replacement the permissions of the old file and, where that is allowed, its owner and group. */
    static void keepPermissions(Path old, Path replacement) throws IOException {
        PosixFileAttributeView now = Files.getFileAttributeView(replacement, PosixFileAttributeView.class);
        if (Files.exists(old) && now != null) {
            PosixFileAttributes before = Files.readAttributes(old, PosixFileAttributes.class);
            try {
                keepOwner(before, now);
            } catch (FileSystemException e) {
                // Only root may give files to another owner.
            }
            now.setPermissions(before.permissions());
        }
    }

    static void keepOwner(PosixFileAttributes before, PosixFileAttributeView now) throws IOException {
        PosixFileAttributes made = now.readAttributes();
        if (!made.group().equals(before.group())) {
            now.setGroup(before.group());
        }
        if (!made.owner().equals(before.owner())) {
            now.setOwner(before.owner());
        }
    }

    /** Why writing failed, without the temporary file's name, which would tell users nothing. */
    static @Nullable String reason(Path target, IOException e) {
        if (e instanceof FileSystemException move && move.getOtherFile() != null && Moves.isRefusedByWindows(target, move)) {
            return "Windows refuses to replace or move what a program has open or mapped, and what is read-only. Close the "
                    + "network or the program that uses it, or choose another name";
        }
        if (e instanceof ClosedByInterruptException) {
            return "the thread was interrupted";
        }
        return e instanceof AccessDeniedException || e instanceof NoSuchFileException ? "no file can be created in its folder"
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

    static FileAlreadyExistsException exists(Path target) {
        return new FileAlreadyExistsException(target.toString(), null, "it exists, and SaveOption.NEW_ONLY does not replace it. "
                + "Choose another name, or leave the option out. Nothing was written");
    }

    /** Moves a file by a link: a link is made in one step, and only where there is nothing. */
    static void moveToNew(Path from, Path to) throws IOException {
        try {
            Files.createLink(to, from);
        } catch (FileAlreadyExistsException e) {
            throw e;
        } catch (UnsupportedOperationException | FileSystemException e) {
            // Unix moves a file over one that has come meanwhile, so the name is taken first.
            Files.createFile(to);
            try {
                Moves.move(from, to);
            } catch (IOException failure) {
                Files.deleteIfExists(to);
                throw failure;
            }
        }
    }
}
