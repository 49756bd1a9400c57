package io.github.dl4jlora.benchmarks;

import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.transformers.TransformerShape;

/** Timings of the BERT encoder, by {@link EncoderChild} and by encoder.py. */
enum EncoderTask {
    STEP("training step, LoRA on query and value, rank 8", "lora"),
    STEP_PACKED("the same, packed", "lora", null, true),
    STEP_BF16("the same, base in BF16", "lora", Quantization.BF16, false),
    STEP_BF16_PACKED("the same, base in BF16, packed", "lora", Quantization.BF16, true),
    STEP_INT8("the same, base in INT8", "lora", Quantization.INT8, false),
    FORWARD("forward pass, the same network", "forward"),
    BASE_FORWARD("forward pass, stock layers without adapters", "base-forward"),
    FROZEN_FORWARD("forward pass, the same frozen: LoRA.freeze", "frozen-forward");

    private static final String TEXTS = "8";
    private static final String TOKENS = "64";
    private static final String RANK = "8";

    private final String title;
    private final String mode;
    /** Null for a base of FLOAT. */
    private final Quantization scheme;
    private final boolean isPacked;

    EncoderTask(String title, String mode) {
        this(title, mode, null, false);
    }

    EncoderTask(String title, String mode, Quantization scheme, boolean isPacked) {
        this.title = title;
        this.mode = mode;
        this.scheme = scheme;
        this.isPacked = isPacked;
    }

    String title() {
        return title;
    }

    /** The task that PyTorch computes for comparison. */
    EncoderTask peer() {
        return this == FROZEN_FORWARD ? BASE_FORWARD : mode.equals(STEP.mode) ? STEP : this;
    }

    String[] arguments() {
        return new String[]{mode, TEXTS, TOKENS, RANK, scheme == null ? "FLOAT" : scheme.name(),
                String.valueOf(isPacked)};
    }

    /** @param threads PyTorch's number of threads, or {@code default} */
    String[] arguments(String threads) {
        return new String[]{mode, TEXTS, TOKENS, RANK, String.valueOf(TransformerShape.MINI_LM_L6.layers()), threads};
    }
}
