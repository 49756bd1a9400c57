package io.github.dl4jlora.internal.file;

import io.github.dl4jlora.internal.common.FileIdentity;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFileAttributeView;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ThreadLocalRandom;

/**
 * Lets one thread of one process at a time save into a folder, by a lock on a hidden file in it. The system releases the lock
 * when the process ends, however it ends. The holder deletes the file; so a lock counts only if the locked file is still the one
 * in the folder. Where a file system has no locks, nobody waits.
 */
final class FolderLock implements AutoCloseable {

    private static final Logger LOG = LoggerFactory.getLogger(FolderLock.class);

    static final String NAME = ".dl4j-lora.lock";

    /**
     * Where folders are exchanged, contents are written before the lock is asked for, so it is held for renames alone. Where
     * files are replaced one by one, they are written under the lock, since whoever has it deletes what others have begun in the
     * folder: who waits for a longer save gives up.
     */
    private static final int MOST_TRIES = 6000;
    private static final int MOST_TRIES_AGAINST_PERMISSIONS = 100;
    private static final int PAUSE_MILLIS = 10;
    private static final int MARKS = 1 << 12;
    private static final byte PREPARED = 'p';
    private static final byte IN_PLACE = 'f';

    /** A file's lock does not keep threads of one JVM apart, and closing any channel of a file releases all locks on it. */
    private static final Set<Path> HELD = ConcurrentHashMap.newKeySet();

    private final Path key;
    private final FileChannel channel;
    private final boolean isLocked;
    private final boolean wasPrepared;
    private Path folder;
    private boolean isClosed;

    private FolderLock(Path folder, FileChannel channel, boolean isLocked, boolean wasPrepared) {
        this.key = folder;
        this.folder = folder;
        this.channel = channel;
        this.isLocked = isLocked;
        this.wasPrepared = wasPrepared;
    }

    /** Asks once for a lock. */
    @FunctionalInterface
    interface Attempt {

        /** @return the lock; null as long as somebody else has it */
        @Nullable FolderLock lock() throws IOException;
    }

    /** Work that needs the lock. */
    @FunctionalInterface
    interface Turn {

        /** @return whether it got the lock and has done its work */
        boolean isTaken(Attempt attempt) throws IOException;
    }

    /**
     * Waits for the lock.
     *
     * @param folder its real path
     * @param turn   what is to be done with the lock; called until it got the lock
     * @throws NoSuchFileException if the folder does not exist, or not any more
     * @throws IOException         if the folder cannot be written to, if somebody has held it for a minute, or as the turn throws
     */
    static void inTurn(Path folder, Turn turn) throws IOException {
        int[] denied = new int[1];
        for (int i = 0; i < MOST_TRIES; i++) {
            if (turn.isTaken(() -> attempted(folder, denied))) {
                return;
            }
            pause();
        }
        throw new IOException("another program has been writing to it for a minute. Stop that program, or choose another name");
    }

    private static @Nullable FolderLock attempted(Path folder, int[] denied) throws IOException {
        try {
            return tried(folder, IN_PLACE);
        } catch (NoSuchFileException e) {
            // The folder has just been replaced by another.
            if (!Files.isDirectory(folder)) {
                throw e;
            }
        } catch (AccessDeniedException e) {
            // On Windows the file is being deleted, and is said not to exist. Elsewhere it belongs to another user, and may be an
            // old left-over.
            if (++denied[0] == MOST_TRIES_AGAINST_PERMISSIONS
                    || !Moves.isWindows(folder) && !Files.exists(folder.resolve(NAME), LinkOption.NOFOLLOW_LINKS)) {
                throw e;
            }
        }
        return null;
    }

    /**
     * {@return the lock of a folder that was just made beside its target; null if somebody has taken the folder for a left-over}
     */
    static @Nullable FolderLock ofPrepared(Path folder) throws IOException {
        return tried(folder, PREPARED);
    }

    /** {@return the lock of a folder that nobody holds any more; null if somebody does, or if that cannot be known} */
    static @Nullable FolderLock ofLeftOver(Path folder) throws IOException {
        FolderLock lock = tried(folder, (byte) 0);
        if (lock != null && !lock.isLocked) {
            HELD.remove(lock.key);
            lock.channel.close();
            return null;
        }
        return lock;
    }

    /** {@return whether somebody has, or had, the lock of a folder} */
    static boolean isMarked(Path folder) {
        return FileIdentity.of(folder.resolve(NAME)).size() > 0;
    }

    private static @Nullable FolderLock tried(Path folder, byte kind) throws IOException {
        if (!HELD.add(folder)) {
            return null;
        }
        FolderLock lock = null;
        try (Uninterrupted none = new Uninterrupted()) {
            lock = locked(folder, kind);
        } finally {
            if (lock == null) {
                HELD.remove(folder);
            }
        }
        return lock;
    }

    private static @Nullable FolderLock locked(Path folder, byte kind) throws IOException {
        Path file = folder.resolve(NAME);
        FileChannel channel = FileChannel.open(file, Set.of(StandardOpenOption.CREATE, StandardOpenOption.READ,
                StandardOpenOption.WRITE, LinkOption.NOFOLLOW_LINKS));
        FolderLock lock = null;
        try {
            FileLock systems = systems(channel);
            if (systems == null) {
                return null;
            }
            boolean wasPrepared = kind == 0 && kind(channel) == PREPARED;
            if (mark(channel, file, kind == 0 ? kind(channel) : kind)) {
                lock = new FolderLock(folder, channel, systems.isValid(), wasPrepared);
            }
            return lock;
        } catch (NoLocks e) {
            lock = new FolderLock(folder, channel, false, false);
            return lock;
        } finally {
            if (lock == null) {
                channel.close();
            }
        }
    }

    /** The file system has no locks. */
    private static final class NoLocks extends IOException {

        private static final long serialVersionUID = 1L;

        NoLocks(IOException cause) {
            super(cause);
        }
    }

    private static @Nullable FileLock systems(FileChannel channel) throws NoLocks {
        try {
            return channel.tryLock();
        } catch (OverlappingFileLockException byAnotherClassLoader) {
            return null;
        } catch (IOException e) {
            throw new NoLocks(e);
        }
    }

    private static byte kind(FileChannel channel) throws IOException {
        ByteBuffer last = ByteBuffer.allocate(1);
        long size = channel.size();
        return size == 0 || channel.read(last, size - 1) != 1 ? 0 : last.get(0);
    }

    /** Gives the file a length of its own: if the file in the folder has that length, it is this one. */
    private static boolean mark(FileChannel channel, Path file, byte kind) throws IOException {
        int length = 1 + ThreadLocalRandom.current().nextInt(MARKS);
        channel.truncate(0);
        channel.write(ByteBuffer.wrap(new byte[] {kind}), length - 1L);
        try {
            allowOthers(file);
            return Files.size(file) == length;
        } catch (NoSuchFileException e) {
            return false;
        }
    }

    /** Lets everybody who may write to the folder hold its lock. */
    private static void allowOthers(Path file) throws IOException {
        if (Files.getFileAttributeView(file, PosixFileAttributeView.class) != null) {
            Set<PosixFilePermission> allowed = Files.getPosixFilePermissions(file.getParent());
            allowed.retainAll(PosixFilePermissions.fromString("rw-rw-rw-"));
            try {
                Files.setPosixFilePermissions(file, allowed);
            } catch (FileSystemException ofSomebodyElse) {
                if (ofSomebodyElse instanceof NoSuchFileException) {
                    throw ofSomebodyElse;
                }
            }
        }
    }

    private static void pause() throws InterruptedIOException {
        try {
            Thread.sleep(PAUSE_MILLIS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new InterruptedIOException("interrupted while waiting for another save");
        }
    }

    /** {@return whether the folder was prepared, but never put in its place} */
    boolean wasPrepared() {
        return wasPrepared;
    }

    /** To be called when the folder has moved, with the file in it. */
    void moved(Path to) {
        folder = to;
    }

    /**
     * Deletes the file, while nobody else can hold it, and releases the lock. A file that could not be deleted does no harm. A
     * second call does nothing: the file may be somebody else's by then.
     */
    @Override
    public void close() {
        if (isClosed) {
            return;
        }
        isClosed = true;
        try (channel) {
            Files.deleteIfExists(folder.resolve(NAME));
        } catch (IOException e) {
            LOG.debug("{} could not be deleted", folder.resolve(NAME), e);
        } finally {
            HELD.remove(key);
        }
    }
}
