package io.github.dl4jlora.internal.file;

import io.github.dl4jlora.internal.common.FileIdentity;
import io.github.dl4jlora.internal.common.Temporary;
import io.github.dl4jlora.internal.processor.FolderExchange;
import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.PosixFileAttributeView;
import java.nio.file.attribute.PosixFileAttributes;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.stream.Stream;

/**
 * The files in a folder beside those of a save. Hard links take them into the folder that will replace it, subfolders are made
 * anew, and what has changed since is brought over afterwards.
 */
final class OtherFiles {

    private static final int PERMISSION_BITS = 07777;

    private final Set<String> own;
    /** What was linked, by its path in the folder. */
    private final Map<Path, @Nullable Object> linked = new HashMap<>();

    /** @param own names of the files of a save */
    OtherFiles(Set<String> own) {
        this.own = own;
    }

    /**
     * Puts into a new folder everything that is in an old one, except the files of a save.
     *
     * @param made deletes what is made here, unless the new folder comes to be used
     * @throws IOException if something cannot have a second name, or if the new folder cannot have the owner, permissions and
     *                     attributes of the old one
     */
    void linkInto(Path old, Path replacement, Temporary made) throws IOException {
        linkInto(old, replacement, old.getFileSystem().getPath(""), made);
    }

    private void linkInto(Path old, Path replacement, Path below, Temporary made) throws IOException {
        match(old.resolve(below), replacement.resolve(below));
        for (Path entry : entries(old.resolve(below))) {
            Path name = below.resolve(entry.getFileName());
            Path link = replacement.resolve(name);
            if (isOfSaves(old, name)) {
                continue;
            }
            BasicFileAttributes found = Files.readAttributes(entry, BasicFileAttributes.class, LinkOption.NOFOLLOW_LINKS);
            if (found.isDirectory()) {
                made.add(link, () -> Files.createDirectory(link));
                linkInto(old, replacement, name, made);
            } else if (found.isSymbolicLink()) {
                made.add(link, () -> Files.createSymbolicLink(link, Files.readSymbolicLink(entry)));
            } else if (found.isRegularFile()) {
                made.add(link, () -> createLink(link, entry));
            } else {
                throw new IOException(entry + " is not a regular file");
            }
            linked.put(name, stamp(link));
        }
    }

    private static void createLink(Path link, Path entry) throws IOException {
        try {
            Files.createLink(link, entry);
        } catch (UnsupportedOperationException e) {
            throw new IOException(e);
        }
    }

    /**
     * {@return whether a name is that of a file of a save, in whatever case a file system has it, or of what saves leave}
     */
    private boolean isOfSaves(Path folder, Path name) throws IOException {
        if (name.getNameCount() > 1) {
            return false;
        }
        String text = name.toString();
        for (String file : own) {
            if (text.equals(file) || InPlaceSave.isLeftOver(file, text) || text.equalsIgnoreCase(file)
                    && Files.exists(folder.resolve(file)) && Files.isSameFile(folder.resolve(file), folder.resolve(name))) {
                return true;
            }
        }
        return text.equals(FolderLock.NAME);
    }

    /** Gives one folder the owner and permissions of the other; refuses if they differ in other attributes. */
    private static void match(Path old, Path replacement) throws IOException {
        PosixFileAttributeView now = Files.getFileAttributeView(replacement, PosixFileAttributeView.class);
        if (now == null) {
            return;
        }
        PosixFileAttributes before = Files.readAttributes(old, PosixFileAttributes.class);
        AtomicFile.keepOwner(before, now);
        now.setPermissions(before.permissions());
        if (old.getFileSystem().supportedFileAttributeViews().contains("unix")) {
            // Bits that permissions do not show: whether new files get the folder's group, whether only owners may delete them.
            Files.setAttribute(replacement, "unix:mode", (int) Files.getAttribute(old, "unix:mode") & PERMISSION_BITS);
        }
        if (!FolderExchange.haveSameExtendedAttributes(old, replacement)) {
            throw new IOException(old + " has access control lists or other attributes of its own");
        }
    }

    /**
     * Brings over what was added or changed in the old folder since it was linked, and deletes the old folder. What has since
     * changed in the folder in its place is newer, and stays.
     *
     * @throws IOException if something cannot be moved or deleted; it is still there then
     */
    void bringOver(Path old, Path now) throws IOException {
        bringOver(old, now, old.getFileSystem().getPath(""));
    }

    private void bringOver(Path old, Path now, Path below) throws IOException {
        for (Path entry : entries(old.resolve(below))) {
            Path name = below.resolve(entry.getFileName());
            Path there = now.resolve(name);
            Object before = stamp(entry);
            Object after = stamp(there);
            if (before == null) {
                // Deleted since the folder was listed.
                continue;
            }
            if (isOfSaves(old, name)) {
                Files.delete(entry);
            } else if (after == null && !linked.containsKey(name)) {
                Files.move(entry, there);
            } else if (Files.isDirectory(entry, LinkOption.NOFOLLOW_LINKS)) {
                bringOver(old, now, name);
            } else if (isChanged(name, before, after) && isNewer(name, entry, there)) {
                Files.move(entry, there, StandardCopyOption.REPLACE_EXISTING);
            } else {
                Files.delete(entry);
            }
        }
        Files.delete(old.resolve(below));
    }

    private boolean isChanged(Path name, Object before, @Nullable Object after) {
        return after != null && !before.equals(after) && (!linked.containsKey(name) || after.equals(linked.get(name)));
    }

    /** After a killed save it is no longer known what was linked; then times decide. */
    private boolean isNewer(Path name, Path entry, Path there) throws IOException {
        return linked.containsKey(name)
                || Files.getLastModifiedTime(entry, LinkOption.NOFOLLOW_LINKS)
                .compareTo(Files.getLastModifiedTime(there, LinkOption.NOFOLLOW_LINKS)) > 0;
    }

    /** Equal for two hard links to one file, and for symbolic links that lead to the same place; null if there is nothing. */
    private static @Nullable Object stamp(Path path) throws IOException {
        try {
            BasicFileAttributes found = Files.readAttributes(path, BasicFileAttributes.class, LinkOption.NOFOLLOW_LINKS);
            return found.isSymbolicLink() ? Files.readSymbolicLink(path) : found.isDirectory() ? "folder"
                    : Objects.requireNonNullElseGet(found.fileKey(), () -> FileIdentity.of(path));
        } catch (NoSuchFileException e) {
            return null;
        }
    }

    static List<Path> entries(Path folder) throws IOException {
        try (Stream<Path> entries = Files.list(folder)) {
            return entries.toList();
        }
    }
}
