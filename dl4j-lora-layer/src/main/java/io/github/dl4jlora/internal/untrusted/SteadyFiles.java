package io.github.dl4jlora.internal.untrusted;

import io.github.dl4jlora.exception.AdapterFormatException;
import io.github.dl4jlora.internal.common.FileIdentity;

import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.SeekableByteChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;

/**
 * Files that belong together, open as they were at one moment, although another program may replace them. All are opened first,
 * and the files that their names stand for before and after that are compared. From then on renames do not matter any more.
 * Whether a file was written in place is checked after reading.
 */
public final class SteadyFiles implements AutoCloseable {

    private static final int MOST_TRIES = 40;

    private final Map<Path, FileIdentity> identities;
    private final Map<Path, SeekableByteChannel> channels = new LinkedHashMap<>();

    private SteadyFiles(Map<Path, FileIdentity> identities) {
        this.identities = identities;
    }

    /** Tells which files to read, by what is there at the moment. */
    @FunctionalInterface
    public interface Names {
        List<Path> now() throws IOException;
    }

    /** Makes something of the files. */
    @FunctionalInterface
    public interface Reading<T> {
        T of(SteadyFiles files) throws IOException;
    }

    /**
     * Reads files, and reads them again each time they were replaced meanwhile.
     *
     * @param folder  of the files, for the message
     * @param names   asked for each attempt
     * @param reading must have no effects
     * @throws AdapterFormatException if for about a second the files were never the same for long enough
     * @throws IOException            if the reading throws it for files that have not changed
     */
    public static <T> T read(Path folder, Names names, Reading<T> reading) throws IOException {
        for (int i = 0; i < MOST_TRIES; i++) {
            pause(i);
            List<Path> paths = names.now();
            Map<Path, FileIdentity> before = identities(folder, paths);
            try (SteadyFiles files = new SteadyFiles(before)) {
                files.open(paths);
                if (!isSame(folder, names, paths, before)) {
                    continue;
                }
                T read = reading.of(files);
                if (!files.areWritten()) {
                    return read;
                }
            } catch (IOException | RuntimeException e) {
                if (isSame(folder, names, paths, before)) {
                    throw e;
                }
            }
        }
        throw new AdapterFormatException(folder + " was replaced or written " + MOST_TRIES + " times while it was being read. "
                + "Read it again when no other program writes to it, or copy it and read the copy");
    }

    private static boolean isSame(Path folder, Names names, List<Path> paths, Map<Path, FileIdentity> before) throws IOException {
        // The names are asked for first: they depend on some of these files, so the files are compared after that.
        return names.now().equals(paths) && identities(folder, paths).equals(before);
    }

    /** Pauses longer each time, so that a slow writer can finish. */
    private static void pause(int tries) throws InterruptedIOException {
        if (tries == 0) {
            return;
        }
        try {
            Thread.sleep(tries);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new InterruptedIOException("interrupted while waiting for complete files");
        }
    }

    /** The identities of files and of their folder, without the folder's times, which change when anything is made in it. */
    private static Map<Path, FileIdentity> identities(Path folder, List<Path> paths) {
        Map<Path, FileIdentity> identities = new LinkedHashMap<>();
        FileIdentity home = FileIdentity.of(folder);
        identities.put(folder, new FileIdentity(home.present(), home.key(), 0, null, null));
        for (Path path : paths) {
            identities.put(path, FileIdentity.of(path));
        }
        return identities;
    }

    private void open(List<Path> paths) throws IOException {
        for (Path path : paths) {
            if (Files.isRegularFile(path)) {
                // Read, not mapped: a mapping would keep the file from being replaced on some systems, and end the program if
                // the file were shortened.
                channels.put(path, Files.newByteChannel(path, StandardOpenOption.READ));
            }
        }
    }

    private boolean areWritten() {
        return channels.keySet().stream()
                .anyMatch(path -> FileIdentity.of(path).isWrittenSince(Objects.requireNonNull(identities.get(path))));
    }

    /** {@return the files that were there, in the order in which {@link Names} told them} */
    public Set<Path> opened() {
        return Collections.unmodifiableSet(channels.keySet());
    }

    /**
     * {@return all bytes of a file}
     *
     * @throws AdapterFormatException if there was no such file, it has more than {@code most}, or it was shortened meanwhile
     */
    public byte[] bytes(Path path, long most) throws IOException {
        SeekableByteChannel channel = channel(path);
        if (channel.size() > most) {
            throw new AdapterFormatException(path + " is longer than " + most + " bytes");
        }
        ByteBuffer bytes = ByteBuffer.allocate((int) channel.size());
        if (!RawValues.fill(bytes, channel)) {
            throw new AdapterFormatException(path + " was shortened while it was read");
        }
        return bytes.array();
    }

    /** {@return whether a path named a file when the files were opened} */
    public boolean has(Path path) {
        return channels.containsKey(path);
    }

    /**
     * {@return the open channel of a file, which is closed with the others}
     *
     * @throws AdapterFormatException if there was no such file
     */
    public SeekableByteChannel channel(Path path) throws AdapterFormatException {
        SeekableByteChannel channel = channels.get(path);
        if (channel == null) {
            throw new AdapterFormatException(path + " does not exist or is not a file");
        }
        return channel;
    }

    @Override
    public void close() throws IOException {
        IOException failure = null;
        for (SeekableByteChannel channel : channels.values()) {
            try {
                channel.close();
            } catch (IOException e) {
                failure = e;
            }
        }
        if (failure != null) {
            throw failure;
        }
    }
}
