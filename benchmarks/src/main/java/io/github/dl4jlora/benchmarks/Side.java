package io.github.dl4jlora.benchmarks;

import io.github.dl4jlora.conf.Engine;
import io.github.dl4jlora.conf.FrozenStorage;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Quantization;

import java.util.List;
import java.util.function.UnaryOperator;

/** One of the ways to train that are compared. */
enum Side {
    DL4J_FULL("DL4J, full fine-tuning"),
    DL4J_FROZEN("DL4J, FrozenLayerWithBackprop + last layer"),
    LORA("LoRA", config -> config),
    LORA_WITHOUT_ONEDNN("LoRA, without oneDNN", config -> config, "-Ddl4jlora.onednn=false"),
    LORA_PACKED("LoRA, packed", config -> config.pack(true)),
    LORA_BF16("LoRA, base in BF16", config -> config.quantize(Quantization.BF16)),
    LORA_BF16_PACKED("LoRA, base in BF16, packed", config -> config.quantize(Quantization.BF16).pack(true)),
    LORA_INT8("LoRA, base in INT8", config -> config.quantize(Quantization.INT8)),
    LORA_EMBEDDED("LoRA, EMBEDDED", config -> config.storage(FrozenStorage.EMBEDDED)),
    LORA_SAMEDIFF("LoRA, SAMEDIFF", config -> config.engine(Engine.SAMEDIFF)),
    FLOOR("floor: bare products + DL4J's loop"),
    PYTORCH_LORA("PyTorch, LoRA"),
    PYTORCH_TUNED("PyTorch, LoRA, tuned"),
    PYTORCH_FULL("PyTorch, full fine-tuning");

    private final String title;
    /** Null for a side without LoRA, or of PyTorch. */
    private final UnaryOperator<LoRAConfig.Builder> setting;
    private final List<String> jvmOptions;

    Side(String title) {
        this(title, null);
    }

    Side(String title, UnaryOperator<LoRAConfig.Builder> setting, String... jvmOptions) {
        this.title = title;
        this.setting = setting;
        this.jvmOptions = List.of(jvmOptions);
    }

    String title() {
        return title;
    }

    boolean isPyTorch() {
        return this == PYTORCH_LORA || this == PYTORCH_TUNED || this == PYTORCH_FULL;
    }

    /** What a child process of this side is started with, beside the options of its {@link Settings}. */
    List<String> jvmOptions() {
        return jvmOptions;
    }

    /** The configuration of LoRA on this side. */
    LoRAConfig config(LoRAConfig.Builder of) {
        if (setting == null) {
            throw new IllegalArgumentException(this + " is not LoRA on a DL4J network");
        }
        return setting.apply(of).build();
    }

    private boolean isQuantized() {
        return this == LORA_BF16 || this == LORA_BF16_PACKED || this == LORA_INT8;
    }

    /** How far the loss and a gradient may be from PyTorch's in FLOAT, relative to their size. */
    double tolerance() {
        return isQuantized() ? 0.1 : 1e-3;
    }

    /** Whether dense layers are timed on it: they have nothing to tune in PyTorch. */
    boolean isOfDenseLayers() {
        return this != PYTORCH_TUNED;
    }

    /** Whether a {@link PeerTask} is timed on it. */
    boolean isOfPeerTasks() {
        return this == LORA || this == LORA_WITHOUT_ONEDNN || this == LORA_PACKED || isQuantized() || this == PYTORCH_LORA
                || this == PYTORCH_TUNED;
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
