package io.github.dl4jlora.conf;

/** What a save does if the file exists. Without an option, the file is replaced. */
public enum SaveOption {

    /**
     * Refuses to replace an existing file, with a {@link java.nio.file.FileAlreadyExistsException} that names it. Of several
     * saves to one path at once, one succeeds, on file systems that have hard links. In a folder only the files that would be
     * written count; other files may be there.
     */
    NEW_ONLY
}
