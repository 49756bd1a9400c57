package io.github.dl4jlora.examples;

import io.github.dl4jlora.variant.DoRA;
import io.github.dl4jlora.variant.FrozenALoRA;
import io.github.dl4jlora.variant.PlainLoRA;
import io.github.dl4jlora.variant.Variant;

import java.util.function.Supplier;

/** The variants of LoRA that an option can name. */
enum AdapterVariant implements Supplier<Variant> {

    LORA(PlainLoRA::new), LORA_FA(FrozenALoRA::new), DORA(DoRA::new);

    private final Supplier<Variant> variant;

    AdapterVariant(Supplier<Variant> variant) {
        this.variant = variant;
    }

    @Override
    public Variant get() {
        return variant.get();
    }
}
