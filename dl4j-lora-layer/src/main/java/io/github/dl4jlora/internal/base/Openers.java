package io.github.dl4jlora.internal.base;

import io.github.dl4jlora.conf.BaseOpener;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.URI;
import java.net.URL;
import java.net.URLConnection;
import java.nio.charset.StandardCharsets;
import java.util.Collections;
import java.util.LinkedHashSet;
import java.util.Optional;
import java.util.ServiceLoader;
import java.util.Set;

/** Finds the {@link BaseOpener} of a location, even if it is registered under the name that the interface had in 0.2.0. */
final class Openers {

    /** The interface was in the package {@code frozen} in 0.2.0. */
    private static final String OLD_INTERFACE = "io.github.dl4jlora.frozen.BaseOpener";
    private static final String OLD_NAME = "META-INF/services/" + OLD_INTERFACE;

    private Openers() {
    }

    /**
     * {@return the first opener that opens a location; those under the present name come first}
     *
     * @throws IOException if what is registered under the old name cannot be read, or if none before it opens the location and
     *                     it is not an opener
     */
    static Optional<BaseOpener> of(URI location) throws IOException {
        // Where a cluster loads its jobs' classes with a loader of their own, the thread's loader is the one that sees them all.
        for (BaseOpener opener : ServiceLoader.load(BaseOpener.class)) {
            if (opener.opens(location)) {
                return Optional.of(opener);
            }
        }
        ClassLoader ofThread = Thread.currentThread().getContextClassLoader();
        ClassLoader loader = ofThread == null ? ClassLoader.getSystemClassLoader() : ofThread;
        for (String name : underTheOldName(loader)) {
            BaseOpener opener = opener(name, loader);
            if (opener.opens(location)) {
                return Optional.of(opener);
            }
        }
        for (BaseOpener opener : ofModules()) {
            if (opener.opens(location)) {
                return Optional.of(opener);
            }
        }
        return Optional.empty();
    }

    /** ServiceLoader would refuse a class that implements the new interface in a file that has the old interface's name. */
    private static Set<String> underTheOldName(ClassLoader loader) throws IOException {
        Set<String> names = new LinkedHashSet<>();
        for (URL file : Collections.list(loader.getResources(OLD_NAME))) {
            URLConnection connection = file.openConnection();
            // As ServiceLoader does: a cache would keep the jar open.
            connection.setUseCaches(false);
            try (BufferedReader lines = new BufferedReader(new InputStreamReader(connection.getInputStream(),
                    StandardCharsets.UTF_8))) {
                lines.lines().map(line -> line.replaceFirst("#.*", "").strip()).filter(line -> !line.isEmpty())
                        .forEach(names::add);
            }
        }
        return names;
    }

    private static BaseOpener opener(String name, ClassLoader loader) throws IOException {
        try {
            return Class.forName(name, false, loader).asSubclass(BaseOpener.class).getConstructor().newInstance();
        } catch (ReflectiveOperationException | ClassCastException | LinkageError e) {
            throw new IOException(OLD_NAME + " names " + name + ", which cannot be used: " + e + ". It must be a public class "
                    + "with a public constructor without parameters and implement " + BaseOpener.class.getName(), e);
        }
    }

    /** What named modules provide under the old name; the compiler holds that it implements the old interface. */
    private static Iterable<? extends BaseOpener> ofModules() {
        try {
            return ServiceLoader.load(ModuleLayer.boot(), Class.forName(OLD_INTERFACE).asSubclass(BaseOpener.class));
        } catch (ClassNotFoundException e) {
            throw new IllegalStateException(e);
        }
    }
}
