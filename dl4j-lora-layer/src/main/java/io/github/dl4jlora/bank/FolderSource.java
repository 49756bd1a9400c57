package io.github.dl4jlora.bank;

import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.internal.peft.PeftFolder;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.stream.Stream;

/** Adapters in the subfolders of a folder. No name leads out of the folder. */
final class FolderSource implements AdapterSource {

    private final Path folder;
    private final ServableNames servable;

    FolderSource(Path folder) {
        this.folder = Objects.requireNonNull(folder, "The folder of the adapters is null");
        this.servable = new ServableNames("The folder " + folder);
    }

    @Override
    public List<String> names() throws IOException {
        if (!Files.isDirectory(folder)) {
            return List.of();
        }
        try (Stream<Path> entries = Files.list(folder)) {
            return entries.filter(this::isServable).map(FolderSource::nameOf).sorted().toList();
        }
    }

    private boolean isServable(Path entry) {
        String name = nameOf(entry);
        if (name.startsWith(".") || !Files.isDirectory(entry) || !servable.mayBe(name)) {
            return false;
        }
        Optional<String> missing = missing(entry);
        missing.ifPresent(file -> servable.leaveOut(name, lacks(file)));
        return missing.isEmpty();
    }

    private static String lacks(String file) {
        return "The folder lacks the file " + file + ", which every adapter has. Save the adapter again, or move the folder "
                + "elsewhere";
    }

    private static Optional<String> missing(Path entry) {
        try {
            return new PeftFolder(entry).missing();
        } catch (IOException e) {
            return Optional.of(PeftFolder.CONFIG);
        }
    }

    private static String nameOf(Path entry) {
        return entry.getFileName().toString();
    }

    @Override
    public Optional<LoRAAdapter> load(String name) throws IOException {
        if (AdapterName.defect(name).isPresent()) {
            return Optional.empty();
        }
        try {
            Path adapter = folder.resolve(name);
            if (!Files.isDirectory(adapter) || !isCalled(adapter, name)) {
                return Optional.empty();
            }
            // First, since its refusals say more than that a file is missing.
            LoRAAdapter loaded = LoRAAdapter.load(adapter);
            Optional<String> missing = missing(adapter);
            if (missing.isPresent()) {
                throw new NoSuchFileException(adapter.resolve(missing.get()).toString(), null, lacks(missing.get()));
            }
            return Optional.of(loaded);
        } catch (InvalidPathException noFileSystemHasIt) {
            return Optional.empty();
        }
    }

    /** Some file systems find "spam" by "SPAM" too, so that one folder would be two adapters. */
    private boolean isCalled(Path adapter, String name) throws IOException {
        if (nameOf(adapter.toRealPath()).equals(name)) {
            return true;
        }
        // A link, whose real path has another name, or a folder in another case.
        try (Stream<Path> entries = Files.list(folder)) {
            return entries.anyMatch(entry -> nameOf(entry).equals(name));
        }
    }
}
