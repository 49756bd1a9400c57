package io.github.dl4jlora.internal.untrusted;

import org.jspecify.annotations.Nullable;

import java.io.File;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.Locale;

/** Kinds of files that are often found where a network or tensors should be, and what to do about them. */
final class ForeignFile {

    private static final int LOOKED_AT = 200;

    private ForeignFile() {
    }

    /**
     * @throws IOException naming the file, if it is empty, or of a known kind that is no network; or if it cannot be read
     */
    static void refuse(File file) throws IOException {
        byte[] head;
        try (InputStream in = new FileInputStream(file)) {
            head = in.readNBytes(LOOKED_AT);
        }
        String what = what(head);
        if (what != null) {
            throw new IOException(file + " is " + what);
        }
    }

    /** Null for what is of no such kind. */
    private static @Nullable String what(byte[] head) {
        String text = new String(head, StandardCharsets.ISO_8859_1);
        String first = text.stripLeading().toLowerCase(Locale.ROOT);
        if (head.length == 0) {
            return "empty: it was truncated, or is not a saved network. Copy or save it again";
        }
        if (text.startsWith("version https://git-lfs")) {
            return "a Git LFS pointer, not the file itself. Fetch the file with git lfs pull";
        }
        if (text.startsWith("\u001f\u008b")) {
            return "compressed with gzip. Unpack it with gunzip";
        }
        if (first.startsWith("<!doctype html") || first.startsWith("<html")) {
            return "a web page, perhaps from a download that requires a login. Download the file itself";
        }
        return null;
    }
}
