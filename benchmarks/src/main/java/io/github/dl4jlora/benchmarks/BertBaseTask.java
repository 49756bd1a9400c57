package io.github.dl4jlora.benchmarks;

import io.github.dl4jlora.conf.Quantization;

/** Measurements of BERT-base, by {@link BertBaseChild} and by encoder.py: LoRA on query and value. */
enum BertBaseTask {

    STEP("training step", "lora", null),
    STEP_INT8("training step, INT8", "lora", Quantization.INT8),
    FORWARD("forward pass", "forward", null),
    FORWARD_INT8("forward pass, INT8", "forward", Quantization.INT8);

    static final int TEXTS = 8;
    static final int TOKENS = 128;
    static final int RANK = 8;

    private final String title;
    private final String mode;
    private final Quantization scheme;

    BertBaseTask(String title, String mode, Quantization scheme) {
        this.title = title;
        this.mode = mode;
        this.scheme = scheme;
    }

    String title() {
        return title;
    }

    boolean isStep() {
        return mode.equals("lora");
    }

    /** Null for no quantisation. */
    Quantization scheme() {
        return scheme;
    }

    /** The task that PyTorch computes for comparison. */
    BertBaseTask peer() {
        return isStep() ? STEP : FORWARD;
    }

    /**
     * @param threads   PyTorch's number of threads, or {@code default}
     * @param attention {@code sdpa} or {@code eager}
     */
    String[] arguments(String threads, String attention) {
        return new String[] {mode, String.valueOf(TEXTS), String.valueOf(TOKENS), String.valueOf(RANK),
                String.valueOf(BertBaseChild.SHAPE.layers()), threads, attention};
    }
}
