package io.github.dl4jlora.cli;

import io.github.dl4jlora.adapter.LoRAAdapter;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** An adapter on disk: a folder with PEFT's two files. */
final class AdapterFolder {

    private static final String TENSORS = "adapter_model.safetensors";
    private static final String CONFIG = "adapter_config.json";

    private AdapterFolder() {
    }

    static boolean is(Path path) {
        return Files.isRegularFile(path.resolve(TENSORS));
    }

    /**
     * @throws IOException if this is one of an adapter's two files
     */
    static void refusePart(Path file) throws IOException {
        Path name = file.getFileName();
        if (name.toString().equals(TENSORS) || name.toString().equals(CONFIG)) {
            Path folder = file.getParent();
            throw new IOException(file + " is part of an adapter. Name the adapter's folder instead: "
                    + (folder == null ? "." : folder));
        }
    }

    static LoRAAdapter read(Path folder) throws IOException {
        return read(folder, LoRAAdapter.loader());
    }

    /**
     * @throws IOException if the folder is missing or holds no adapter; the message names it
     */
    static LoRAAdapter read(Path folder, LoRAAdapter.Loader loader) throws IOException {
        if (!Files.exists(folder)) {
            throw new IOException(folder + " does not exist. An adapter is a folder with " + TENSORS);
        }
        if (!Files.isDirectory(folder)) {
            throw new IOException(folder + " is a file, but an adapter is a folder with " + TENSORS
                    + ". To make one from a saved network, use export");
        }
        return loader.load(folder);
    }
}
