package io.github.dl4jlora.internal.untrusted;

import java.io.File;
import java.util.zip.ZipEntry;

/**
 * How many bytes of values a zip file may promise. Trained weights hardly compress, while zeros shrink to a thousandth. An entry
 * that would grow far more than weights do is refused before anything of that size is made.
 */
public final class Expansion {

    /** Up to this size, any content is allowed. */
    private static final long SMALL = 64 << 20;
    private static final long GREATEST = 100;

    private Expansion() {
    }

    /** {@return the most that all of a file may hold, in bytes} */
    public static long most(File file) {
        return most(file.length());
    }

    /** {@return the most that one of its entries may hold, in bytes, whatever the entry says of itself} */
    public static long most(ZipEntry entry, File file) {
        return most(Math.min(entry.getCompressedSize(), file.length()));
    }

    private static long most(long compressed) {
        return SMALL + GREATEST * compressed;
    }
}
