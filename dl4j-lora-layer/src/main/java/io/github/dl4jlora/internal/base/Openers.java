package io.github.dl4jlora.internal.base;

import io.github.dl4jlora.conf.BaseOpener;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.URI;
import java.net.URL;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.ServiceLoader;
import java.util.Set;

/** Finds the {@link BaseOpener} of a location, even if it is registered under the name that the interface had in 0.2.0. */
final class Openers {

    /** Where 0.2.0 looked; in 0.2.0 the interface was in the package {@code frozen}. */
    private static final String OLD_NAME = "META-INF/services/io.github.dl4jlora.frozen.BaseOpener";

    private Openers() {
    }

    /**
     * {@return the first opener that opens a location; those under the present name come first}
     *
     * @throws IOException if what is registered under the old name cannot be read or is no opener
     */
    static Optional<BaseOpener> of(URI location) throws IOException {
        // Where a cluster loads its jobs' classes with a loader of their own, the thread's loader is the one that sees them all.
        for (BaseOpener opener : ServiceLoader.load(BaseOpener.class)) {
            if (opener.opens(location)) {
                return Optional.of(opener);
            }
        }
        for (BaseOpener opener : underTheOldName()) {
            if (opener.opens(location)) {
                return Optional.of(opener);
            }
        }
        return Optional.empty();
    }

    /** ServiceLoader would refuse a class that implements the new interface in a file that has the old interface's name. */
    private static List<BaseOpener> underTheOldName() throws IOException {
        ClassLoader ofThread = Thread.currentThread().getContextClassLoader();
        ClassLoader loader = ofThread == null ? ClassLoader.getSystemClassLoader() : ofThread;
        Set<String> names = new LinkedHashSet<>();
        for (URL file : Collections.list(loader.getResources(OLD_NAME))) {
            try (BufferedReader lines = new BufferedReader(new InputStreamReader(file.openStream(), StandardCharsets.UTF_8))) {
                lines.lines().map(line -> line.replaceFirst("#.*", "").strip()).filter(line -> !line.isEmpty())
                        .forEach(names::add);
            }
        }
        return names.isEmpty() ? List.of() : openers(names, loader);
    }

    private static List<BaseOpener> openers(Set<String> names, ClassLoader loader) throws IOException {
        List<BaseOpener> openers = new ArrayList<>();
        for (String name : names) {
            try {
                openers.add(Class.forName(name, false, loader).asSubclass(BaseOpener.class).getConstructor().newInstance());
            } catch (ReflectiveOperationException | ClassCastException | LinkageError e) {
                throw new IOException(OLD_NAME + " names " + name + ", which cannot be used: " + e + ". It must be a public "
                        + "class with a public constructor without parameters and implement " + BaseOpener.class.getName(), e);
            }
        }
        return openers;
    }
}
