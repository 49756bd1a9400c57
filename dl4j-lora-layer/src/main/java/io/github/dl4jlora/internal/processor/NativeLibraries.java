package io.github.dl4jlora.internal.processor;

import org.bytedeco.javacpp.Loader;

import java.io.IOException;
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

    private NativeLibraries() {
    }

    /**
     * Whether ND4J's native code, OpenBLAS or an OpenMP runtime is loaded already, so that they have read their environment.
     * JavaCPP keeps a list of what it loaded. Another library's OpenMP, which ND4J's would share, stands in Linux' list alone.
     * Initialises JavaCPP's {@code Loader}, which loads nothing of these.
     */
    public static boolean areLoaded() {
        Stream<String> byJavaCpp = Loader.getLoadedLibraries().entrySet().stream().map(Map.Entry::toString);
        try (Stream<String> mapped = Files.isReadable(MAPS) ? Files.lines(MAPS) : Stream.empty()) {
            return Stream.concat(byJavaCpp, mapped.map(line -> line.substring(line.lastIndexOf('/') + 1)))
                    .anyMatch(name -> Stream.of("nd4jcpu", "openblas", "libgomp", "gomp@").anyMatch(name::contains));
        } catch (IOException e) {
            throw new IllegalStateException("The list of loaded libraries, " + MAPS + ", cannot be read: " + e.getMessage(), e);
        }
    }

    /** Whether a backend of ND4J is on the class path; does not load it. */
    public static boolean hasBackend(String className) {
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
        // Java's own copy is made at the first look. Were it made later, ND4J would find OMP_NUM_THREADS and obey it for BLAS.
        System.getenv();
        try {
            List<String> refused = variables.entrySet().stream().filter(v -> !CLibrary.setenv(v.getKey(), v.getValue()))
                    .map(Map.Entry::getKey).toList();
            return refused.isEmpty() ? Optional.empty() : Optional.of("setenv refused " + refused);
        } catch (LinkageError e) {
            return Optional.of("JNA, which ND4J brings through OSHI, is not there or has no code for this platform");
        }
    }

    /** What OpenBLAS says by a function such as {@code openblas_get_corename}; nothing before it is loaded or without JNA. */
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
