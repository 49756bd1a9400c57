package io.github.dl4jlora.benchmarks;

/** One of the ways to train that are compared. */
enum Side {
    DL4J_FULL("DL4J, full fine-tuning"),
    DL4J_FROZEN("DL4J, FrozenLayerWithBackprop + last layer"),
    LORA("LoRA, FUSED, SHARED"),
    LORA_EMBEDDED("LoRA, FUSED, EMBEDDED"),
    LORA_SAMEDIFF("LoRA, SAMEDIFF, SHARED"),
    FLOOR("floor: bare products + DL4J's loop"),
    PYTORCH_LORA("PyTorch, LoRA"),
    PYTORCH_FULL("PyTorch, full fine-tuning");

    private final String title;

    Side(String title) {
        this.title = title;
    }

    String title() {
        return title;
    }

    boolean isPyTorch() {
        return this == PYTORCH_LORA || this == PYTORCH_FULL;
    }

    /**
     * Whether it is measured under these settings: on one thread all sides are measured; the other settings show what defaults
     * cost.
     */
    boolean isMeasuredUnder(Settings settings) {
        return settings == Settings.ONE_THREAD
                || (isPyTorch() ? settings == Settings.AS_FOUND : this == LORA || this == DL4J_FULL);
    }
}
