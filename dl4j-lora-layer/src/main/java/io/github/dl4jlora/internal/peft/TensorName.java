package io.github.dl4jlora.internal.peft;

/** What a tensor of a file is, by its name and the configuration. */
sealed interface TensorName {

    /** Before the name of a module that PEFT adapted; files that were not written by its {@code PeftModel} lack it. */
    String PREFIX = "base_model.model.";

    /** A tensor's name in full. */
    static String of(String layer, String end) {
        return PREFIX + layer + end;
    }

    /** A or B of an adapted layer: {@code (layer)(end of A or B)}, see {@link TensorLayout}. */
    record Factor(String layer, boolean isA) implements TensorName {
    }

    /** Another part of an adapted layer: {@code (layer)(its suffix)}. */
    record Part(String layer, ExtraPart part) implements TensorName {
    }

    /** Of a layer that modules_to_save names, which was trained in full: {@code (layer).(parameter)}. */
    record Parameter(String layer, String parameter) implements TensorName {
    }

    /** With bias "lora_only" or "all": {@code (name).bias}, see {@link Biases}. */
    record Bias(String name) implements TensorName {
    }

    /** Of no consequence for what the adapter computes; {@code layer} is adapted or saved. */
    record Idle(String layer) implements TensorName {
    }

    /** Part of an adapted layer that is computed with in a way that is unknown here. */
    record Unknown() implements TensorName {
    }

    /** Of no layer that is adapted or saved. */
    record Stranger() implements TensorName {
    }
}
