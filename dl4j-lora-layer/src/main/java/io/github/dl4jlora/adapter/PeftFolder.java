package io.github.dl4jlora.adapter;

import java.nio.file.Path;

/** A folder with the two files of which PEFT's adapters consist. */
record PeftFolder(Path path) {

    static final String TENSORS = "adapter_model.safetensors";
    static final String CONFIG = "adapter_config.json";

    Path tensors() {
        return path.resolve(TENSORS);
    }

    Path config() {
        return path.resolve(CONFIG);
    }

    @Override
    public String toString() {
        return path.toString();
    }
}
