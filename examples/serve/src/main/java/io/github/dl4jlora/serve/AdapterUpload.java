package io.github.dl4jlora.serve;

import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.bank.AdapterBank;
import io.github.dl4jlora.cli.Wording;
import io.github.dl4jlora.exception.AdapterFormatException;
import io.github.dl4jlora.internal.file.AtomicFile;
import io.javalin.http.Context;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.EOFException;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.zip.CRC32;
import java.util.zip.CheckedInputStream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipException;
import java.util.zip.ZipFile;

/** An adapter from an untrusted client: PEFT's folder as a zip, or its two files as parts of a form. */
final class AdapterUpload {

    /** In the order in which they are replaced if they cannot be replaced together. */
    static final List<String> FILES = List.of("adapter_model.safetensors", "adapter_config.json");
    /** The name of an upload in messages of the bank. */
    private static final String TRIAL = "upload";
    /** The file of an upload before it is unpacked. */
    private static final String UPLOAD = "upload";
    private static final int MOST_ENTRIES = 10_000;
    /** Bytes of the list of {@value #MOST_ENTRIES} files. */
    private static final int LONGEST_LIST = 2 << 20;
    /** A zip's last record begins within this many bytes of its end. */
    private static final int ZIP_TAIL = 22 + (1 << 16);
    private static final int ZIP_END_RECORD = 22;
    private static final int ZIP_END = 0x06054b50;
    /** In place of a size that needs more than 32 bits and is stored elsewhere. */
    private static final long ZIP64 = 0xffffffffL;

    private static final Logger LOG = LoggerFactory.getLogger(AdapterUpload.class);

    private final AdapterStore store;
    private final AdapterBank bank;
    private final long most;
    private final Duration time;
    private final Executor changes;

    /** @param changes runs the unpacking and checking of uploads */
    AdapterUpload(AdapterStore store, AdapterBank bank, Limits limits, Executor changes) {
        this.store = store;
        this.bank = bank;
        this.most = limits.maxUpload();
        this.time = limits.uploadTimeout();
        this.changes = changes;
    }

    /**
     * Receives an adapter, and puts it in place once it is known to be complete and to fit the base.
     *
     * @param share of the request
     * @return whether it replaced one; or a {@link Problem} if it is not an adapter, too large, or made for another base: then
     *         nothing is changed; or one that says what could not be written
     */
    CompletableFuture<Boolean> accept(String name, Context request, Intake.Share share) throws IOException {
        String type = Body.type(request);
        if (!type.equals(Body.ZIP) && !type.equals(Body.MULTIPART)) {
            throw Body.unknownType(request, "a zip of PEFT's folder as " + Body.ZIP + ", or its two files "
                    + String.join(" and ", FILES) + " as parts of a " + Body.MULTIPART);
        }
        Body.requireFitting(request, most);
        String contentType = request.contentType();
        Path staged = staged();
        CompletableFuture<Void> received;
        try {
            received = receive(request, share, staged.resolve(UPLOAD));
        } catch (IOException | RuntimeException e) {
            discard(staged);
            throw e;
        }
        return received.thenApplyAsync(whole -> {
            try {
                unpack(staged.resolve(UPLOAD), type, contentType, staged);
                requireBoth(staged);
                check(staged);
                return put(name, staged);
            } catch (FileSystemException e) {
                throw Problem.cannotWrite(e);
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }, changes).whenCompleteAsync((replaced, failure) -> discard(staged), changes);
    }

    /** What cannot be deleted changes nothing about the answer. It goes when the service starts the next time. */
    private void discard(Path staged) {
        try {
            store.discard(staged);
        } catch (IOException e) {
            LOG.warn("The folder of an upload cannot be deleted: {}", e.toString());
        }
    }

    private CompletableFuture<Void> receive(Context request, Intake.Share share, Path file) throws IOException {
        OutputStream out;
        try {
            out = Files.newOutputStream(file);
        } catch (IOException e) {
            throw Problem.cannotWrite(e);
        }
        return Reception.start(request, share, most, time, (bytes, length) -> {
            try {
                out.write(bytes, 0, length);
            } catch (IOException e) {
                throw Problem.cannotWrite(e);
            }
        }).whenComplete((whole, failure) -> {
            try {
                out.close();
            } catch (IOException e) {
                throw Problem.cannotWrite(e);
            }
        });
    }

    private void unpack(Path upload, String type, String contentType, Path staged) throws IOException {
        if (type.equals(Body.ZIP)) {
            unzip(upload, staged);
        } else {
            try (InputStream body = Files.newInputStream(upload); Parts parts = new Parts(staged)) {
                UploadedForm.read(body, contentType, parts);
            }
        }
        Files.delete(upload);
    }

    private boolean put(String name, Path staged) {
        try {
            return store.changing(name, bank::refresh, () -> store.put(name, staged));
        } catch (IOException e) {
            throw notPut(name, e);
        }
    }

    /** @param e as the library threw it: its message names the folder, and its cause has the reason */
    static Problem notPut(String name, IOException e) {
        if (e instanceof AtomicFile.HalfDone) {
            LOG.warn("Adapter \"{}\" was replaced in part: {}", name, e.getMessage());
            return Problem.halfWritten(name);
        }
        return Problem.cannotWrite(e.getCause() instanceof IOException reason ? reason : e);
    }

    private Path staged() {
        try {
            return store.stage();
        } catch (IOException e) {
            throw Problem.cannotWrite(e);
        }
    }

    /**
     * Extracts the two files, wherever in the zip they are, and ignores others. The zip is a file, since only its end says what
     * is in it, and whether it is complete.
     */
    private void unzip(Path file, Path staged) throws IOException {
        requireShortList(file);
        long[] left = {most};
        try (ZipFile zip = new ZipFile(file.toFile())) {
            if (zip.size() > MOST_ENTRIES) {
                throw Problem.tooLarge("The zip has more than " + MOST_ENTRIES + " files, but an adapter has two");
            }
            for (ZipEntry entry : Collections.list(zip.entries())) {
                // Windows PowerShell 5.1 writes backslashes between folders.
                String path = entry.getName().replace('\\', '/');
                requireInside(path);
                String name = path.substring(path.lastIndexOf('/') + 1);
                if (FILES.contains(name)) {
                    requireFirst(name, staged);
                    // Java's ZipFile does not look at checksums.
                    CRC32 sum = new CRC32();
                    try (InputStream in = new CheckedInputStream(zip.getInputStream(entry), sum);
                         OutputStream out = Files.newOutputStream(staged.resolve(name))) {
                        copy(in, out, left);
                    }
                    if (sum.getValue() != entry.getCrc()) {
                        throw new ZipException("the checksum of its " + name + " is wrong");
                    }
                }
            }
        } catch (ZipException | EOFException | IllegalArgumentException e) {
            throw Problem.badRequest("The zip is damaged, or not a zip: " + e.getMessage() + ". Send one with "
                    + String.join(" and ", FILES));
        }
    }

    /**
     * Limits the list of files at a zip's end, which is read as a whole. Every place where a reader might see the beginning of
     * the last record is checked.
     */
    private static void requireShortList(Path file) throws IOException {
        try (FileChannel channel = FileChannel.open(file)) {
            long from = Math.max(0, channel.size() - ZIP_TAIL);
            ByteBuffer tail = ByteBuffer.allocate((int) (channel.size() - from)).order(ByteOrder.LITTLE_ENDIAN);
            while (tail.hasRemaining() && channel.read(tail, from + tail.position()) >= 0) {
                // Until all of it is read.
            }
            for (int i = 0; i <= tail.position() - ZIP_END_RECORD; i++) {
                long bytes = Integer.toUnsignedLong(tail.getInt(i + 12));
                if (tail.getInt(i) == ZIP_END && (bytes > LONGEST_LIST && bytes <= from + i || bytes == ZIP64)) {
                    throw Problem.tooLarge("The zip has more than " + MOST_ENTRIES + " files, but an adapter has two");
                }
            }
        }
    }

    /** No file is written under these names, but such a name means harm. */
    private static void requireInside(String name) {
        if (name.startsWith("/") || List.of(name.split("/")).contains("..")) {
            throw Problem.badRequest("The zip has a file \"" + name + "\", which leads out of its folder");
        }
    }

    private static void requireFirst(String file, Path staged) {
        if (Files.exists(staged.resolve(file))) {
            throw Problem.badRequest("There are two files " + file + "; an adapter has one");
        }
    }

    /** Without a configuration PEFT cannot read an adapter, and an existing one belongs to another adapter. */
    private static void requireBoth(Path staged) {
        for (String file : FILES) {
            if (!Files.exists(staged.resolve(file))) {
                throw Problem.badRequest("The upload has no " + file + ". Send both " + String.join(" and ", FILES));
            }
        }
    }

    private void copy(InputStream in, OutputStream out, long[] left) throws IOException {
        byte[] chunk = new byte[1 << 16];
        for (int n = in.read(chunk); n >= 0; n = in.read(chunk)) {
            write(out, chunk, 0, n, left);
        }
    }

    private void write(OutputStream out, byte[] bytes, int from, int length, long[] left) {
        left[0] -= length;
        if (left[0] < 0) {
            throw Problem.tooLarge("The adapter has more than " + most + " bytes unpacked, which is the limit. Have the service "
                    + "started with a larger one");
        }
        try {
            out.write(bytes, from, length);
        } catch (IOException e) {
            throw Problem.cannotWrite(e);
        }
    }

    /** Writes the files of a form to where they belong. */
    private final class Parts implements UploadedForm.Files, AutoCloseable {

        private final Path staged;
        private final long[] left = {most};
        private OutputStream out = OutputStream.nullOutputStream();

        Parts(Path staged) {
            this.staged = staged;
        }

        @Override
        public void begin(String name) throws IOException {
            if (!FILES.contains(name)) {
                throw Problem.badRequest("The form has a file \"" + name + "\"; it may have " + String.join(" and ", FILES));
            }
            requireFirst(name, staged);
            out.close();
            out = Files.newOutputStream(staged.resolve(name));
        }

        @Override
        public void add(byte[] bytes, int from, int length) {
            write(out, bytes, from, length, left);
        }

        @Override
        public void close() throws IOException {
            out.close();
        }
    }

    /** Checks that the files are an adapter for the base. One at a time, since the adapter is in memory. */
    private synchronized void check(Path staged) throws IOException {
        try {
            bank.check(TRIAL, LoRAAdapter.load(staged));
        } catch (AdapterFormatException | IllegalArgumentException e) {
            // Clients should not learn paths of this machine.
            throw Problem.badRequest(Wording.of(e.getMessage().replace(staged + File.separator, "")
                    .replace(staged.toString(), "The upload")).replace("\"" + TRIAL + "\"", "of the upload"));
        }
    }
}
