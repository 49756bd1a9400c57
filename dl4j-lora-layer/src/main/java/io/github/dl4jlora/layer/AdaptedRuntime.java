package io.github.dl4jlora.layer;

import io.github.dl4jlora.Scaling;

/**
 * What the rewriter and adapters tell a running adapted layer.
 */
public interface AdaptedRuntime {

    /** Who uses the gradient of a layer's input. */
    enum InputGradient {
        /** A layer upstream. */
        NEEDED,
        /** Whoever calls {@code calculateGradients} or {@code backpropGradient}; not the network's own training step. */
        FOR_CALLERS,
        /** Nobody: DL4J ends backpropagation at the layer upstream. */
        UNNEEDED
    }

    void setInputGradient(InputGradient use);

    /** Changes the factor of ΔW, in the configuration too: two adapters for one layer may differ in it. */
    void rescale(double alpha, Scaling scaling);
}
