package io.github.dl4jlora.internal.file;

import io.github.dl4jlora.internal.processor.FolderExchange;

import java.io.IOException;
import java.nio.file.Path;

/** What a folder's save asks of the system. Tests answer in its place, and look at the files between two steps. */
interface FolderSteps {

    FolderSteps SYSTEM = new FolderSteps() {
    };

    /** For a folder that must stay the same. */
    FolderSteps IN_PLACE = new FolderSteps() {
        @Override
        public boolean mayExchange(Path folder) {
            return false;
        }
    };

    /** @return whether an exchange may be tried; the working folder of a shell has to stay the same folder */
    default boolean mayExchange(Path folder) {
        return FolderExchange.isPossible(folder) && !isIn(folder, Path.of(""));
    }

    /** @return whether a working folder is the folder or in it, even if it is gone by now, or closed to the program's user */
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

    /** To be called when a folder is made beside its target, before it is locked. */
    default void made(Path folder) throws IOException {
    }

    /** To be called when a step is done, after which the program may end. */
    default void done(String step) throws IOException {
    }
}
