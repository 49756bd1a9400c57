package io.github.dl4jlora.internal.common;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.UUID;
import java.util.stream.Stream;

/**
 * A file or folder that is deleted when it is closed, or when the JVM ends before that: by Ctrl-C, SIGTERM or System.exit.
 *
 * <p>A shutdown hook is registered only while there is something to delete, so it keeps no class loader alive. The hook deletes
 * nothing itself: it leaves that to the deletion that the JVM does after all hooks, since a hook of the user's may wait for the
 * very save that is under way.
 */
public final class Temporary implements AutoCloseable {

    /** Work on files. */
    @FunctionalInterface
    public interface Maker {
        void make() throws IOException;
    }

    /** The end of each temporary name beside a target. */
    public static final String SUFFIX = ".tmp";

    private static final int LONGEST_NAME = 48;

    private final Thread hook = new Thread(null, this::leaveToTheEnd, "dl4j-lora: temporary files", 0, false);
    /** Changed under the lock by the owner alone, who also reads it without; the hook reads it under the lock. */
    private final List<Path> paths;
    @GuardedBy("this")
    private boolean ending;

    /** @param paths what may be there from now on: a folder before what is in it */
    private Temporary(List<Path> paths) {
        this.paths = new ArrayList<>(paths);
    }

    /** An empty file in the system's temporary folder that nobody else may read. */
    public static Temporary file(String prefix, String suffix) throws IOException {
        Path file = inTheSystemsFolder(prefix, suffix);
        return new Temporary(List.of(file)).made(() -> Files.createFile(file, ofTheOwner(file, "rw-------")));
    }

    /**
     * A folder of empty files in the system's temporary folder that nobody else may enter. Writers open these files and make no
     * others: what is made while the JVM deletes these would stay.
     *
     * @param names of the files
     */
    public static Temporary folder(String prefix, Collection<String> names) throws IOException {
        return folder(inTheSystemsFolder(prefix, ""), names, "rwx------");
    }

    /** A file or folder that a maker makes. */
    public static Temporary of(Path path, Maker maker) throws IOException {
        return new Temporary(List.of(path)).made(maker);
    }

    /** No file: only {@link #hold} counts. */
    public static Temporary none(Path target) throws IOException {
        return new Temporary(List.of(beside(target))).made(() -> { });
    }

    /** An empty file in a target's folder, which others may read as they may any new file there. */
    public static Temporary fileBeside(Path target) throws IOException {
        Path file = beside(target);
        return new Temporary(List.of(file)).made(() -> Files.createFile(file));
    }

    /**
     * As {@link #folder(String, Collection)}, but in a target's folder, and open to others as {@link #fileBeside}.
     *
     * @param names of the files
     */
    public static Temporary folderBeside(Path target, Collection<String> names) throws IOException {
        return folder(beside(target), names, null);
    }

    /** @param permissions null for those of any new folder */
    private static Temporary folder(Path folder, Collection<String> names, @Nullable String permissions) throws IOException {
        List<Path> files = names.stream().map(folder::resolve).toList();
        return new Temporary(Stream.concat(Stream.of(folder), files.stream()).toList()).made(() -> {
            Files.createDirectory(folder, permissions == null ? new FileAttribute<?>[0] : ofTheOwner(folder, permissions));
            for (Path file : files) {
                Files.createFile(file);
            }
        });
    }

    private static Path inTheSystemsFolder(String prefix, String suffix) {
        return Path.of(System.getProperty("java.io.tmpdir")).resolve(prefix + UUID.randomUUID() + suffix);
    }

    private static FileAttribute<?>[] ofTheOwner(Path path, String permissions) {
        return path.getFileSystem().supportedFileAttributeViews().contains("posix")
                ? new FileAttribute<?>[] {PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString(permissions))}
                : new FileAttribute<?>[0];
    }

    /** A hidden name, so that nobody who lists a folder of adapters meanwhile takes it for an adapter. */
    private static Path beside(Path target) {
        return target.resolveSibling(besidePrefix(target) + UUID.randomUUID() + SUFFIX);
    }

    /** {@return what the temporary names for a target begin with; a UUID and {@link #SUFFIX} follow} */
    public static String besidePrefix(Path target) {
        String name = target.getFileName().toString();
        // File systems take names of 255 bytes, and no half characters.
        int length = Math.min(name.length(), LONGEST_NAME);
        String shown = length == name.length() ? name
                : name.substring(0, Character.isHighSurrogate(name.charAt(length - 1)) ? length - 1 : length) + "-"
                + Integer.toHexString(name.hashCode());
        return "." + shown + ".";
    }

    private Temporary made(Maker maker) throws IOException {
        boolean guarded = guarded();
        try {
            if (guarded) {
                make(maker);
            } else {
                synchronized (deleting()) {
                    leaveToTheEnd();
                    maker.make();
                }
            }
            return this;
        } catch (IllegalStateException e) {
            close();
            throw new IOException("the JVM is shutting down", e);
        } catch (IOException e) {
            close();
            throw e;
        }
    }

    /**
     * The object that the JVM locks when it begins to delete at its end. Code that holds this lock and was not refused makes its
     * files before that. Nothing else announces the deletion, and the JVM does not wait for code that deletes after it.
     */
    private static Object deleting() {
        try {
            return Class.forName("java.io.DeleteOnExitHook", false, null);
        } catch (ClassNotFoundException e) {
            return Temporary.class;
        }
    }

    /** Runs a maker under the lock that the hook takes, so that nothing is made without the hook's knowledge. */
    private synchronized void make(Maker maker) throws IOException {
        if (ending) {
            throw new IllegalStateException("Shutdown in progress");
        }
        maker.make();
    }

    /** Registers the hook; false if the JVM is ending, when it is too late for that. */
    private boolean guarded() {
        try {
            Runtime.getRuntime().addShutdownHook(hook);
            return true;
        } catch (IllegalStateException e) {
            return false;
        }
    }

    /** @throws IllegalStateException if the JVM has already begun to delete */
    private synchronized void leaveToTheEnd() {
        ending = true;
        paths.forEach(Temporary::deleteAtTheEnd);
    }

    private static void deleteAtTheEnd(Path path) {
        if (path.getFileSystem().equals(FileSystems.getDefault())) {
            path.toFile().deleteOnExit();
        }
    }

    /**
     * Makes a further file, or a folder before what is in it, which is deleted with the others.
     *
     * @throws IOException that the maker throws, or if the program is being ended
     */
    public synchronized void add(Path path, Maker maker) throws IOException {
        boolean late = ending;
        hold(() -> {
            if (late) {
                deleteAtTheEnd(path);
            }
            paths.add(path);
            maker.make();
        });
    }

    /**
     * Runs work that must not be cut in two: the end of the program waits for it, except for {@code kill -9}.
     *
     * @throws IOException that the work throws, or if the program is being ended and deletes files already
     */
    public synchronized void hold(Maker work) throws IOException {
        if (!ending) {
            work.make();
            return;
        }
        synchronized (deleting()) {
            try {
                // Refused once the JVM has begun to delete.
                deleteAtTheEnd(path());
            } catch (IllegalStateException e) {
                throw new IOException("the JVM is shutting down", e);
            }
            work.make();
        }
    }

    /** No longer deletes the other paths: what is there now is something else, or belongs to somebody else. */
    public synchronized void release() {
        paths.subList(1, paths.size()).clear();
    }

    /** The file or the folder. */
    public Path path() {
        return paths.get(0);
    }

    /** Deletes it, if it is still there. */
    @Override
    public void close() {
        try {
            Runtime.getRuntime().removeShutdownHook(hook);
        } catch (IllegalStateException e) {
            // The JVM is ending, and the hook has run.
        }
        for (int i = paths.size() - 1; i >= 0; i--) {
            delete(paths.get(i));
        }
    }

    private static void delete(Path path) {
        try {
            Files.deleteIfExists(path);
        } catch (IOException e) {
            // Some systems keep a file as long as it is mapped.
            deleteAtTheEnd(path);
        }
    }
}
