package io.github.dl4jlora.conf;

import org.jspecify.annotations.Nullable;

import java.net.URI;

/** What an adapted network stands on: where the frozen values of its base are, and in what form. */
record BaseOptions(FrozenStorage storage, boolean copy, @Nullable URI location, @Nullable Quantization quantization,
                   boolean pack) {

    BaseOptions {
        if (quantization != null && storage == FrozenStorage.EMBEDDED) {
            throw new IllegalArgumentException("LoRAConfig: quantize(" + quantization + ") keeps the base outside the network's "
                    + "parameter vector, but the storage is EMBEDDED. Leave the storage at SHARED, or leave quantize out");
        }
        if (pack && storage == FrozenStorage.EMBEDDED) {
            throw new IllegalArgumentException("LoRAConfig: pack(true) copies frozen matrices that lie outside the network's "
                    + "parameter vector, but the storage is EMBEDDED. Leave the storage at SHARED, or leave pack out");
        }
    }
}
