package io.github.dl4jlora.footprint;

import java.util.List;

/**
 * Says what a layer or vertex of your own holds in a training step, for {@code LoRA.plan}. Its configuration, DL4J's
 * {@code Layer} or {@code GraphVertex}, implements this. Without it, a layer is counted as one of DL4J's: as many rows as come
 * in go out; the output is kept, and there is a gradient for each input.
 *
 * <pre>{@code
 * class Tokens extends EmbeddingLayer implements TrainingFootprint {       // a row for each id of a text
 *     public long rows(List<Rows> inputs) {
 *         return inputs.get(0).values();
 *     }
 *     public Footprint footprint(Passage passage) {
 *         return new Footprint(passage.out(), 0, 0, 0);                    // the output is kept; ids have no gradient
 *     }
 * }
 * }</pre>
 */
public interface TrainingFootprint {

    /**
     * {@return what it holds} Never null: what holds nothing has {@link Footprint#NONE}.
     *
     * @param passage sizes of what goes in and comes out
     */
    Footprint footprint(Passage passage);

    /**
     * {@return how many rows its output has, at least 1} The sizes of one row are what {@code getOutputType} says.
     *
     * @param inputs in their order
     * @throws IllegalArgumentException if it takes no such inputs; the message says why, and {@code LoRA.plan} adds the
     *                                  name
     */
    default long rows(List<Rows> inputs) {
        return inputs.get(0).number();
    }

    /**
     * {@return of how many inputs, from the first on, DL4J knows in the backward pass of the running vertex} The gradients of all
     * inputs take memory until DL4J has run the lowest of these inputs backwards. It is from 0 to {@code inputs}.
     *
     * @param inputs how many there are
     */
    default int inputsInBackward(int inputs) {
        return inputs;
    }
}
