package io.github.dl4jlora.serve;

import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.bank.AdapterName;
import io.github.dl4jlora.bank.AdapterSource;
import io.github.dl4jlora.console.Folders;
import io.github.dl4jlora.internal.file.AtomicFile;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.channels.FileChannel;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.UUID;
import java.util.concurrent.locks.Lock;
import java.util.concurrent.locks.ReadWriteLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import java.util.function.Consumer;
import java.util.stream.Stream;

/**
 * The folder of a service's adapters, with a folder for each. Adapters appear and disappear completely or not at all, whatever
 * happens in between. An adapter is written as the library saves one, so that other files of its folder stay:
 *
 * <pre>
 *   adapters/spam                     an adapter
 *   adapters/.dl4j-lora/staged/ID     one that is being sent; forgotten at the next start
 *   adapters/.dl4j-lora/gone/ID       what is no longer needed
 *   adapters/.dl4j-lora/lock          held by the one service that may change anything
 *   adapters/.spam.ID.tmp             the new one, then the old one, while they are exchanged
 * </pre>
 */
final class AdapterStore implements AdapterSource, AutoCloseable {

    private static final int LOCKS = 256;

    private static final Logger LOG = LoggerFactory.getLogger(AdapterStore.class);

    private final Path folder;
    private final Set<String> reserved;
    private final Path staged;
    private final Path gone;
    private final AdapterSource source;
    /** Of which each name has one: who writes an adapter does not keep others from being loaded. */
    private final List<ReadWriteLock> locks = Stream.generate(() -> (ReadWriteLock) new ReentrantReadWriteLock()).limit(LOCKS)
            .toList();
    private FileChannel owner;

    /**
     * @param folder   of adapters; only this service uses it if it may change them: {@link #own}
     * @param reserved names that mean something else in requests
     */
    AdapterStore(Path folder, Set<String> reserved) {
        this.folder = folder;
        this.reserved = Set.copyOf(reserved);
        reserved.stream().filter(name -> Files.isDirectory(folder.resolve(name))).forEach(name -> LOG.warn("The folder {} has "
                + "\"{}\", which is not served: it is a name of the base. Rename the folder", folder, name));
        this.source = AdapterSource.folder(folder);
        Path own = folder.resolve(".dl4j-lora");
        this.staged = own.resolve("staged");
        this.gone = own.resolve("gone");
    }

    /**
     * Makes it possible to change adapters, and cleans up what an earlier service left unfinished.
     *
     * @throws IOException if another process may change them, or they cannot be written
     */
    void own() throws IOException {
        for (Path place : List.of(staged, gone)) {
            Files.createDirectories(place);
        }
        owner = FileChannel.open(staged.resolveSibling("lock"), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
        if (!isLocked(owner)) {
            owner.close();
            throw new IOException(folder + " is the folder of another service that may change adapters. Stop that service, name "
                    + "another folder, or start this one without a token");
        }
        for (Path left : Stream.concat(entries(staged).stream(), entries(gone).stream()).toList()) {
            deleteIfPossible(left);
        }
        try {
            AtomicFile.clearLeftOvers(folder, Set.copyOf(AdapterUpload.FILES));
        } catch (IOException | UncheckedIOException e) {
            LOG.warn("What an earlier service left in {} cannot be cleared away: {}", folder, e.getMessage());
        }
    }

    private static boolean isLocked(FileChannel channel) throws IOException {
        try {
            return channel.tryLock() != null;
        } catch (OverlappingFileLockException sameProcess) {
            return false;
        }
    }

    /**
     * Refuses a name that is not valid, see {@link AdapterName}, or reserved.
     *
     * @throws Problem if an adapter cannot have this name
     */
    void requireName(String name) {
        Optional<String> defect = reserved.contains(name) ? Optional.of("An adapter cannot be called \"" + name
                + "\": it is a name of the base. Choose another") : AdapterName.defect(name);
        defect.ifPresent(why -> {
            throw Problem.badRequest(why);
        });
    }

    @Override
    public List<String> names() throws IOException {
        return source.names().stream().filter(name -> !reserved.contains(name)).toList();
    }

    @Override
    public Optional<LoRAAdapter> load(String name) throws IOException {
        return reserved.contains(name) ? Optional.empty() : during(lock(name).readLock(), () -> source.load(name));
    }

    /** When an adapter was written, in seconds since 1970. */
    long since(String name) {
        return folder.resolve(name).toFile().lastModified() / 1000;
    }

    /** A new, empty folder to collect an adapter in: {@link #put}, or {@link #discard}. */
    Path stage() throws IOException {
        return Files.createDirectory(staged.resolve(UUID.randomUUID().toString()));
    }

    /**
     * Puts the two staged files in place.
     *
     * @return whether there was one of this name before
     */
    boolean put(String name, Path adapter) throws IOException {
        Path place = folder.resolve(name);
        Map<String, AtomicFile.Content> files = new LinkedHashMap<>();
        for (String file : AdapterUpload.FILES) {
            files.put(file, out -> Files.copy(adapter.resolve(file), out));
        }
        return during(lock(name).writeLock(), () -> {
            requireOwnFolder(name, place);
            boolean replaces = Files.isDirectory(place);
            AtomicFile.writeFolder(place, files);
            return replaces;
        });
    }

    /** The same for names that differ in upper and lower case alone, which may be names of one folder. */
    private ReadWriteLock lock(String name) {
        return locks.get(Math.floorMod(name.toUpperCase(Locale.ROOT).hashCode(), LOCKS));
    }

    /** Some file systems ignore case: "SPAM" would replace "spam", and the bank would have two names of one folder. */
    private void requireOwnFolder(String name, Path place) throws IOException {
        if (Files.exists(place, LinkOption.NOFOLLOW_LINKS)
                && entries(folder).stream().noneMatch(entry -> entry.getFileName().toString().equals(name))) {
            throw Problem.badRequest("There is an adapter whose name differs from \"" + name + "\" only in upper and lower "
                    + "case, which the file system of the adapters does not distinguish. Use that name, or another");
        }
    }

    /** @return whether there was one */
    boolean delete(String name) throws IOException {
        return during(lock(name).writeLock(), () -> names().contains(name) && forget(folder.resolve(name)));
    }

    /**
     * Changes an adapter.
     *
     * @param changed is told afterwards, also if that failed, the names that the adapter has: its own, and those of links to the
     *                same folder
     */
    <T> T changing(String name, Consumer<String> changed, Work<T> work) throws IOException {
        Set<String> names = new TreeSet<>(Set.of(name));
        try {
            names.addAll(linked(folder.resolve(name)));
            return work.run();
        } finally {
            names.forEach(changed);
        }
    }

    /** The names that lead to an adapter's folder; not all are asked, since there may be many adapters. */
    private List<String> linked(Path adapter) throws IOException {
        if (!Files.exists(adapter)) {
            return List.of();
        }
        Path real = adapter.toRealPath();
        return names().stream().filter(name -> Files.isSymbolicLink(folder.resolve(name)) || real.endsWith(name))
                .filter(name -> leadsTo(folder.resolve(name), real)).toList();
    }

    private static boolean leadsTo(Path path, Path real) {
        try {
            return path.toRealPath().equals(real);
        } catch (IOException gone) {
            return false;
        }
    }

    /** Moves an adapter away in one step, and then deletes it file by file. */
    private boolean forget(Path adapter) throws IOException {
        Path unwanted = gone.resolve(UUID.randomUUID().toString());
        Files.move(adapter, unwanted, StandardCopyOption.ATOMIC_MOVE);
        deleteIfPossible(unwanted);
        return true;
    }

    /** What cannot be deleted is in nobody's way, and the next start tries again. */
    private static void deleteIfPossible(Path unwanted) {
        try {
            Folders.deleteAll(unwanted);
        } catch (IOException e) {
            LOG.warn("Files that are no longer needed could not be deleted. The next start will try again: {}", e.getMessage());
        }
    }

    /** Deletes what was staged, if it still exists. */
    void discard(Path adapter) throws IOException {
        if (Files.exists(adapter)) {
            Folders.deleteAll(adapter);
        }
    }

    private static List<Path> entries(Path folder) throws IOException {
        try (Stream<Path> entries = Files.list(folder)) {
            return entries.toList();
        }
    }

    /** Work on files. */
    interface Work<T> {
        T run() throws IOException;
    }

    private static <T> T during(Lock lock, Work<T> work) throws IOException {
        lock.lock();
        try {
            return work.run();
        } finally {
            lock.unlock();
        }
    }

    @Override
    public void close() throws IOException {
        if (owner != null) {
            owner.close();
        }
    }
}
