package io.github.dl4jlora.internal.common;

import java.io.IOException;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.UUID;
import java.util.stream.Stream;

/**
 * A file or folder that is gone when it is closed, and when the JVM ends before that: by Ctrl-C, SIGTERM or System.exit.
 *
 * <p>The hook that sees to it is registered no longer than there is something to delete, so it keeps no class loader alive. It
 * deletes nothing itself: it leaves that to what the JVM does after all hooks, since a hook of the user's may wait for the very
 * save that is under way.
 */
public final class Temporary implements AutoCloseable {

    /** Makes something, and says what may be there from then on: a folder before what is in it. */
    @FunctionalInterface
    private interface Maker {
        List<Path> make() throws IOException;
    }

    private final Thread hook = new Thread(null, this::leaveToTheEnd, "dl4j-lora: temporary files", 0, false);
    private final List<Path> paths = new ArrayList<>();
    private boolean ending;

    private Temporary() {
    }

    /** An empty file in the system's temporary folder that nobody else may read. */
    public static Temporary file(String prefix, String suffix) throws IOException {
        return made(() -> List.of(Files.createTempFile(prefix, suffix)));
    }

    /**
     * A folder in the system's temporary folder.
     *
     * @param names of all files that will be in it
     */
    public static Temporary folder(String prefix, Collection<String> names) throws IOException {
        return made(() -> folder(Files.createTempDirectory(prefix), names));
    }

    /** An empty file in a target's folder, which others may read as they may any new file there. */
    public static Temporary fileBeside(Path target) throws IOException {
        return made(() -> List.of(Files.createFile(beside(target))));
    }

    /**
     * As {@link #fileBeside}, a folder of empty files.
     *
     * @param names of the files
     */
    public static Temporary folderBeside(Path target, Collection<String> names) throws IOException {
        return made(() -> {
            List<Path> made = folder(Files.createDirectory(beside(target)), names);
            for (Path file : made.subList(1, made.size())) {
                Files.createFile(file);
            }
            return made;
        });
    }

    private static List<Path> folder(Path made, Collection<String> names) {
        return Stream.concat(Stream.of(made), names.stream().map(made::resolve)).toList();
    }

    private static Path beside(Path target) {
        return target.resolveSibling(target.getFileName() + "." + UUID.randomUUID() + ".tmp");
    }

    private static Temporary made(Maker maker) throws IOException {
        Temporary temporary = new Temporary();
        boolean guarded = temporary.guarded();
        try {
            temporary.make(maker);
            if (!guarded) {
                temporary.leaveToTheEnd();
            }
            return temporary;
        } catch (IllegalStateException e) {
            temporary.close();
            throw new IOException("the program is being ended", e);
        } catch (IOException e) {
            temporary.close();
            throw e;
        }
    }

    /** Under the lock that the hook takes, so that nothing is made behind its back. */
    private synchronized void make(Maker maker) throws IOException {
        if (ending) {
            throw new IllegalStateException("Shutdown in progress");
        }
        paths.addAll(maker.make());
    }

    /** Whether the hook is registered; it is too late for that while the JVM ends. */
    private boolean guarded() {
        try {
            Runtime.getRuntime().addShutdownHook(hook);
            return true;
        } catch (IllegalStateException e) {
            return false;
        }
    }

    /** @throws IllegalStateException if that end has come already */
    private synchronized void leaveToTheEnd() {
        ending = true;
        paths.forEach(Temporary::deleteAtTheEnd);
    }

    private static void deleteAtTheEnd(Path path) {
        if (path.getFileSystem().equals(FileSystems.getDefault())) {
            path.toFile().deleteOnExit();
        }
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
