package io.github.dl4jlora.internal.file;

import io.github.dl4jlora.internal.common.Temporary;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.AccessDeniedException;
import java.nio.file.AtomicMoveNotSupportedException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;

/** Moves of files and folders, which Windows refuses as long as a program has one of them open, and which have to last. */
final class Moves {

    private static final int MOST_TRIES = 20;
    private static final int PAUSE_MILLIS = 25;

    private Moves() {
    }

    /** Moves a file, in one step where the system can; what is there is replaced. */
    static void move(Path from, Path to) throws IOException {
        inTime(to, () -> {
            try {
                Files.move(from, to, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
            } catch (AtomicMoveNotSupportedException e) {
                Files.move(from, to, StandardCopyOption.REPLACE_EXISTING);
            }
        });
    }

    /**
     * Moves, on Windows half a second long again and again: it refuses to move what a program, such as a virus scanner, has just
     * opened.
     */
    static void inTime(Path to, Temporary.Maker move) throws IOException {
        for (int i = 1; ; i++) {
            try {
                move.make();
                return;
            } catch (FileSystemException e) {
                if (i == MOST_TRIES || !isRefusedByWindows(to, e)) {
                    throw e;
                }
                try {
                    Thread.sleep(PAUSE_MILLIS);
                } catch (InterruptedException interrupted) {
                    Thread.currentThread().interrupt();
                    throw e;
                }
            }
        }
    }

    /** Makes sure that files made in a folder, or moved into it, are still there after a power failure. */
    static void flush(Path folder) {
        try (Uninterrupted none = new Uninterrupted();
                FileChannel channel = FileChannel.open(folder, StandardOpenOption.READ)) {
            channel.force(true);
        } catch (IOException | UnsupportedOperationException e) {
            // Windows cannot open folders, and need not: its journal records moves.
        }
    }

    /** {@return whether Windows denies access, or says in words alone that another process uses the file} */
    static boolean isRefusedByWindows(Path path, FileSystemException e) {
        return isWindows(path) && (e instanceof AccessDeniedException || e.getClass() == FileSystemException.class);
    }

    /** {@return whether a path is one of Windows, where open files cannot be replaced} */
    static boolean isWindows(Path path) {
        return path.getFileSystem().getSeparator().equals("\\");
    }
}
