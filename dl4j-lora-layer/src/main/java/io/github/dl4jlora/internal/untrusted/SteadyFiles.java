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
import java.util.Set;

/**
 * Files that belong together, open as they were at one moment, although somebody may replace them: all are opened first, and
 * what their names stand for is compared before and after. From then on renames do not matter any more; whether one of them was
 * written where it lies is looked at when they have been read.
 */
public final class SteadyFiles implements AutoCloseable {

    private static final int MOST_TRIES = 40;

    private final Map<Path, FileIdentity> identities;
    private final Map<Path, SeekableByteChannel> channels = new LinkedHashMap<>();

    private SteadyFiles(Map<Path, FileIdentity> identities) {
        this.identities = identities;
    }

    /** Tells which files there are, by what is there at the moment. */
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
     * Reads files, anew as long as somebody replaces them meanwhile.
     *
     * @param folder  of the files, for the message
     * @param names   asked for each attempt
     * @param reading must have no effects
     * @throws AdapterFormatException if for about a second the files were never the same for long enough
     * @throws IOException            that the reading throws of files which nobody has touched
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
        // The names first: what they go by is among the files, and has to have been the same before.
        return names.now().equals(paths) && identities(folder, paths).equals(before);
    }

    /** Longer from time to time, so that a slow writer comes to an end. */
    private static void pause(int tries) throws InterruptedIOException {
        if (tries == 0) {
            return;
        }
        try {
            Thread.sleep(tries);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new InterruptedIOException("interrupted while it waited for files to be whole");
        }
    }

    /** Of files, and of which folder they are in, whose times change with whatever is made in it. */
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
                // somebody shortened it.
                channels.put(path, Files.newByteChannel(path, StandardOpenOption.READ));
            }
        }
    }

    private boolean areWritten() {
        return channels.keySet().stream().anyMatch(path -> FileIdentity.of(path).isWrittenSince(identities.get(path)));
    }

    /** {@return those that were there, in the order of their names} */
    public Set<Path> opened() {
        return Collections.unmodifiableSet(channels.keySet());
    }

    /**
     * {@return all bytes of one}
     *
     * @throws AdapterFormatException if there was no such file, it has more than so many, or it was shortened meanwhile
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

    /** {@return whether a path named a file when they were opened} */
    public boolean has(Path path) {
        return channels.containsKey(path);
    }

    /**
     * {@return the bytes of one, which is closed with the others}
     *
     * @throws AdapterFormatException if there was no such file
     */
    public SeekableByteChannel channel(Path path) throws AdapterFormatException {
        if (!has(path)) {
            throw new AdapterFormatException(path + " does not exist or is no file");
        }
        return channels.get(path);
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
