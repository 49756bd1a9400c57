package io.github.dl4jlora.models.retrieval;

import java.io.FileNotFoundException;
import java.nio.file.Files;
import java.nio.file.Path;

/** Where the texts are, and what to do where they are not. */
final class Texts {

    static final String SCRIPT = "examples/fetch-texts.sh";
    static final String FOLDER = "examples/target/texts";

    /** Of a text, that are read: most passages of an address, and all but the longest definitions. */
    static final int TOKENS = 64;

    private Texts() {
    }

    /**
     * {@return the path itself}
     *
     * @throws FileNotFoundException if it is no folder, with what to do about it
     */
    static Path folder(Path path) throws FileNotFoundException {
        return require("folder", path, Files.isDirectory(path));
    }

    /** As {@link #folder}, of a file. */
    static Path file(Path path) throws FileNotFoundException {
        return require("file", path, Files.isRegularFile(path));
    }

    private static Path require(String what, Path path, boolean there) throws FileNotFoundException {
        if (!there) {
            throw new FileNotFoundException("There is no " + what + " " + path.toAbsolutePath().normalize()
                    + ". Fetch the texts with " + SCRIPT + ", or say with --texts FOLDER where they are");
        }
        return path;
    }
}
