package io.github.dl4jlora.internal.processor;

import java.io.ByteArrayOutputStream;
import java.nio.file.FileSystems;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Locale;

/** Exchanges two folders in one step, which Java cannot do: on Linux and macOS, by JNA. */
public final class FolderExchange {

    private static final String SYSTEM = System.getProperty("os.name").toLowerCase(Locale.ROOT);
    private static final boolean LINUX = SYSTEM.startsWith("linux");
    private static final boolean MAC = SYSTEM.startsWith("mac");

    private FolderExchange() {
    }

    /**
     * Exchanges two folders of one file system. At every moment each path leads to one of the two folders.
     *
     * @return whether they were exchanged. If not, nothing has changed: on other systems, on file systems that cannot (NFS),
     *         for mount points, without JNA
     */
    public static boolean exchange(Path one, Path other) {
        if (!isPossible(one)) {
            return false;
        }
        try {
            return CLibrary.exchange(bytes(one), bytes(other), LINUX);
        } catch (LinkageError noJnaOrAnOldSystem) {
            return false;
        }
    }

    /** {@return whether {@link #exchange} may be possible, from what is known without trying it} */
    public static boolean isPossible(Path path) {
        return (LINUX || MAC) && path.getFileSystem().equals(FileSystems.getDefault());
    }

    /** {@return whether two folders have the same access control lists and the like, which Java does not show; Linux only} */
    public static boolean haveSameExtendedAttributes(Path one, Path other) {
        try {
            return !LINUX || CLibrary.extendedAttributes(bytes(one)).equals(CLibrary.extendedAttributes(bytes(other)));
        } catch (LinkageError noJna) {
            return false;
        }
    }

    /** The path's bytes for the system, ending in 0. The path's text is not exact in every locale. */
    private static byte[] bytes(Path path) {
        String encoded = path.toUri().getRawPath();
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        for (int i = 0; i < encoded.length(); i++) {
            if (encoded.charAt(i) == '%') {
                bytes.write(Integer.parseInt(encoded.substring(i + 1, i + 3), 16));
                i += 2;
            } else {
                bytes.write(encoded.charAt(i));
            }
        }
        byte[] path0 = bytes.toByteArray();
        int length = path0.length;
        while (length > 1 && path0[length - 1] == '/') {
            length--;
        }
        return Arrays.copyOf(Arrays.copyOf(path0, length), length + 1);
    }
}
