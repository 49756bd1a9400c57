package io.github.dl4jlora.footprint;

/**
 * How many values a layer or vertex holds in a training step, by where they lie. DL4J's names of its workspaces:
 *
 * <pre>
 * kept      WS_ALL_LAYERS_ACT                     from the forward pass to the end of the step
 * passing   the same, or none                     the output, if the layer can put it where it is not kept
 * forward   WS_LAYER_WORKING_MEM                  during the layer's forward pass
 * backward  WS_LAYER_WORKING_MEM                  during its backward pass
 * passed    WS_LAYER_ACT_1, _2, …                 the gradients of its inputs, until the layers below have used them
 * loop      WS_RNN_LOOP_WORKING_MEM               during one step of a sequence
 * standing  none                                  as long as the layer lives
 * beside    none                                  while one operation of ND4J's native code runs
 * </pre>
 */
public record Footprint(long kept, long passing, long forward, long backward, long passed, long loop, long standing,
                        long beside) {

    /** Nothing at all. */
    public static final Footprint NONE = new Footprint(0, 0, 0, 0);

    /** Of what most layers hold: values in DL4J's workspaces, the output among those that are kept. */
    public Footprint(long kept, long forward, long backward, long passed) {
        this(kept, 0, forward, backward, passed, 0, 0, 0);
    }

    /** {@return both together} */
    public Footprint plus(Footprint other) {
        return new Footprint(kept + other.kept, passing + other.passing, forward + other.forward, backward + other.backward,
                passed + other.passed, Math.max(loop, other.loop), standing + other.standing, Math.max(beside, other.beside));
    }

    /** {@return the same with an output that need not be kept} */
    public Footprint passing(long values) {
        return new Footprint(kept, values, forward, backward, passed, loop, standing, beside);
    }

    /** {@return the same with values during one step of a sequence} */
    public Footprint looping(long values) {
        return new Footprint(kept, passing, forward, backward, passed, values, standing, beside);
    }

    /** {@return the same with values that the layer has as long as it lives} */
    public Footprint standing(long values) {
        return new Footprint(kept, passing, forward, backward, passed, loop, values, beside);
    }

    /** {@return the same with values while an operation of ND4J's runs} */
    public Footprint beside(long values) {
        return new Footprint(kept, passing, forward, backward, passed, loop, standing, values);
    }

    /** {@return the same where the output is kept} */
    public Footprint keepingOutput() {
        return new Footprint(kept + passing, 0, forward, backward, passed, loop, standing, beside);
    }

    /** {@return the same where the gradients of the inputs are not used} */
    public Footprint withoutInputGradient() {
        return new Footprint(kept, passing, forward, backward, 0, loop, standing, beside);
    }

    /** {@return the same for a layer in which backpropagation ends} */
    public Footprint withoutBackward() {
        return new Footprint(kept, passing, forward, 0, 0, loop, standing, beside);
    }
}
