package io.github.dl4jlora.models.spam;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** The process's peak memory, as Linux reports it. */
public final class PeakMemory {

    private static final Path STATUS = Path.of("/proc/self/status");
    private static final Path RESET = Path.of("/proc/self/clear_refs");
    private static final long FREEING = 2000;

    private PeakMemory() {
    }

    /** Resets the peak, so that what came before does not count. */
    public static void reset() throws IOException {
        System.gc();
        try {
            // ND4J frees what the collector found by threads of its own.
            Thread.sleep(FREEING);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        if (Files.isWritable(RESET)) {
            Files.writeString(RESET, "5");
        }
    }

    /** 0 if the system does not report it. */
    public static long mebibytes() throws IOException {
        if (!Files.isReadable(STATUS)) {
            return 0;
        }
        return Files.readAllLines(STATUS).stream().filter(line -> line.startsWith("VmHWM:")).findFirst()
                .map(line -> Long.parseLong(line.replaceAll("\\D", "")) / 1024).orElse(0L);
    }
}
