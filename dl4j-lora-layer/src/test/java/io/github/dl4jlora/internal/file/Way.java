package io.github.dl4jlora.internal.file;

import java.nio.file.Path;

/** How a folder is replaced: as a whole where the system can, or file by file. */
enum Way {
    /** What this system does. */
    SYSTEM,
    /** The new files are beside the folder already when it turns out that folders cannot be exchanged. */
    REFUSED,
    /** Known from the beginning. */
    IN_PLACE;

    FolderSteps steps() {
        return new Steps(this);
    }

    /** Of one way. */
    static class Steps implements FolderSteps {

        private final Way way;

        Steps(Way way) {
            this.way = way;
        }

        @Override
        public boolean mayExchange(Path folder) {
            return way != Way.IN_PLACE && FolderSteps.super.mayExchange(folder);
        }

        @Override
        public boolean exchange(Path one, Path other) {
            return way == Way.SYSTEM && FolderSteps.super.exchange(one, other);
        }
    }
}
