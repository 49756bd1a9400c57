package io.github.dl4jlora.internal.file;

import io.github.dl4jlora.internal.common.Temporary;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * One save of files into a folder. At every moment the folder has the files of one save, however the program ends, and whoever
 * else saves.
 *
 * <pre>
 *   target                the old folder         the new files     (exchanged in one step)
 *   .target.UUID.tmp      the new files          the old folder, until it is deleted
 * </pre>
 *
 * <p>The new folder is made beside the target, with hard links to everything else in the old one ({@link OtherFiles}). Where
 * that is not possible, or two folders cannot be exchanged, files are replaced one by one ({@link InPlaceSave}). A lock
 * ({@link FolderLock}) makes saves run one after the other, and tells what a killed save left; it has no other use.
 */
final class FolderSave {

    private static final Logger LOG = LoggerFactory.getLogger(AtomicFile.class);
    private static final int MOST_TRIES = 100;
    private static final Pattern LEFT_OVER = Pattern.compile("(\\..+\\.)" + InPlaceSave.UUIDS + Pattern.quote(Temporary.SUFFIX));
    private static final Duration A_MOMENT = Duration.ofMinutes(1);

    private final Path target;
    private final Map<String, AtomicFile.Content> files;
    private final boolean isNewOnly;
    private final FolderSteps steps;

    /** @param isNewOnly whether to refuse to replace any of the files */
    FolderSave(Path target, Map<String, AtomicFile.Content> files, boolean isNewOnly, FolderSteps steps) {
        this.target = target;
        this.files = files;
        this.isNewOnly = isNewOnly;
        this.steps = steps;
    }

    /** A new folder, and its lock. */
    private record Prepared(Temporary folder, FolderLock lock) implements AutoCloseable {

        Path path() {
            return folder.path();
        }

        /** {@return an empty file that is made in the folder} */
        Path made(String name) throws IOException {
            Path file = path().resolve(name);
            folder.add(file, () -> Files.createFile(file));
            return file;
        }

        @Override
        public void close() {
            lock.close();
            folder.close();
        }
    }

    void run() throws IOException {
        Path place = AtomicFile.behindLinks(target);
        if (place.getParent() == null) {
            throw new IOException("Cannot write " + target + ": it has no parent folder. Name a folder in it");
        }
        try (NewFolders folders = new NewFolders(parent(place))) {
            for (int i = 1; !isDone(AtomicFile.behindLinks(target)); i++) {
                if (i == MOST_TRIES) {
                    throw new IOException("other programs keep creating and deleting it");
                }
            }
            folders.keep();
        } catch (FileAlreadyExistsException e) {
            throw e;
        } catch (AtomicFile.HalfDone e) {
            throw new AtomicFile.HalfDone("Cannot write " + target + ": " + e.getMessage(), e);
        } catch (IOException e) {
            throw new IOException("Cannot write " + target + ": " + AtomicFile.reason(place, e) + ". "
                    + (Files.isDirectory(target) ? "Its previous files are unchanged" : "Nothing was written"), e);
        }
    }

    /** The folder of the one to be written, which is no root. */
    private static Path parent(Path place) {
        return Objects.requireNonNull(place.getParent());
    }

    /** Tries once; false if the folder has appeared or vanished in between. */
    private boolean isDone(Path place) throws IOException {
        if (Files.exists(place) && !Files.isDirectory(place)) {
            throw new IOException("it is a file, but must be a folder. Choose another name");
        }
        clearLeftOvers(place);
        boolean isThere = Files.isDirectory(place);
        if (isThere && !steps.mayExchange(place)) {
            return isReplacedInPlace(place);
        }
        Prepared prepared;
        try {
            prepared = prepared(place);
        } catch (IOException e) {
            if (!isThere) {
                throw e;
            }
            return isReplacedInPlace(place);
        }
        if (prepared == null) {
            return false;
        }
        try (prepared) {
            for (Map.Entry<String, AtomicFile.Content> file : files.entrySet()) {
                AtomicFile.fill(prepared.made(file.getKey()), file.getValue());
            }
            Moves.flush(prepared.path());
            steps.done("prepared");
            return isThere ? isReplaced(place, prepared) : isNew(place, prepared);
        }
    }

    /**
     * Makes the folder and locks it. Files come later, so that a program that is killed before the lock leaves nothing but an
     * empty folder.
     *
     * @return null if another program took the folder for a left-over before it was locked
     */
    private @Nullable Prepared prepared(Path place) throws IOException {
        Temporary folder = Temporary.folderBeside(place, List.of());
        Prepared prepared = null;
        try {
            // As private as the folder that it will become.
            AtomicFile.keepPermissions(place, folder.path());
            steps.made(folder.path());
            @Nullable FolderLock[] lock = new FolderLock[1];
            folder.add(folder.path().resolve(FolderLock.NAME), () -> lock[0] = FolderLock.ofPrepared(folder.path()));
            if (lock[0] != null) {
                prepared = new Prepared(folder, lock[0]);
            }
        } catch (NoSuchFileException e) {
            if (Files.exists(folder.path())) {
                throw e;
            }
        } finally {
            if (prepared == null) {
                folder.close();
            }
        }
        return prepared;
    }

    private boolean isNew(Path place, Prepared prepared) throws IOException {
        try {
            prepared.folder.hold(() -> {
                // Windows does not move a folder with an open file in it.
                prepared.lock.close();
                Moves.inTime(place, () -> Files.move(prepared.path(), place));
                prepared.folder.release();
                Moves.flush(parent(place));
                steps.done("in its place");
            });
            return true;
        } catch (IOException e) {
            if (Files.isDirectory(place)) {
                return false;
            }
            throw e;
        }
    }

    private boolean isReplaced(Path place, Prepared prepared) throws IOException {
        return isDoneInTurn(place, prepared.folder, lock -> replace(place, prepared, lock));
    }

    /** Work for which the caller has the folder's lock. */
    @FunctionalInterface
    private interface LockedWork {
        void run(FolderLock lock) throws IOException;
    }

    /**
     * Works on the folder when its turn comes. The program does not end during the work, so that no lock's file is left; it may
     * end during the wait for others who have the lock before.
     */
    private static boolean isDoneInTurn(Path place, Temporary holder, LockedWork work) throws IOException {
        try {
            FolderLock.inTurn(place, attempt -> {
                boolean[] isDone = new boolean[1];
                holder.hold(() -> {
                    try (FolderLock lock = attempt.lock()) {
                        if (lock != null) {
                            work.run(lock);
                            isDone[0] = true;
                        }
                    }
                });
                return isDone[0];
            });
            return true;
        } catch (NoSuchFileException e) {
            return isGone(place, e);
        }
    }

    private void replace(Path place, Prepared prepared, FolderLock lock) throws IOException {
        requireNone(place);
        if (!isExchanged(place, prepared, lock)) {
            try (InPlaceSave save = new InPlaceSave(place, files.keySet(), steps)) {
                for (String name : files.keySet()) {
                    Moves.move(prepared.path().resolve(name), save.staged(name));
                }
                commit(save);
            }
        }
        // The lock's file lies in the folder that is visible now, and the end of the program no longer waits after this.
        prepared.lock.close();
    }

    private boolean isExchanged(Path place, Prepared prepared, FolderLock lock) throws IOException {
        OtherFiles others = new OtherFiles(files.keySet());
        try {
            others.linkInto(place, prepared.path(), prepared.folder);
        } catch (IOException e) {
            LOG.debug("{} is not replaced as a whole", place, e);
            return false;
        }
        for (String name : files.keySet()) {
            AtomicFile.keepPermissions(place.resolve(name), prepared.path().resolve(name));
        }
        steps.done("linked");
        boolean[] isExchanged = new boolean[1];
        prepared.folder.hold(() -> {
            isExchanged[0] = steps.exchange(prepared.path(), place);
            if (isExchanged[0]) {
                requireNoneIn(prepared.path(), place);
                lock.moved(prepared.path());
                prepared.lock.moved(place);
                prepared.folder.release();
                clearAway(prepared.path(), place, others);
            }
        });
        return isExchanged[0];
    }

    /** From here on nothing can fail any more. */
    private void clearAway(Path old, Path place, OtherFiles others) throws IOException {
        Moves.flush(parent(place));
        steps.done("exchanged");
        try {
            others.bringOver(old, place);
        } catch (IOException e) {
            LOG.warn("{} is saved, but other files of the old folder are still in {} and could not be moved; the next save will "
                    + "try again: {}", place, old, e.toString());
        }
        steps.done("cleared away");
    }

    private boolean isReplacedInPlace(Path place) throws IOException {
        try (Temporary holder = Temporary.none(place.resolve(FolderLock.NAME))) {
            return isDoneInTurn(place, holder, lock -> {
                requireNone(place);
                try (InPlaceSave save = new InPlaceSave(place, files.keySet(), steps)) {
                    for (Map.Entry<String, AtomicFile.Content> file : files.entrySet()) {
                        AtomicFile.fill(save.staged(file.getKey()), file.getValue());
                    }
                    commit(save);
                }
            });
        }
    }

    private void commit(InPlaceSave save) throws IOException {
        save.recover();
        save.commit(isNewOnly);
    }

    private static boolean isGone(Path place, NoSuchFileException e) throws NoSuchFileException {
        if (Files.isDirectory(place)) {
            throw e;
        }
        return false;
    }

    private void requireNone(Path folder) throws FileAlreadyExistsException {
        for (String name : files.keySet()) {
            if (isNewOnly && Files.exists(folder.resolve(name), LinkOption.NOFOLLOW_LINKS)) {
                throw AtomicFile.exists(target.resolve(name));
            }
        }
    }

    /** Checks again: another program, which asks for no lock, may have written before the folders changed places. */
    private void requireNoneIn(Path old, Path place) throws FileAlreadyExistsException {
        try {
            requireNone(old);
        } catch (FileAlreadyExistsException e) {
            steps.exchange(old, place);
            throw e;
        }
    }

    /**
     * Clears away what killed saves left beside the folder: what they prepared, or the old folder, of which nothing may be lost.
     */
    private void clearLeftOvers(Path place) {
        try {
            for (Path left : OtherFiles.entries(parent(place))) {
                if (leftOf(left).equals(Temporary.besidePrefix(place)) && !isJustMade(left)) {
                    clear(left, place, files.keySet());
                }
            }
        } catch (IOException e) {
            LOG.debug("Leftovers beside {} could not be deleted", place, e);
        }
    }

    /** {@return whether somebody has made a folder and is about to lock it} */
    private static boolean isJustMade(Path folder) throws IOException {
        return !FolderLock.isMarked(folder)
                && Files.getLastModifiedTime(folder).toInstant().isAfter(Instant.now().minus(A_MOMENT));
    }

    /**
     * As {@link #clearLeftOvers(Path)}, beside each folder in a folder, and of any age: whoever is about to lock such a folder
     * makes another.
     */
    static void clearLeftOversIn(Path parent, Set<String> names) throws IOException {
        for (Path left : OtherFiles.entries(parent)) {
            String prefix = leftOf(left);
            if (!prefix.isEmpty()) {
                clear(left, parent.resolve(prefix.substring(1, prefix.length() - 1)), names);
            }
        }
    }

    /** The beginning of a temporary folder's name; empty if the path is no such folder. */
    private static String leftOf(Path path) {
        Matcher name = LEFT_OVER.matcher(path.getFileName().toString());
        return name.matches() && Files.isDirectory(path, LinkOption.NOFOLLOW_LINKS) ? name.group(1) : "";
    }

    private static void clear(Path left, Path place, Set<String> names) throws IOException {
        try (FolderLock lock = FolderLock.ofLeftOver(left)) {
            if (lock != null) {
                clear(left, place, names, lock);
            }
        }
    }

    private static void clear(Path left, Path place, Set<String> names, FolderLock lock) throws IOException {
        try {
            if (lock.wasPrepared() || isEmpty(left)) {
                deleteAll(left);
            } else if (Files.isDirectory(place)) {
                new OtherFiles(names).bringOver(left, place);
            }
        } catch (DirectoryNotEmptyException e) {
            // Windows may keep a deleted file, such as the lock's, in its folder until it is closed.
            lock.close();
            Files.delete(left);
        }
    }

    private static boolean isEmpty(Path locked) throws IOException {
        return OtherFiles.entries(locked).stream().allMatch(entry -> entry.endsWith(FolderLock.NAME));
    }

    private static void deleteAll(Path folder) throws IOException {
        try (Stream<Path> files = Files.walk(folder)) {
            for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
                Files.delete(file);
            }
        }
    }
}
