package io.github.dl4jlora.internal.cost;

/**
 * How many values a layer holds in a training step, by where they lie. DL4J's names of its workspaces:
 *
 * <pre>
 * kept      WS_ALL_LAYERS_ACT                     from the forward pass to the end of the step
 * forward   WS_LAYER_WORKING_MEM                  during the layer's forward pass
 * backward  WS_LAYER_WORKING_MEM                  during its backward pass
 * passed    WS_LAYER_ACT_1, _2, …                 the gradient of its input, until the layer below has used it
 * loop      WS_RNN_LOOP_WORKING_MEM               during one step of a sequence
 * standing  none                                  as long as the layer lives
 * beside    none                                  while one operation of ND4J's native code runs
 * </pre>
 */
public record Footprint(long kept, long forward, long backward, long passed, long loop, long standing, long beside) {

    static final Footprint NONE = new Footprint(0, 0, 0, 0);

    Footprint(long kept, long forward, long backward, long passed) {
        this(kept, forward, backward, passed, 0, 0, 0);
    }

    /** Both together. */
    public Footprint plus(Footprint other) {
        return new Footprint(kept + other.kept, forward + other.forward, backward + other.backward, passed + other.passed,
                Math.max(loop, other.loop), standing + other.standing, Math.max(beside, other.beside));
    }

    Footprint looping(long values) {
        return new Footprint(kept, forward, backward, passed, values, standing, beside);
    }

    Footprint standing(long values) {
        return new Footprint(kept, forward, backward, passed, loop, values, beside);
    }

    Footprint beside(long values) {
        return new Footprint(kept, forward, backward, passed, loop, standing, values);
    }

    /** The same where the gradient of the input is not used. */
    Footprint withoutInputGradient() {
        return new Footprint(kept, forward, backward, 0, loop, standing, beside);
    }

    /** The same for a layer in which backpropagation ends. */
    public Footprint withoutBackward() {
        return new Footprint(kept, forward, 0, 0, loop, standing, beside);
    }
}
