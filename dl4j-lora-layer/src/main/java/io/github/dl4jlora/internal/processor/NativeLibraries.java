package io.github.dl4jlora.internal.processor;

import org.bytedeco.javacpp.Loader;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;

/** The native libraries of ND4J's CPU backend, and the environment in which they will be loaded or have been. */
public final class NativeLibraries {

    private static final Path MAPS = Path.of("/proc/self/maps");
    private static final List<String> MARKS = List.of("nd4jcpu", "openblas_nolapack", "libopenblas", "libgomp", "gomp@");

    private NativeLibraries() {
    }

    /**
     * Whether ND4J's native code, OpenBLAS or an OpenMP runtime is loaded already, so that they have read their environment.
     * JavaCPP keeps a list of what it loaded. Another library's OpenMP, which ND4J's would share, is only in Linux's list of
     * mapped files. Initialises JavaCPP's {@code Loader}, which loads nothing of these.
     */
    public static boolean areLoaded() {
        return Loader.getLoadedLibraries().entrySet().stream().map(Map.Entry::toString).anyMatch(NativeLibraries::isOne)
                || Files.isReadable(MAPS) && areIn(MAPS);
    }

    /** Whether one of them is in a list of mapped files such as Linux's; false if the list cannot be read. */
    static boolean areIn(Path maps) {
        // A path is bytes, in any encoding: this one takes them all, and the names that count are ASCII.
        try (Stream<String> mapped = Files.lines(maps, StandardCharsets.ISO_8859_1)) {
            return mapped.map(line -> line.substring(line.lastIndexOf('/') + 1)).anyMatch(NativeLibraries::isOne);
        } catch (IOException | UncheckedIOException e) {
            return false;
        }
    }

    private static boolean isOne(String name) {
        return MARKS.stream().anyMatch(name::contains);
    }

    /** Whether a class, of a backend of ND4J or of a binding, is on the class path; does not initialise it. */
    public static boolean has(String className) {
        try {
            Class.forName(className, false, NativeLibraries.class.getClassLoader());
            return true;
        } catch (ClassNotFoundException | LinkageError e) {
            return false;
        }
    }

    /**
     * Sets variables in the environment of this process, for libraries that are loaded later.
     *
     * @return why it could not be done, or nothing
     */
    public static Optional<String> set(Map<String, String> variables) {
        if (System.getProperty("os.name").toLowerCase(Locale.ROOT).startsWith("windows")) {
            return Optional.of("libraries on Windows read a copy of the environment that is made at the start of the process");
        }
        // Java copies the environment at the first look. If it did so later, ND4J would find OMP_NUM_THREADS and obey it for
        // BLAS.
        System.getenv();
        try {
            List<String> refused = variables.entrySet().stream().filter(v -> !CLibrary.setenv(v.getKey(), v.getValue()))
                    .map(Map.Entry::getKey).toList();
            return refused.isEmpty() ? Optional.empty() : Optional.of("setenv refused " + refused);
        } catch (LinkageError e) {
            return Optional.of("JNA, which ND4J brings through OSHI, is missing or has no native code for this platform");
        }
    }

    /** Gives pages that C's allocator keeps for later back to the system, where it can be told to. */
    public static void giveBackFreedMemory() {
        try {
            CLibrary.trim();
        } catch (LinkageError e) {
            // Not GNU's allocator, or no JNA: the allocator goes by its own rules, and a little more stays in use.
        }
    }

    /**
     * Makes C's allocator give large blocks back to the system as soon as they are freed. By its own rule it would keep blocks
     * of up to 32 MiB once it has seen one: the arrays of a first training step, in addition to the workspace that DL4J makes
     * of them.
     *
     * @param bytes the size from which a block counts as large
     * @return whether the allocator could be told
     */
    public static boolean giveBackBlocksFrom(int bytes) {
        try {
            return CLibrary.mapFrom(bytes);
        } catch (LinkageError e) {
            return false;
        }
    }

    /**
     * What an OpenBLAS function such as {@code openblas_get_corename} returns; nothing before OpenBLAS is loaded or without
     * JNA.
     */
    static Optional<String> openBlas(String function) {
        Optional<String> library = Loader.getLoadedLibraries().values().stream()
                .filter(file -> file.contains("libopenblas") && !file.contains("jni")).findFirst();
        try {
            return library.map(file -> CLibrary.text(file, function));
        } catch (LinkageError e) {
            return Optional.empty();
        }
    }
}
