package io.github.dl4jlora.examples.serve;

import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.bank.AdapterBank;
import io.github.dl4jlora.examples.cli.Wording;
import io.github.dl4jlora.exception.AdapterFormatException;
import io.javalin.http.Context;

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
import java.util.zip.ZipEntry;
import java.util.zip.ZipException;
import java.util.zip.ZipFile;

/** An adapter as a stranger sends it: PEFT's folder as a zip, or its two files as parts of a form. */
final class AdapterUpload {

    /** In the order in which they are replaced where not both can be at once. */
    static final List<String> FILES = List.of("adapter_model.safetensors", "adapter_config.json");
    /** In messages of the bank, which knows no upload. */
    private static final String TRIAL = "upload";
    /** What came, while it is not unpacked. */
    private static final String UPLOAD = "upload";
    private static final int MOST_ENTRIES = 10_000;
    /** Bytes of the list of so many files. */
    private static final int LONGEST_LIST = 2 << 20;
    /** Bytes at the end of a zip among which its last record begins. */
    private static final int ZIP_TAIL = 22 + (1 << 16);
    private static final int ZIP_END_RECORD = 22;
    private static final int ZIP_END = 0x06054b50;
    /** In place of a size: it is told elsewhere, as it needs more than 32 bits. */
    private static final long ZIP64 = 0xffffffffL;

    private final AdapterStore store;
    private final AdapterBank bank;
    private final long most;
    private final Duration time;
    private final Executor changes;

    /** @param changes on whose threads uploads are unpacked and tried */
    AdapterUpload(AdapterStore store, AdapterBank bank, Limits limits, Executor changes) {
        this.store = store;
        this.bank = bank;
        this.most = limits.maxUpload();
        this.time = limits.uploadTimeout();
        this.changes = changes;
    }

    /**
     * Takes it, and puts it into its place once it is known to be whole and to fit the base.
     *
     * @param share of the request
     * @return whether it replaced one; or a {@link Problem} if it is none, too large, or made for another base: what was there
     *         before is untouched
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
        return receive(request, share, staged.resolve(UPLOAD)).thenApplyAsync(whole -> {
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
        }, changes).whenCompleteAsync((replaced, failure) -> {
            try {
                store.discard(staged);
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }, changes);
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
            return store.put(name, staged);
        } catch (IOException e) {
            // What the library says names the folder; its cause says why.
            throw Problem.cannotWrite(e.getCause() instanceof IOException reason ? reason : e);
        }
    }

    private Path staged() {
        try {
            return store.stage();
        } catch (IOException e) {
            throw Problem.cannotWrite(e);
        }
    }

    /**
     * Wherever in the zip the two files lie; others are left where they are. Of a file, as the end of a zip says what is in it,
     * and whether it is whole.
     */
    private void unzip(Path file, Path staged) throws IOException {
        requireShortList(file);
        long[] left = {most};
        try (ZipFile zip = new ZipFile(file.toFile())) {
            if (zip.size() > MOST_ENTRIES) {
                throw Problem.tooLarge("The zip has more than " + MOST_ENTRIES + " files, but an adapter has two");
            }
            for (ZipEntry entry : Collections.list(zip.entries())) {
                requireInside(entry.getName());
                String name = entry.getName().substring(entry.getName().lastIndexOf('/') + 1);
                if (FILES.contains(name)) {
                    requireFirst(name, staged);
                    try (InputStream in = zip.getInputStream(entry);
                         OutputStream out = Files.newOutputStream(staged.resolve(name))) {
                        copy(in, out, left);
                    }
                }
            }
        } catch (ZipException | EOFException | IllegalArgumentException e) {
            throw Problem.badRequest("The zip is damaged, or none: " + e.getMessage() + ". Send one with "
                    + String.join(" and ", FILES));
        }
    }

    /** The list of files at a zip's end, which is read as a whole: wherever one might be seen to begin its last record. */
    private static void requireShortList(Path file) throws IOException {
        try (FileChannel channel = FileChannel.open(file)) {
            long from = Math.max(0, channel.size() - ZIP_TAIL);
            ByteBuffer tail = ByteBuffer.allocate((int) (channel.size() - from)).order(ByteOrder.LITTLE_ENDIAN);
            while (tail.hasRemaining() && channel.read(tail, from + tail.position()) >= 0) {
                // All of it.
            }
            for (int i = 0; i <= tail.position() - ZIP_END_RECORD; i++) {
                long bytes = Integer.toUnsignedLong(tail.getInt(i + 12));
                if (tail.getInt(i) == ZIP_END && (bytes > LONGEST_LIST && bytes <= from + i || bytes == ZIP64)) {
                    throw Problem.tooLarge("The zip has more than " + MOST_ENTRIES + " files, but an adapter has two");
                }
            }
        }
    }

    /** Nothing is written by these names; but who sends such a thing has something in mind. */
    private static void requireInside(String name) {
        if (name.startsWith("/") || name.contains("\\") || List.of(name.split("/")).contains("..")) {
            throw Problem.badRequest("The zip has a file \"" + name + "\", which leads out of its folder");
        }
    }

    private static void requireFirst(String file, Path staged) {
        if (Files.exists(staged.resolve(file))) {
            throw Problem.badRequest("There are two files " + file + "; an adapter has one");
        }
    }

    /** Without a configuration PEFT cannot read it, and one that is there already is another's. */
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
            throw Problem.tooLarge("The adapter has more than " + most + " bytes unpacked, but may have as many. Have the "
                    + "service started with a larger limit");
        }
        try {
            out.write(bytes, from, length);
        } catch (IOException e) {
            throw Problem.cannotWrite(e);
        }
    }

    /** The files of a form, to where they belong. */
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

    /** Whether it is an adapter, and one for the base. One at a time, as it is in memory meanwhile. */
    private synchronized void check(Path staged) throws IOException {
        try {
            bank.check(TRIAL, LoRAAdapter.load(staged));
        } catch (AdapterFormatException | IllegalArgumentException e) {
            // Where it lies is nobody's business.
            throw Problem.badRequest(Wording.of(e.getMessage().replace(staged + File.separator, "")
                    .replace(staged.toString(), "The upload")).replace("\"" + TRIAL + "\"", "of the upload"));
        }
    }
}
