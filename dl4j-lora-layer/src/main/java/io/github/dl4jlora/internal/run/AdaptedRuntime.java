package io.github.dl4jlora.internal.run;

import io.github.dl4jlora.internal.blas.Route;
import io.github.dl4jlora.internal.kernel.Disableable;
import io.github.dl4jlora.variant.Variant;
import org.deeplearning4j.nn.api.Trainable;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.layers.FrozenLayer;
import org.deeplearning4j.nn.layers.FrozenLayerWithBackprop;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.List;
import java.util.Map;
import java.util.function.BooleanSupplier;

/**
 * A running adapted layer or vertex, whatever computes it. Its {@link Adapter} tells what it consists of.
 */
public interface AdaptedRuntime extends Disableable {

    /** Who uses the gradient of a layer's input. */
    enum InputGradient {
        /** A layer upstream. */
        NEEDED,
        /** Callers of {@code calculateGradients} or {@code backpropGradient}; not the network's own training step. */
        FOR_CALLERS,
        /** Nobody: DL4J ends backpropagation at the layer upstream. */
        UNNEEDED;

        /** Whether the present backward pass must compute it. */
        public boolean isNeeded() {
            return this == NEEDED || this == FOR_CALLERS && !BackpropCaller.isTrainingStep();
        }
    }

    /** The adapted layer, inside the wrapper that DL4J put around it if it was frozen since; null for any other layer. */
    static @Nullable AdaptedRuntime of(Trainable runtime) {
        return insideFreezing(runtime) instanceof AdaptedRuntime adapted ? adapted : null;
    }

    /** The layer inside DL4J's freezing wrappers; the layer itself if it has none. */
    static Trainable insideFreezing(Trainable runtime) {
        return runtime instanceof FrozenLayer frozen ? insideFreezing(frozen.getInsideLayer())
                : runtime instanceof FrozenLayerWithBackprop frozen ? insideFreezing(frozen.getInsideLayer()) : runtime;
    }

    /**
     * A configuration that DL4J sets, on the layer that the running one has. TransferLearning gives the running layer a copy of
     * what stands in the network's configuration; an alpha that an adapter brings would be written into one of the two alone.
     */
    static NeuralNetConfiguration onOneLayer(NeuralNetConfiguration set, NeuralNetConfiguration present) {
        if (set.getLayer().equals(present.getLayer())) {
            set.setLayer(present.getLayer());
        }
        return set;
    }

    /** What the layer has besides its stock layer: parts, start, merge, and what is switched on and off at run time. */
    Adapter adapter();

    /** Tells who uses the gradient of the layer's input, where computing it can be left out. */
    void setInputGradient(InputGradient use);

    /**
     * Takes the low-rank path away, until {@link #enable} has been called as often as this. The layer computes what the base's
     * layer computes, bit for bit, and has no backward pass.
     */
    @Override
    default void disable() {
        adapter().switches().disable();
    }

    @Override
    default void enable() {
        adapter().switches().enable();
    }

    /**
     * Computes other low-rank paths than the layer's own, inference only.
     *
     * @param key      of the adapted parameter
     * @param examples how many there are in the batch; 0: any number, and each route is for all of them
     * @param inOrder  asked if the layer has several rows for an example: whether these are known to be the first example's,
     *                 then the second's; if that is not known, the pass ends in a {@link Routing.RowsMismatchException}
     * @param routes   by examples; none for what the base computes; null for the layer's own path again
     */
    default void route(String key, long examples, BooleanSupplier inOrder, @Nullable List<Route> routes) {
        adapter().switches().route(key, examples, inOrder, routes);
    }

    /** Whether different examples of a batch can take different routes. */
    default boolean tellsExamplesApart() {
        return true;
    }

    /**
     * The factors by which an adapter of the layer multiplies outputs, besides what it adds.
     *
     * @param variant of the adapter
     * @param parts   of the adapter, by part
     * @param factor  s
     * @return {@code [1, nOut]}; null for an adapter that does not multiply
     */
    default @Nullable INDArray outputScale(Variant variant, Map<String, INDArray> parts, double factor) {
        return null;
    }
}
