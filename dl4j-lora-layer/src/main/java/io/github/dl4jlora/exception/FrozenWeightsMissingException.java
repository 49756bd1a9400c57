package io.github.dl4jlora.exception;

import org.jspecify.annotations.Nullable;

/**
 * A network was restored without its frozen base and asked to compute.
 */
public class FrozenWeightsMissingException extends IllegalStateException {

    /**
     * Says which weights are missing, and what to do.
     *
     * @param layer the layer whose weights are missing
     * @param id    their content id
     */
    public FrozenWeightsMissingException(@Nullable String layer, String id) {
        super("Layer \"" + (layer == null ? "(unnamed)" : layer) + "\" has no frozen weights: nothing in this JVM has the id "
                + id + ". Call LoRA.attach(network, base) with the base network it was adapted from, or load a file "
                + "that LoRA.save wrote");
    }
}
