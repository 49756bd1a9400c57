package io.github.dl4jlora.layer;

import io.github.dl4jlora.Scaling;

/**
 * What the rewriter and adapters tell a running adapted layer.
 */
public interface AdaptedRuntime {

    /**
     * Tells the layer that nothing uses the gradient of its input while the network trains. It is still computed
     * whenever anything but the network's own training step asks.
     */
    void setInputGradientUnneeded(boolean unneeded);

    /** Changes the factor of ΔW, in the configuration too: two adapters for one layer may differ in it. */
    void rescale(double alpha, Scaling scaling);
}
