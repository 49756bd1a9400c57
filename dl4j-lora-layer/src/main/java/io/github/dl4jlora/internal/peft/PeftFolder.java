package io.github.dl4jlora.internal.peft;

import java.nio.file.Path;

/** A folder with the two files of which PEFT's adapters consist. */
public record PeftFolder(Path path) {

    public static final String TENSORS = "adapter_model.safetensors";
    /** What PEFT wrote before it had safetensors. */
    static final String PICKLE = "adapter_model.bin";
    public static final String CONFIG = "adapter_config.json";

    public Path tensors() {
        return path.resolve(TENSORS);
    }

    Path pickle() {
        return path.resolve(PICKLE);
    }

    public Path config() {
        return path.resolve(CONFIG);
    }

    @Override
    public String toString() {
        return path.toString();
    }
}
