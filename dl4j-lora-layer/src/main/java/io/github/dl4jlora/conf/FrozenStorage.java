package io.github.dl4jlora.conf;

/**
 * Where the frozen values of a network live.
 */
public enum FrozenStorage {

    /**
     * Outside {@code net.params()}, shared by every network that stands on the same base: the vector holds trainable
     * values only, and so do gradient, updater state and checkpoints. The default of
     * {@link io.github.dl4jlora.LoRA#apply LoRA.apply}.
     */
    SHARED,

    /**
     * Inside {@code net.params()}, never updated: one self-contained model file, at the price of a gradient slot and
     * three passes over memory per step for every frozen value. The default of a
     * {@link io.github.dl4jlora.layer.LoRADenseLayer} that is declared in a configuration.
     */
    EMBEDDED
}
