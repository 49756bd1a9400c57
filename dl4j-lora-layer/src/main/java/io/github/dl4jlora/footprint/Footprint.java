package io.github.dl4jlora.footprint;

/**
 * How many values a layer or vertex holds in a training step, by where they lie. Of a sum of two inputs:
 *
 * <pre>{@code
 * long values = 2048 * 768;
 * // The output is kept; one array stands during the backward pass, and each input has a gradient.
 * Footprint sum = new Footprint(values, 0, values, 2 * values);
 * }</pre>
 *
 * @param kept     from the forward pass to the end of the step; DL4J's workspace WS_ALL_LAYERS_ACT
 * @param passing  of the output, where it is not among {@code kept}: this library's own layers can put it where the next output
 *                 writes over it. Of any other layer it counts as kept
 * @param forward  during the layer's forward pass; WS_LAYER_WORKING_MEM
 * @param backward during its backward pass; the same
 * @param passed   gradients of the inputs, until the layers below have used them; WS_LAYER_ACT_1 and so on
 * @param loop     during one step of a sequence; WS_RNN_LOOP_WORKING_MEM
 * @param standing as long as the layer lives, outside of workspaces
 * @param beside   while one operation of ND4J's native code runs, outside of workspaces
 */
public record Footprint(long kept, long passing, long forward, long backward, long passed, long loop, long standing,
                        long beside) {

    /** Nothing at all. */
    public static final Footprint NONE = new Footprint(0, 0, 0, 0);

    /**
     * What a layer or vertex holds.
     *
     * @param kept     from the forward pass to the end of the step
     * @param passing  of the output, where it is not among {@code kept}
     * @param forward  during the layer's forward pass
     * @param backward during its backward pass
     * @param passed   gradients of the inputs
     * @param loop     during one step of a sequence
     * @param standing as long as the layer lives
     * @param beside   while one operation of ND4J's native code runs
     * @throws IllegalArgumentException if one of the numbers is negative
     */
    public Footprint {
        requireCount(kept, "kept");
        requireCount(passing, "passing");
        requireCount(forward, "forward");
        requireCount(backward, "backward");
        requireCount(passed, "passed");
        requireCount(loop, "loop");
        requireCount(standing, "standing");
        requireCount(beside, "beside");
    }

    private static void requireCount(long values, String name) {
        if (values < 0) {
            throw new IllegalArgumentException("A Footprint has " + values + " values as " + name
                    + ", but must have 0 or more");
        }
    }

    /**
     * Of what most layers hold: values in DL4J's workspaces, the output among those that are kept.
     *
     * @param kept     from the forward pass to the end of the step
     * @param forward  during the layer's forward pass
     * @param backward during its backward pass
     * @param passed   gradients of the inputs
     * @throws IllegalArgumentException if one of the numbers is negative
     */
    public Footprint(long kept, long forward, long backward, long passed) {
        this(kept, 0, forward, backward, passed, 0, 0, 0);
    }

    /**
     * {@return both together}
     *
     * @param other what another part holds
     */
    public Footprint plus(Footprint other) {
        return new Footprint(kept + other.kept, passing + other.passing, forward + other.forward, backward + other.backward,
                passed + other.passed, Math.max(loop, other.loop), standing + other.standing, Math.max(beside, other.beside));
    }

    /**
     * {@return the same with an output that need not be kept} It is for layers of this library: see {@link #passing()}.
     *
     * @param values of the output
     */
    public Footprint passing(long values) {
        return new Footprint(kept, values, forward, backward, passed, loop, standing, beside);
    }

    /**
     * {@return the same with values during one step of a sequence}
     *
     * @param values how many
     */
    public Footprint looping(long values) {
        return new Footprint(kept, passing, forward, backward, passed, values, standing, beside);
    }

    /**
     * {@return the same with values that the layer has as long as it lives}
     *
     * @param values how many
     */
    public Footprint standing(long values) {
        return new Footprint(kept, passing, forward, backward, passed, loop, values, beside);
    }

    /**
     * {@return the same with values while an operation of ND4J's runs}
     *
     * @param values how many
     */
    public Footprint beside(long values) {
        return new Footprint(kept, passing, forward, backward, passed, loop, standing, values);
    }
}
