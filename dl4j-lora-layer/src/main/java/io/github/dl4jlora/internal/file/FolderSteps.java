package io.github.dl4jlora.internal.file;

import io.github.dl4jlora.internal.processor.FolderExchange;

import java.io.IOException;
import java.nio.file.Path;

/** What a save of a folder asks of the system; tests answer in its place, and look at the files between two steps. */
interface FolderSteps {

    FolderSteps SYSTEM = new FolderSteps() {
    };

    /** @return whether it makes sense to try; the working folder of a shell has to stay the same folder */
    default boolean mayExchange(Path folder) {
        return FolderExchange.isPossible(folder) && !isIn(folder, Path.of(""));
    }

    /** @return whether a working folder is another one, or in it; also if it is gone since, or closed to whoever runs this */
    static boolean isIn(Path folder, Path working) {
        try {
            return working.toRealPath().startsWith(folder);
        } catch (IOException e) {
            return working.toAbsolutePath().startsWith(folder);
        }
    }

    /** @return whether two folders have changed places; if not, nothing has happened */
    default boolean exchange(Path one, Path other) {
        return FolderExchange.exchange(one, other);
    }

    /** A step is done, after which the program may end. */
    default void done(String step) throws IOException {
    }
}
