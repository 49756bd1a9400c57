package io.github.dl4jlora.bank;

import io.github.dl4jlora.adapter.LoRAAdapter;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.stream.Stream;

/** Adapters in the folders of a folder. A name leads to no other place. */
record FolderSource(Path folder) implements AdapterSource {

    FolderSource {
        Objects.requireNonNull(folder, "The folder of the adapters is null");
    }

    @Override
    public List<String> names() throws IOException {
        if (!Files.isDirectory(folder)) {
            return List.of();
        }
        try (Stream<Path> entries = Files.list(folder)) {
            return entries.filter(Files::isDirectory).map(entry -> entry.getFileName().toString())
                    .filter(FolderSource::mayBeName).sorted().toList();
        }
    }

    @Override
    public Optional<LoRAAdapter> load(String name) throws IOException {
        Path adapter = place(name);
        return adapter == null || !Files.isDirectory(adapter) ? Optional.empty() : Optional.of(LoRAAdapter.load(adapter));
    }

    /** Null if no folder in this one can be called so. */
    private Path place(String name) {
        if (!mayBeName(name)) {
            return null;
        }
        try {
            Path one = folder.getFileSystem().getPath(name);
            return one.isAbsolute() || one.getNameCount() != 1 || !one.getFileName().toString().equals(name) ? null
                    : folder.resolve(one);
        } catch (InvalidPathException noFileSystemHasIt) {
            return null;
        }
    }

    private static boolean mayBeName(String name) {
        return !name.isEmpty() && !name.startsWith(".") && name.indexOf('/') < 0 && name.indexOf('\\') < 0;
    }
}
