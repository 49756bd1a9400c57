package io.github.dl4jlora.internal.file;

import io.github.dl4jlora.internal.common.FileIdentity;
import io.github.dl4jlora.internal.common.Temporary;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;
import java.util.regex.Pattern;

/**
 * Replaces files of a folder where the folder cannot be replaced as a whole. Files of two different saves never have their final
 * names at the same time. All files are written under temporary names with one UUID. Then the old files except the first are
 * renamed, the first is replaced, and the others get their names:
 *
 * <pre>
 *   first (old), other (old)                               .first.UUID.tmp, .other.UUID.tmp
 *   first (old)                   .other.UUID.old          .first.UUID.tmp, .other.UUID.tmp
 *   first (new)                   .other.UUID.old                           .other.UUID.tmp
 *   first (new), other (new)      .other.UUID.old
 * </pre>
 *
 * <p>A program that ends in the middle leaves a folder without the other files, which readers refuse. What is there tells which
 * of the two other files belongs to the first: the old one, until the new first file has got its name.
 */
final class InPlaceSave implements AutoCloseable {

    private static final String OLD = ".old";
    static final String UUIDS = "\\p{XDigit}{8}(-\\p{XDigit}{4}){3}-\\p{XDigit}{12}";

    private static final Logger LOG = LoggerFactory.getLogger(AtomicFile.class);

    private final Path folder;
    private final List<String> names;
    private final FolderSteps steps;
    private final String id = UUID.randomUUID().toString();
    private final Temporary staged;

    /** Makes empty files under temporary names. */
    InPlaceSave(Path folder, Iterable<String> names, FolderSteps steps) throws IOException {
        this.folder = folder;
        this.steps = steps;
        this.names = new ArrayList<>();
        names.forEach(this.names::add);
        this.staged = Temporary.of(staged(first()), () -> Files.createFile(staged(first())));
        try {
            for (String other : others()) {
                staged.add(staged(other), () -> Files.createFile(staged(other)));
            }
        } catch (IOException e) {
            staged.close();
            throw e;
        }
    }

    /** {@return whether a name is a temporary one of the file {@code of}, from a save under way or an interrupted one} */
    static boolean isLeftOver(String of, String name) {
        return id(of, name, Temporary.SUFFIX).or(() -> id(of, name, OLD)).isPresent();
    }

    private static Optional<String> id(String of, String name, String end) {
        String begin = Temporary.besidePrefix(Path.of(of));
        return name.startsWith(begin) && name.endsWith(end) && name.length() > begin.length() + end.length()
                ? Optional.of(name.substring(begin.length(), name.length() - end.length())).filter(Pattern.compile(UUIDS)
                        .asMatchPredicate()) : Optional.empty();
    }

    private static Path named(Path folder, String of, String id, String end) {
        return folder.resolve(Temporary.besidePrefix(Path.of(of)) + id + end);
    }

    private String first() {
        return names.get(0);
    }

    private List<String> others() {
        return names.subList(1, names.size());
    }

    /** Where the new file is until it gets its name. */
    Path staged(String name) {
        return named(folder, name, id, Temporary.SUFFIX);
    }

    /**
     * Gives the files their names. The caller must have the folder's lock.
     *
     * @param isNewOnly whether to refuse to replace the first
     * @throws AtomicFile.HalfDone if that is possible of some files alone
     * @throws IOException         if that is not possible; then the old files are there
     */
    void commit(boolean isNewOnly) throws IOException {
        for (String name : names) {
            // Once more for a file that was moved here: a move to another file system, such as one mounted here, is a copy.
            AtomicFile.force(staged(name));
            AtomicFile.keepPermissions(folder.resolve(name), staged(name));
        }
        steps.done("staged");
        staged.hold(() -> {
            Map<Path, Path> aside = new LinkedHashMap<>();
            try {
                replaceFirst(isNewOnly, aside);
            } catch (IOException e) {
                restore(aside, e);
                throw e;
            }
            steps.done("first replaced");
            nameOthers();
            Moves.flush(folder);
            deleteOld(aside.values());
            steps.done("old ones deleted");
        });
    }

    private void replaceFirst(boolean isNewOnly, Map<Path, Path> aside) throws IOException {
        for (String other : others()) {
            Path old = folder.resolve(other);
            if (Files.exists(old, LinkOption.NOFOLLOW_LINKS)) {
                Path there = named(folder, other, id, OLD);
                Moves.move(old, there);
                aside.put(old, there);
                steps.done("aside");
            }
        }
        Moves.flush(folder);
        if (isNewOnly) {
            AtomicFile.moveToNew(staged(first()), folder.resolve(first()));
            Files.deleteIfExists(staged(first()));
        } else {
            Moves.move(staged(first()), folder.resolve(first()));
        }
        Moves.flush(folder);
    }

    /** Gives old files their names back. */
    private void restore(Map<Path, Path> aside, IOException failure) throws AtomicFile.HalfDone {
        List<String> stuck = new ArrayList<>();
        aside.forEach((old, there) -> {
            try {
                Moves.move(there, old);
            } catch (IOException e) {
                failure.addSuppressed(e);
                stuck.add(there.getFileName() + " to " + old.getFileName());
            }
        });
        if (!stuck.isEmpty()) {
            throw new AtomicFile.HalfDone(AtomicFile.reason(folder, failure) + ". Old files in it could not get back their "
                    + "names: rename " + String.join(", ", stuck) + ", or save again", failure);
        }
    }

    private static void deleteOld(Iterable<Path> files) {
        for (Path old : files) {
            try {
                Files.deleteIfExists(old);
            } catch (IOException e) {
                // The next save deletes it.
                LOG.debug("{} could not be deleted", old, e);
            }
        }
    }

    private void nameOthers() throws IOException {
        for (String other : others()) {
            try {
                Moves.move(staged(other), folder.resolve(other));
                steps.done("named");
            } catch (IOException e) {
                staged.release();
                throw new AtomicFile.HalfDone(folder.resolve(first()) + " is new, but " + staged(other).getFileName()
                        + " beside it could not be renamed to " + other + ": rename it, or save again", e);
            }
        }
    }

    /**
     * The other file that belongs to the first file, where a save was interrupted or is under way.
     *
     * @param first of a save
     * @param other one of the others, which is not there under its name
     * @return the file under its temporary name; empty if there is none, or more than one
     */
    static Optional<AtomicFile.Interrupted> interrupted(Path folder, String first, String other) throws IOException {
        Map<String, AtomicFile.Interrupted> found = new HashMap<>();
        // Looked up once for each UUID: the save may be under way.
        Map<String, Boolean> isStaged = new HashMap<>();
        for (Path entry : OtherFiles.entries(folder)) {
            String name = entry.getFileName().toString();
            Optional<String> ofNew = id(other, name, Temporary.SUFFIX);
            Optional<String> either = ofNew.or(() -> id(other, name, OLD));
            if (either.isPresent()) {
                Path staged = named(folder, first, either.get(), Temporary.SUFFIX);
                if (ofNew.isPresent() != isStaged.computeIfAbsent(either.get(), id -> isStaged(staged, folder.resolve(first)))) {
                    found.put(either.get(), new AtomicFile.Interrupted(entry, staged));
                }
            }
        }
        return found.size() == 1 ? found.values().stream().findFirst() : Optional.empty();
    }

    /** Whether the first file has only its temporary name; one that must not replace a file has both names for a moment. */
    private static boolean isStaged(Path staged, Path first) {
        FileIdentity one = FileIdentity.of(staged);
        return one.present() && !(one.key() == null ? isSame(staged, first) : one.key().equals(FileIdentity.of(first).key()));
    }

    /** For Windows, where files have no keys. */
    private static boolean isSame(Path staged, Path first) {
        try {
            return Files.exists(first) && Files.isSameFile(staged, first);
        } catch (IOException e) {
            return false;
        }
    }

    /** Finishes what an interrupted save has begun, and clears away what it left. The caller must have the folder's lock. */
    void recover() throws IOException {
        for (String other : others()) {
            if (!Files.exists(folder.resolve(other), LinkOption.NOFOLLOW_LINKS)) {
                Optional<AtomicFile.Interrupted> left = interrupted(folder, first(), other);
                if (left.isPresent()) {
                    Moves.move(left.get().file(), folder.resolve(other));
                }
            }
        }
        for (Path entry : OtherFiles.entries(folder)) {
            String name = entry.getFileName().toString();
            if (!name.contains(id) && names.stream().anyMatch(of -> isLeftOver(of, name))) {
                Files.deleteIfExists(entry);
            }
        }
    }

    /** Deletes the files that have not got their names. */
    @Override
    public void close() {
        staged.close();
    }
}
