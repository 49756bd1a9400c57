package io.github.dl4jlora.internal.common;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileTime;
import java.util.Objects;

/**
 * Which file a path names at a moment, and in which state. Two identities are equal if nobody has replaced or written the file in
 * between, and nobody has given it a second name or other permissions.
 *
 * @param present  whether there is a file, or a folder, at all
 * @param key      of the file, whatever it is called; null where the file system has none, as on Windows
 * @param size     in bytes; 0 if it is no file
 * @param modified when its bytes were last changed; null if there is nothing, or it does not matter
 * @param changed  when anything of it was last changed; null where the file system does not say
 */
public record FileIdentity(boolean present, @Nullable Object key, long size, @Nullable FileTime modified,
                           @Nullable Object changed) {

    private static final FileIdentity ABSENT = new FileIdentity(false, null, 0, null, null);

    /** {@return the identity of what a path names now, behind links; finding nothing is an identity, too} */
    public static FileIdentity of(Path path) {
        try {
            BasicFileAttributes now = Files.readAttributes(path, BasicFileAttributes.class);
            Object changed = path.getFileSystem().supportedFileAttributeViews().contains("unix")
                    ? Files.getAttribute(path, "unix:ctime") : null;
            return new FileIdentity(true, now.fileKey(), now.isRegularFile() ? now.size() : 0, now.lastModifiedTime(), changed);
        } catch (IOException e) {
            return ABSENT;
        }
    }

    /** {@return whether this is the same file in another state, since somebody writes to it in place} */
    public boolean isWrittenSince(FileIdentity earlier) {
        return present && earlier.present && (key == null || key.equals(earlier.key)) && !equals(earlier);
    }

    /** {@return whether it is another file, or its bytes were written; names and permissions do not matter} */
    public boolean isAnotherThan(FileIdentity earlier) {
        return present != earlier.present || size != earlier.size || !Objects.equals(key, earlier.key)
                || !Objects.equals(modified, earlier.modified);
    }
}
