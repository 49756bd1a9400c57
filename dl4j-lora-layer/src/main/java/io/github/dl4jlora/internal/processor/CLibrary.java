package io.github.dl4jlora.internal.processor;

import com.sun.jna.NativeLibrary;
import com.sun.jna.NativeLong;
import org.jspecify.annotations.Nullable;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/**
 * Calls of the C library by JNA, which ND4J brings through OSHI. Where JNA is left out, or has no code for the platform, they
 * throw a LinkageError.
 */
final class CLibrary {

    /** As many bytes as Linux keeps for a file. */
    private static final int LONGEST_ATTRIBUTES = 1 << 16;

    private CLibrary() {
    }

    /** Sets a variable of the process's environment: native code sees it, {@code System.getenv} does not. */
    static boolean setenv(String name, String value) {
        return NativeLibrary.getProcess().getFunction("setenv").invokeInt(new Object[] {name, value, 1}) == 0;
    }

    /** Makes GNU's allocator give free pages back to the system; others have no such function. */
    static void trim() {
        NativeLibrary.getProcess().getFunction("malloc_trim").invokeInt(new Object[] {0L});
    }

    /** Makes GNU's allocator take blocks of {@code bytes} and more from the system, and give them back when they are freed. */
    static boolean mapFrom(int bytes) {
        final int mmapThreshold = -3;
        return NativeLibrary.getProcess().getFunction("mallopt").invokeInt(new Object[] {mmapThreshold, bytes}) == 1;
    }

    /**
     * Exchanges two paths in one step; both must exist.
     *
     * @param one     the bytes of a path, and a 0
     * @param other   as one
     * @param isLinux true for Linux, false for macOS
     * @return whether they were exchanged; if not, nothing has changed
     */
    static boolean exchange(byte[] one, byte[] other, boolean isLinux) {
        final int workingFolder = -100;
        final int exchange = 2;
        if (!isLinux) {
            return NativeLibrary.getProcess().getFunction("renamex_np").invokeInt(new Object[] {one, other, exchange}) == 0;
        }
        return NativeLibrary.getProcess().getFunction("renameat2")
                .invokeInt(new Object[] {workingFolder, one, workingFolder, other, exchange}) == 0;
    }

    /**
     * The extended attributes of a file on Linux, access control lists among them.
     *
     * @param path its bytes, and a 0
     * @return names and values in the system's form; empty if there are none, or the file system knows none
     */
    static String extendedAttributes(byte[] path) {
        byte[] names = new byte[LONGEST_ATTRIBUTES];
        long length = NativeLibrary.getProcess().getFunction("listxattr")
                .invokeLong(new Object[] {path, names, new NativeLong(names.length)});
        StringBuilder all = new StringBuilder();
        byte[] value = new byte[LONGEST_ATTRIBUTES];
        for (int from = 0, to = 0; to < length; to++) {
            if (names[to] == 0) {
                byte[] name = Arrays.copyOfRange(names, from, to + 1);
                long size = NativeLibrary.getProcess().getFunction("getxattr")
                        .invokeLong(new Object[] {path, name, value, new NativeLong(value.length)});
                all.append(new String(name, StandardCharsets.ISO_8859_1))
                        .append(new String(value, 0, (int) Math.max(0, size), StandardCharsets.ISO_8859_1)).append('\n');
                from = to + 1;
            }
        }
        return all.toString();
    }

    /** The text that a library's function without arguments returns. */
    static @Nullable String text(String library, String function) {
        return NativeLibrary.getInstance(library).getFunction(function).invokeString(new Object[0], false);
    }
}
