package io.github.dl4jlora.internal.untrusted;

import java.io.File;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.HashSet;
import java.util.Set;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;

/**
 * Opens a zip file that anybody may have written. Java reads the whole list of entries into memory when it opens a file, and
 * returns only one of two entries with the same name. Both are checked here first.
 */
public final class UntrustedZip {

    /** Bytes of the longest list of entries: a hundred thousand frozen layers take less. */
    private static final long LONGEST_LIST = 16 << 20;
    /** Bytes of the record that ends a zip file, and of the longest comment that may follow it. */
    private static final int END = 22;
    private static final int LONGEST_COMMENT = 0xffff;
    private static final int END_SIGNATURE = 0x06054b50;
    private static final int LIST_LENGTH = 12;
    /** The value of a 32-bit length or position that is stored elsewhere in 64 bits. */
    private static final long ELSEWHERE = 0xffffffffL;
    /** Bytes of the locator before the end record, which tells where the 64-bit end record is. */
    private static final int LOCATOR = 20;
    private static final int LOCATOR_SIGNATURE = 0x07064b50;
    private static final int LOCATED = 8;
    private static final int END64 = 56;
    private static final int LIST64_LENGTH = 40;

    private UntrustedZip() {
    }

    /**
     * @return the file, to be closed
     * @throws IOException naming the file, if it is no regular file, no zip file, a damaged or an encrypted one, lists more
     *                     entries than a network has, or has two of one name
     */
    public static ZipFile open(File file) throws IOException {
        if (!file.isFile()) {
            throw new IOException(file + (file.isDirectory() ? " is a folder, but a saved network is a file"
                    : " does not exist or is not a file"));
        }
        ForeignFile.refuse(file);
        refuseLongList(file);
        ZipFile zip;
        try {
            zip = new ZipFile(file);
        } catch (IOException e) {
            throw damaged(file, e);
        } catch (IllegalArgumentException e) {
            // Thrown for names that are no text.
            throw new IOException(file + " is damaged or not a saved network: " + e.getMessage(), e);
        }
        try {
            refuseTwins(file, zip);
            return zip;
        } catch (IOException | RuntimeException e) {
            zip.close();
            throw e;
        }
    }

    /** The exception for a file that is no zip file, or damaged. */
    public static IOException damaged(File file, IOException e) {
        // Java gives no message for a file that ends within its own comment.
        String reason = e.getMessage() == null ? "it ends too early" : e.getMessage();
        return new IOException(file + " is truncated, damaged or not a saved network: " + reason + ". Copy or save it again", e);
    }

    private static void refuseTwins(File file, ZipFile zip) throws IOException {
        Set<String> names = new HashSet<>();
        for (ZipEntry entry : (Iterable<ZipEntry>) zip.stream().map(ZipEntry.class::cast)::iterator) {
            if (!names.add(entry.getName())) {
                throw new IOException(file + " is damaged: it has two entries \"" + shown(entry.getName()) + "\"");
            }
        }
    }

    private static String shown(String name) {
        int most = 100;
        String text = name.replaceAll("\\p{Cntrl}", "?");
        return text.length() <= most ? text : text.substring(0, most) + "…";
    }

    private static void refuseLongList(File file) throws IOException {
        try (RandomAccessFile in = new RandomAccessFile(file, "r")) {
            long length = in.length();
            long from = Math.max(0, length - END - LONGEST_COMMENT);
            ByteBuffer tail = read(in, from, (int) (length - from));
            // Checks all that may be the end record, since the comment may contain what looks like one.
            for (int i = tail.limit() - END; i >= 0; i--) {
                if (tail.getInt(i) == END_SIGNATURE && list(in, tail, i, from + i) > LONGEST_LIST) {
                    throw new IOException(file + " lists so many entries that it cannot be a saved network: the list takes more "
                            + "than "
                            + LONGEST_LIST + " bytes");
                }
            }
        }
    }

    /** Bytes that the list of entries takes, according to an end record. */
    private static long list(RandomAccessFile in, ByteBuffer tail, int at, long position) throws IOException {
        long listed = tail.getInt(at + LIST_LENGTH) & ELSEWHERE;
        // Java reads the 64-bit record if any field says so; the longer list counts here.
        return Math.max(listed == ELSEWHERE || listed > position ? 0 : listed, list64(in, position));
    }

    private static long list64(RandomAccessFile in, long end) throws IOException {
        if (end < LOCATOR + END64) {
            return 0;
        }
        ByteBuffer locator = read(in, end - LOCATOR, LOCATOR);
        long at = locator.getLong(LOCATED);
        if (locator.getInt(0) != LOCATOR_SIGNATURE || at < 0 || at > end - END64) {
            return 0;
        }
        long listed = read(in, at, END64).getLong(LIST64_LENGTH);
        return listed > end ? 0 : listed;
    }

    private static ByteBuffer read(RandomAccessFile in, long from, int length) throws IOException {
        byte[] bytes = new byte[length];
        in.seek(from);
        in.readFully(bytes);
        return ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    }
}
