package io.github.dl4jlora.onnx;

import com.google.common.jimfs.Configuration;
import com.google.common.jimfs.Jimfs;

import java.io.IOException;
import java.nio.file.FileSystem;
import java.nio.file.Files;
import java.nio.file.Path;

/** Files in memory: what is written is flushed, and thousands of flushes to a disk take minutes. */
final class InMemory {

    private static final FileSystem FILES = Jimfs.newFileSystem(Configuration.unix());

    private InMemory() {
    }

    /** A new file, in a folder that is there. */
    static Path file() throws IOException {
        return Files.createTempFile(FILES.getPath("/work"), "network", ".onnx");
    }

    /** Whether a file is one of these. */
    static boolean has(Path file) {
        return file.getFileSystem() == FILES;
    }
}
