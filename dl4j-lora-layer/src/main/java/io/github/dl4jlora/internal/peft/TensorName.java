package io.github.dl4jlora.internal.peft;

import io.github.dl4jlora.internal.content.Biases;
import io.github.dl4jlora.internal.content.TensorLayout;

import java.util.Set;

/** What a tensor of a file is, as its name and the configuration say. */
sealed interface TensorName {

    /** Before the name of a module that PEFT adapted; files that were not written by its {@code PeftModel} lack it. */
    String PREFIX = "base_model.model.";

    /** Modules that PEFT itself puts into a layer. */
    Set<String> MODULES_OF_PEFT = Set.of("lora_dropout", "lora_A", "lora_B", "base_layer");

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

    /** Part of an adapted layer; how PEFT computes with it is not known here. */
    record Unknown() implements TensorName {
    }

    /** Belongs to no layer that is adapted or saved. */
    record Stranger() implements TensorName {
    }
}
