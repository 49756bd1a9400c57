package io.github.dl4jlora.serve.trial;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/** A small separate disk for the adapters, which can be filled: a tmpfs, if this process may mount one (root on Linux). */
final class Disk implements AutoCloseable {

    private final Path folder;
    private final boolean mounted;
    /** Odd while it is full. */
    private final AtomicInteger changes = new AtomicInteger();

    private Disk(Path folder, boolean mounted) {
        this.folder = folder;
        this.mounted = mounted;
    }

    /**
     * @param folder an empty folder, which stays an ordinary one if nothing can be mounted
     * @param bytes  that it holds
     */
    static Disk at(Path folder, long bytes) throws InterruptedException {
        return new Disk(folder, run("mount", "-t", "tmpfs", "-o", "size=" + bytes, "tmpfs", folder.toString()));
    }

    private static boolean run(String... command) throws InterruptedException {
        try {
            return new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(ProcessBuilder.Redirect.DISCARD).start()
                    .waitFor() == 0;
        } catch (IOException e) {
            return false;
        }
    }

    /** Whether it can be filled without harm to others. */
    boolean isOwn() {
        return mounted;
    }

    /** A number that changes whenever the disk becomes full or free. */
    int changes() {
        return changes.get();
    }

    /** Whether it was full at some moment since there were {@code before} changes. */
    boolean wasFull(int before) {
        return before % 2 == 1 || changes.get() != before;
    }

    /** Keeps the disk full for a while, even if others free space. */
    void fill(long millis) throws IOException, InterruptedException {
        try (Full full = new Full()) {
            long end = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(millis);
            while (System.nanoTime() < end) {
                full.writeAll();
                Thread.sleep(1);
            }
        }
    }

    /** Keeps the disk full until this is closed. */
    final class Full implements AutoCloseable {

        private final Path filler = folder.resolve(".filler");
        private final OutputStream out;

        Full() throws IOException {
            changes.incrementAndGet();
            out = Files.newOutputStream(filler);
            writeAll();
        }

        private void writeAll() {
            byte[] page = new byte[4096];
            try {
                for (;;) {
                    out.write(page);
                }
            } catch (IOException e) {
                // Full, as it should be.
            }
        }

        @Override
        public void close() throws IOException {
            out.close();
            Files.delete(filler);
            changes.incrementAndGet();
        }
    }

    @Override
    public void close() throws InterruptedException {
        if (mounted && !run("umount", folder.toString())) {
            run("umount", "-l", folder.toString());
        }
    }

    @Override
    public String toString() {
        return mounted ? "a separate disk, which is full now and then" : "never full: only root on Linux can mount a separate "
                + "disk";
    }
}
