package io.github.dl4jlora.examples.serve;

import io.github.dl4jlora.adapter.AdapterFormatException;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.bank.AdapterBank;
import io.github.dl4jlora.examples.cli.Wording;
import io.javalin.http.Context;
import io.javalin.http.UploadedFile;

import java.io.EOFException;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Collections;
import java.util.List;
import java.util.zip.ZipEntry;
import java.util.zip.ZipException;
import java.util.zip.ZipFile;

/** An adapter as a stranger sends it: PEFT's folder as a zip, or its two files as parts of a form. */
final class AdapterUpload {

    /** In the order in which they are replaced where not both can be at once. */
    static final List<String> FILES = List.of("adapter_model.safetensors", "adapter_config.json");
    /** In messages of the bank, which knows no upload. */
    private static final String TRIAL = "upload";
    private static final int MOST_ENTRIES = 10_000;

    private final AdapterStore store;
    private final AdapterBank bank;
    private final long most;
    private final Duration time;

    AdapterUpload(AdapterStore store, AdapterBank bank, Limits limits) {
        this.store = store;
        this.bank = bank;
        this.most = limits.maxUpload();
        this.time = limits.uploadTimeout();
    }

    /**
     * Puts it into its place, once it is known to be whole and to fit the base.
     *
     * @return whether it replaced one
     * @throws Problem if it is none, too large, or made for another base; what was there before is untouched
     */
    boolean accept(String name, Context request) throws IOException {
        Body.requireFitting(request, most);
        Path staged = staged();
        try {
            switch (Body.type(request)) {
                case Body.ZIP -> unzip(Body.stream(request, most, time), staged);
                case Body.MULTIPART -> parts(request, staged);
                default -> throw Body.unknownType(request, "a zip of PEFT's folder as " + Body.ZIP + ", or its two files "
                        + String.join(" and ", FILES) + " as parts of a " + Body.MULTIPART);
            }
            requireBoth(staged);
            check(staged);
            return put(name, staged);
        } catch (FileSystemException e) {
            throw Problem.cannotWrite(e);
        } finally {
            store.discard(staged);
        }
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
     * Wherever in the zip the two files lie; others are left where they are. By way of a file, as the end of a zip says what is
     * in it, and whether it is whole.
     */
    private void unzip(InputStream body, Path staged) throws IOException {
        Path file = staged.resolve("upload.zip");
        try (OutputStream out = Files.newOutputStream(file)) {
            copy(body, out, new long[] {most});
        }
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
        Files.delete(file);
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
            left[0] -= n;
            if (left[0] < 0) {
                throw Problem.tooLarge("The adapter has more than " + most + " bytes unpacked, but may have as many. Have the "
                        + "service started with a larger limit");
            }
            try {
                out.write(chunk, 0, n);
            } catch (IOException e) {
                throw Problem.cannotWrite(e);
            }
        }
    }

    private void parts(Context request, Path staged) throws IOException {
        long[] left = {most};
        for (UploadedFile part : form(request)) {
            if (!FILES.contains(part.filename())) {
                throw Problem.badRequest("The form has a file \"" + part.filename() + "\"; it may have "
                        + String.join(" and ", FILES));
            }
            requireFirst(part.filename(), staged);
            try (InputStream in = part.content(); OutputStream out = Files.newOutputStream(staged.resolve(part.filename()))) {
                copy(in, out, left);
            }
        }
    }

    private List<UploadedFile> form(Context request) throws IOException {
        try {
            return request.uploadedFiles();
        } catch (IllegalStateException e) {
            throw Problem.tooLarge("The form has more than " + most + " bytes, but may have as many. Have the service started "
                    + "with a larger limit");
        } catch (RuntimeException e) {
            throw e;
        } catch (Exception e) {
            // Kotlin does not say what it throws: Jetty's IOException on what is no form.
            if (e instanceof FileSystemException disk) {
                throw disk;
            }
            if (e instanceof IOException disk && !isJettys(disk)) {
                throw Problem.cannotWrite(disk);
            }
            throw Problem.badRequest("The form is damaged: " + e.getMessage());
        }
    }

    /** A form's parts lie in files for a while; a full disk ends in the same kind of exception as a form that is none. */
    private static boolean isJettys(IOException e) {
        return e.getStackTrace().length == 0 || e.getStackTrace()[0].getClassName().startsWith("org.eclipse.jetty.");
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
