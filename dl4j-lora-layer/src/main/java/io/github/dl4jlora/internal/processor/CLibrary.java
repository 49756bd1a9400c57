package io.github.dl4jlora.internal.processor;

import com.sun.jna.NativeLibrary;

/** Calls by JNA, which ND4J brings through OSHI. Where it is left out, or has no code for the platform, a LinkageError comes. */
final class CLibrary {

    private CLibrary() {
    }

    /** Sets a variable of the process's environment: native code sees it, {@code System.getenv} does not. */
    static boolean setenv(String name, String value) {
        return NativeLibrary.getProcess().getFunction("setenv").invokeInt(new Object[] {name, value, 1}) == 0;
    }

    /** Has GNU's allocator give free pages back to the system; others have no such function. */
    static void trim() {
        NativeLibrary.getProcess().getFunction("malloc_trim").invokeInt(new Object[] {0L});
    }

    /** Has GNU's allocator take blocks of so many bytes and more from the system, and give them back when they are freed. */
    static boolean mapFrom(int bytes) {
        final int mmapThreshold = -3;
        return NativeLibrary.getProcess().getFunction("mallopt").invokeInt(new Object[] {mmapThreshold, bytes}) == 1;
    }

    /** What a function without arguments of a library answers. */
    static String text(String library, String function) {
        return NativeLibrary.getInstance(library).getFunction(function).invokeString(new Object[0], false);
    }
}
