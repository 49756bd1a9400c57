package io.github.dl4jlora.benchmarks;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** This process's memory as the operating system reports it, in bytes. Linux only. */
final class Memory {

    private static final Path STATUS = Path.of("/proc/self/status");

    private Memory() {
    }

    static boolean isMeasurable() {
        return Files.isReadable(STATUS) && Files.isWritable(Path.of("/proc/self/clear_refs"));
    }

    /** Resets the peak to the current size. */
    static void resetPeak() {
        try {
            Files.writeString(Path.of("/proc/self/clear_refs"), "5");
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Frees what is not used, resets the peak, and {@return what is resident then} */
    static long settled() throws InterruptedException {
        for (int i = 0; i < 3; i++) {
            // ND4J frees collected arrays on a separate thread.
            System.gc();
            Thread.sleep(200);
        }
        long resident = resident();
        resetPeak();
        return resident;
    }

    static long resident() {
        return read("VmRSS:");
    }

    static long peak() {
        return read("VmHWM:");
    }

    /**
     * This process's share of pages in memory: a page that n processes share counts as an n-th.
     *
     * @param file part of the name of the mapped file; empty for all memory
     */
    static long share(String file) {
        long kib = 0;
        boolean wanted = false;
        try (var lines = Files.lines(Path.of("/proc/self/smaps"))) {
            for (String line : (Iterable<String>) lines::iterator) {
                if (line.matches("[0-9a-f]+-[0-9a-f]+ .*")) {
                    wanted = line.contains(file);
                } else if (wanted && line.startsWith("Pss:")) {
                    kib += Long.parseLong(line.replaceAll("\\D", ""));
                }
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return kib * 1024;
    }

    private static long read(String field) {
        try (var lines = Files.lines(STATUS)) {
            return lines.filter(line -> line.startsWith(field)).findFirst().map(line -> line.replaceAll("\\D", ""))
                    .map(kib -> Long.parseLong(kib) * 1024).orElseThrow();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
