package io.github.dl4jlora.internal.run;

import io.github.dl4jlora.Scaling;
import io.github.dl4jlora.internal.kernel.Disableable;
import org.deeplearning4j.nn.api.Trainable;
import org.deeplearning4j.nn.layers.FrozenLayer;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.List;
import java.util.Map;

/**
 * What the rewriter and adapters tell a running adapted layer.
 */
public interface AdaptedRuntime extends Disableable {

    /** Who uses the gradient of a layer's input. */
    enum InputGradient {
        /** A layer upstream. */
        NEEDED,
        /** Whoever calls {@code calculateGradients} or {@code backpropGradient}; not the network's own training step. */
        FOR_CALLERS,
        /** Nobody: DL4J ends backpropagation at the layer upstream. */
        UNNEEDED;

        /** Whether the backward pass that is going on must compute it. */
        boolean isNeeded() {
            return this == NEEDED || this == FOR_CALLERS && !BackpropCaller.isTrainingStep();
        }
    }

    /** The adapted layer inside a layer that DL4J may have frozen since; null for any other. */
    static AdaptedRuntime of(Trainable runtime) {
        Trainable inner = runtime instanceof FrozenLayer frozen ? frozen.getInsideLayer() : runtime;
        return inner instanceof AdaptedRuntime adapted ? adapted : null;
    }

    void setInputGradient(InputGradient use);

    /**
     * Changes the factor of ΔW, in the configuration too: two adapters for one layer may differ in it.
     *
     * @param key of the adapted parameter
     */
    void rescale(String key, double alpha, Scaling scaling);

    /** Gives the adapter of a dense layer a fresh start, drawn from a seed or taken from the frozen weights, as configured. */
    default void start(long seed) {
        throw new UnsupportedOperationException();
    }

    /** What the adapter of a dense layer consists of, by key, live, what does not train included. */
    default Map<String, INDArray> adapterParameters() {
        throw new UnsupportedOperationException();
    }

    /**
     * Replaces parts of the adapter of a dense layer by others, by key. Those that do not train and are outside the vector
     * are then known by another content.
     */
    default void replace(Map<String, INDArray> parts) {
        throw new UnsupportedOperationException();
    }

    /** Writes what the adapter of a dense layer makes of them into the parameters of the stock layer. */
    default void mergeInto(Map<String, INDArray> stock) {
        throw new UnsupportedOperationException();
    }

    /**
     * Takes the low-rank path away, until {@link #enable} has been called as often: the layer computes what the base's
     * layer computes, bit for bit, and has no backward pass.
     */
    @Override
    void disable();

    /**
     * Another adapter for some rows of the input, while the network serves.
     *
     * @param from   first row
     * @param to     row after the last
     * @param a      {@code [nIn, rank]}
     * @param b      {@code [rank, nOut]}
     * @param factor of their product
     */
    record Route(long from, long to, INDArray a, INDArray b, double factor) {
    }

    /**
     * Computes other low-rank paths than the layer's own, inference only.
     *
     * @param key    of the adapted parameter
     * @param rows   how many rows the input will have; another number is refused with {@link RowsMismatchException}.
     *               0: any, and each route is for all of them. A layer that cannot tell rows apart refuses at once
     * @param routes null: the layer's own path again
     */
    void route(String key, long rows, List<Route> routes);

    /** The rows of a layer's input are not the rows of the network's. */
    final class RowsMismatchException extends IllegalStateException {

        private static final long serialVersionUID = 1L;

        RowsMismatchException(String message) {
            super(message);
        }
    }
}
