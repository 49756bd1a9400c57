package io.github.dl4jlora.serve.trial;

import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.locks.ReadWriteLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import java.util.function.BooleanSupplier;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/** A service in a separate process, its clients, and what happens to it. */
final class Soak implements AutoCloseable {

    private static final int SLOTS = 16;
    private static final int ADAPTERS_BYTES = 16 << 20;
    private static final long PATIENCE_MILLIS = 60_000;
    private static final long WAIT_MILLIS = 50;
    /** The heap is allocated from the start, so that any growth is outside of it. Adapters have less room than they need. */
    private static final List<String> JVM = List.of("-Xms256m", "-Xmx256m", "-XX:+AlwaysPreTouch",
            "-Dorg.bytedeco.javacpp.maxbytes=256m", "-Dorg.bytedeco.javacpp.maxphysicalbytes=0");
    private static final String[] OPTIONS = {"--max-upload", String.valueOf(SoakClient.MOST_BYTES), "--max-bytes", "40k",
            "--max-queued", "65536", "--verify-every", "5s"};

    private final Versions versions;
    private final List<Slot> slots = IntStream.range(0, SLOTS).mapToObj(i -> new Slot("task-" + i)).toList();
    private final List<Versions.Spoilt> spoilt;
    private final Tally tally = new Tally();
    private final Path base;
    private final Path adapters;
    private final Disk disk;
    /** Clients hold the read lock while they act. */
    private final ReadWriteLock gate = new ReentrantReadWriteLock(true);
    private final List<Thread> clients = new ArrayList<>();
    private volatile ServedProcess served;
    private volatile boolean down;
    private volatile boolean ending;

    /**
     * @param folder an empty folder
     * @param most   clients that there will be
     */
    Soak(Path folder, int most) throws IOException, InterruptedException {
        versions = new Versions(folder);
        spoilt = versions.spoilt(folder, SoakClient.MOST_BYTES);
        base = folder.resolve("base.zip");
        versions.saveBase(base);
        adapters = Files.createDirectory(folder.resolve("adapters"));
        // Room for an upload of each client, as it came and unpacked, however long the service takes for them.
        disk = Disk.at(adapters, ADAPTERS_BYTES + 2L * SoakClient.MOST_BYTES * most);
        try {
            for (int i = 0; i < SLOTS; i++) {
                versions.save(i, adapters.resolve(slots.get(i).name()));
                slots.get(i).settle(i);
            }
            served = start();
        } catch (IOException e) {
            disk.close();
            throw e;
        }
    }

    private ServedProcess start() throws IOException {
        return ServedProcess.start(JVM, ServedProcess.TOKEN, base, adapters, OPTIONS);
    }

    Versions versions() {
        return versions;
    }

    List<Slot> slots() {
        return slots;
    }

    List<Versions.Spoilt> spoilt() {
        return spoilt;
    }

    Tally tally() {
        return tally;
    }

    Disk disk() {
        return disk;
    }

    URI service() {
        return served.address();
    }

    /** Whether no answer can be expected. */
    boolean isDown() {
        return down;
    }

    void begin(int count) {
        for (int i = 0; i < count; i++) {
            int seed = i;
            Thread client = new Thread(() -> client(seed), "client " + i);
            client.setDaemon(true);
            client.start();
            clients.add(client);
        }
    }

    private void client(int seed) {
        try (SoakClient client = new SoakClient(this, seed)) {
            while (!ending) {
                gate.readLock().lock();
                try {
                    client.act();
                } finally {
                    gate.readLock().unlock();
                }
                if (down) {
                    Thread.sleep(WAIT_MILLIS);
                }
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        } catch (Error e) {
            tally.fault("a client failed: " + e);
        }
    }

    /** Fills the disk while the clients go on. */
    void fillDisk(long millis) throws IOException, InterruptedException {
        if (disk.isOwn()) {
            disk.fill(millis);
        }
    }

    /** Kills the service, whatever is under way; the next process must find complete adapters. */
    void kill() throws IOException, InterruptedException {
        down = true;
        served.kill();
        gate.writeLock().lock();
        try {
            served = start();
            verifyFolder();
            down = false;
        } finally {
            gate.writeLock().unlock();
        }
    }

    /** Measures the process while nobody asks for anything; empty if the system does not tell. */
    Optional<Vitals> measure() throws IOException, InterruptedException {
        gate.writeLock().lock();
        try {
            return Vitals.settled(served.process());
        } finally {
            gate.writeLock().unlock();
        }
    }

    Optional<Vitals> vitals() throws IOException {
        return Vitals.of(served.process());
    }

    /** Checks that each adapter loads and is a version that may be there, and that nothing is left of what was under way. */
    private void verifyFolder() throws IOException {
        for (Slot slot : slots) {
            Path place = adapters.resolve(slot.name());
            try {
                int version = Files.exists(place) ? versions.identify(place) : Slot.ABSENT;
                Set<Integer> possible = slot.possibleNow();
                if (!possible.contains(version)) {
                    tally.fault("on disk, " + slot.name() + " is version " + version + ", but should be one of " + possible);
                }
                slot.settle(version);
            } catch (IOException | RuntimeException e) {
                tally.fault("on disk, " + slot.name() + " is damaged: " + e.getMessage());
            }
        }
        Set<String> left = left();
        if (!left.isEmpty()) {
            tally.fault("left on disk: " + left);
        }
    }

    /** What is in the folder other than adapters and the places for what is under way. */
    private Set<String> left() throws IOException {
        Set<String> left = new TreeSet<>();
        try (Stream<Path> files = Files.walk(adapters)) {
            files.map(file -> adapters.relativize(file).toString().replace('\\', '/')).forEach(left::add);
        }
        left.removeIf(name -> slots.stream().anyMatch(slot -> name.equals(slot.name()) || name.startsWith(slot.name() + "/")));
        left.removeAll(List.of("", ".dl4j-lora", ".dl4j-lora/staged", ".dl4j-lora/gone", ".dl4j-lora/lock"));
        return left;
    }

    /** Ends the clients, waits until nothing is under way, and checks the folder; then ends the service. */
    void end() throws IOException, InterruptedException {
        ending = true;
        for (Thread client : clients) {
            client.join();
        }
        await("the service still keeps files of clients that left", () -> {
            try {
                return left().isEmpty();
            } catch (IOException e) {
                // Files disappear while they are listed.
                return false;
            }
        });
        verifyFolder();
        requireReady();
        int exitCode = served.end(PATIENCE_MILLIS / 1000);
        if (exitCode != 0) {
            tally.fault("the service ended with " + exitCode);
        }
    }

    private void requireReady() {
        try (Connection connection = new Connection(service())) {
            Connection.Answer health = connection.ask(Connection.request("GET", "/health", "", new byte[0]));
            if (health.status() != 200) {
                tally.fault("the service is not ready at the end: " + health.text());
            }
        } catch (IOException e) {
            tally.fault("the service is not there at the end: " + e);
        }
    }

    private void await(String otherwise, BooleanSupplier done) throws InterruptedException {
        long end = System.currentTimeMillis() + PATIENCE_MILLIS;
        while (!done.getAsBoolean()) {
            if (System.currentTimeMillis() > end) {
                tally.fault(otherwise);
                return;
            }
            Thread.sleep(WAIT_MILLIS);
        }
    }

    /** Unexpected output of the last process. */
    List<String> said() throws InterruptedException {
        return served.said().stream().filter(line -> !line.equals("Ended.")).toList();
    }

    @Override
    public void close() throws InterruptedException {
        ending = true;
        served.kill();
        disk.close();
    }
}
