package io.github.dl4jlora.conf;

/** What saving does differently. Without one, a file that is there already is replaced. */
public enum SaveOption {

    /**
     * Refuses, by a {@link java.nio.file.FileAlreadyExistsException} that names the file, where there is one already. Of several
     * who save to one path at once, one succeeds, on file systems that have hard links. For a folder the files that would be
     * written count; others may be there.
     */
    NEW_ONLY
}
