package io.github.dl4jlora.examples.retrieval;

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
     * @throws FileNotFoundException if there is nothing of this name, with what to do about it
     */
    static Path require(Path path) throws FileNotFoundException {
        if (!Files.exists(path)) {
            throw new FileNotFoundException("There is no " + path.toAbsolutePath().normalize() + ". Fetch the texts with "
                    + SCRIPT + ", or say with --texts FOLDER where they are");
        }
        return path;
    }
}
