package io.github.dl4jlora.internal.peft;

import io.github.dl4jlora.internal.file.AtomicFile;
import io.github.dl4jlora.internal.untrusted.Few;

import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;

/** A folder with the two files of which PEFT's adapters consist. */
public record PeftFolder(Path path) {

    public static final String TENSORS = "adapter_model.safetensors";
    /** What PEFT wrote before it had safetensors. */
    static final String PICKLE = "adapter_model.bin";
    public static final String CONFIG = "adapter_config.json";
    private static final int MOST_LOOKS = 20;

    public Path tensors() {
        return path.resolve(TENSORS);
    }

    /** What there is in the place of an adapter's tensors, and what to do: a sentence for messages, or nothing. */
    String insteadOfTensors() throws IOException {
        if (Files.exists(path.resolve(TENSORS + ".index.json"))) {
            return "The adapter is in several files, but is read from one. Join them in Python: save_file({k: v for f in "
                    + "glob(\"adapter_model-*.safetensors\") for k, v in load_file(f).items()}, \"" + TENSORS + "\")";
        }
        List<String> adapters = new ArrayList<>();
        try (DirectoryStream<Path> inside = Files.newDirectoryStream(path)) {
            for (Path folder : inside) {
                if (Files.exists(folder.resolve(CONFIG))) {
                    adapters.add(String.valueOf(folder.getFileName()));
                }
            }
        }
        if (!adapters.isEmpty()) {
            adapters.sort(Comparator.naturalOrder());
            return "The folders " + Few.of(adapters) + " in it hold adapters: load one of these";
        }
        return Files.exists(path.resolve("config.json")) && !Files.exists(config())
                ? "The folder holds a model, not an adapter: give the folder that PEFT or this library saved an adapter to" : "";
    }

    Path pickle() {
        return path.resolve(PICKLE);
    }

    public Path config() {
        return path.resolve(CONFIG);
    }

    /**
     * {@return files that have to stay the same while they are read} Where a save was killed, or is under way on a system that
     * replaces file by file, the configuration may have a temporary name, which other files tell.
     */
    List<Path> files() throws IOException {
        List<Path> files = new ArrayList<>(List.of(tensors(), config()));
        if (!Files.exists(config()) && Files.isDirectory(path)) {
            Optional<AtomicFile.Interrupted> left = AtomicFile.interrupted(path, TENSORS, CONFIG);
            left.ifPresent(found -> files.addAll(List.of(found.file(), found.first())));
        }
        return files;
    }

    /** {@return the name of one of the two files that is not there, nor left by a save that was interrupted} */
    public Optional<String> missing() throws IOException {
        if (!Files.isRegularFile(tensors())) {
            return Optional.of(TENSORS);
        }
        // A save that replaces file by file may be renaming it between two looks.
        for (int i = 0; i < MOST_LOOKS; i++) {
            if (files().stream().anyMatch(file -> isConfig(file) && Files.isRegularFile(file))) {
                return Optional.empty();
            }
        }
        return Optional.of(CONFIG);
    }

    /** {@return whether it is one of {@link #files} with a configuration} */
    static boolean isConfig(Path file) {
        return file.getFileName().toString().contains(CONFIG);
    }

    @Override
    public String toString() {
        return path.toString();
    }
}
