package io.github.dl4jlora.regression;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** How much of this process is in memory, on Linux. */
final class ResidentBytes {

    /** What the line begins with that a measuring process prints. */
    static final String GROWN_BY = "grown by ";

    private static final long PAGE = 4096;

    private ResidentBytes() {
    }

    static long now() throws IOException {
        return Long.parseLong(Files.readString(Path.of("/proc/self/statm")).split(" ")[1]) * PAGE;
    }
}
