package io.github.dl4jlora.conf;

import java.util.Arrays;
import java.util.Locale;

/** Which biases train alongside the adapters: PEFT's {@code bias}. */
public enum BiasTraining {

    /** None; the default. */
    NONE,

    /** Those of adapted layers. */
    LORA_ONLY,

    /** Those of every layer. */
    ALL;

    /** {@return PEFT's word for it: {@code none}, {@code lora_only}, {@code all}} */
    public String peftName() {
        return name().toLowerCase(Locale.ROOT);
    }

    /**
     * Understands PEFT's word.
     *
     * @param name as PEFT writes it
     * @return which biases train by that word
     * @throws IllegalArgumentException for any other word
     */
    public static BiasTraining ofPeftName(String name) {
        return Arrays.stream(values()).filter(value -> value.peftName().equals(name)).findFirst()
                .orElseThrow(() -> new IllegalArgumentException("bias is \"" + name
                        + "\", but must be one of \"none\", \"lora_only\", \"all\""));
    }
}
