package io.github.dl4jlora.internal.untrusted;

import io.github.dl4jlora.exception.AdapterFormatException;
import io.github.dl4jlora.internal.common.Temporary;

import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.HashSet;
import java.util.Set;
import java.util.zip.ZipEntry;
import java.util.zip.ZipException;
import java.util.zip.ZipInputStream;

/** A zip from a stream: its files of certain names, in whatever folder of the zip, are copied to a temporary folder. */
public final class SpooledZip implements AutoCloseable {

    /** Most inflated bytes: a stream does not tell how much is to come. */
    private static final long MOST_BYTES = 8L << 30;
    private static final int MOST_ENTRIES = 10_000;
    private static final int CHUNK = 1 << 16;

    private final Temporary folder;

    private SpooledZip(Temporary folder) {
        this.folder = folder;
    }

    /**
     * @param in    not closed; its position afterwards is undefined
     * @param names without folders
     * @throws AdapterFormatException if it is no zip, is damaged, has one of the files twice, or is too large
     */
    public static SpooledZip of(InputStream in, Set<String> names) throws IOException {
        SpooledZip spooled = new SpooledZip(Temporary.folder("adapter", names));
        try {
            spooled.take(new ZipInputStream(in), names);
            return spooled;
        } catch (ZipException | EOFException | IllegalArgumentException e) {
            spooled.close();
            // An IllegalArgumentException is thrown for names that are not UTF-8.
            throw new AdapterFormatException("The stream is a damaged zip: "
                    + (e instanceof EOFException ? "it ends too early" : e.getMessage()), e);
        } catch (IOException | RuntimeException e) {
            spooled.close();
            throw e;
        }
    }

    public Path folder() {
        return folder.path();
    }

    private void take(ZipInputStream zip, Set<String> names) throws IOException {
        Set<String> found = new HashSet<>();
        long[] left = {MOST_BYTES};
        int entries = 0;
        for (ZipEntry entry = zip.getNextEntry(); entry != null; entry = zip.getNextEntry()) {
            if (entries++ == MOST_ENTRIES) {
                throw new AdapterFormatException("The stream is a zip of more than " + MOST_ENTRIES
                        + " files, which cannot be an adapter");
            }
            // Folders in the name are ignored; above all, they do not decide where a file is written. Some programs of Windows
            // write backslashes between them.
            String path = entry.getName().replace('\\', '/');
            String name = path.substring(path.lastIndexOf('/') + 1);
            boolean wanted = names.contains(name);
            if (wanted && !found.add(name)) {
                throw new AdapterFormatException("The stream is a zip with two files called " + name + "; an adapter has one");
            }
            try (OutputStream out = wanted ? Files.newOutputStream(folder().resolve(name), StandardOpenOption.WRITE)
                    : OutputStream.nullOutputStream()) {
                copy(zip, out, left);
            }
        }
        for (String name : names) {
            if (!found.contains(name)) {
                Files.deleteIfExists(folder().resolve(name));
            }
        }
        if (entries == 0) {
            throw new AdapterFormatException("The stream is not a zip; an adapter's stream is a zip with " + names);
        }
    }

    private static void copy(InputStream in, OutputStream out, long[] left) throws IOException {
        byte[] chunk = new byte[CHUNK];
        for (int n = in.read(chunk); n >= 0; n = in.read(chunk)) {
            left[0] -= n;
            if (left[0] < 0) {
                throw new AdapterFormatException("The stream is a zip of more than " + MOST_BYTES + " bytes; load a larger "
                        + "adapter from a folder");
            }
            out.write(chunk, 0, n);
        }
    }

    @Override
    public void close() {
        folder.close();
    }
}
