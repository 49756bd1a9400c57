package io.github.dl4jlora.internal.plan;

/** What becomes of a node when a network is adapted. */
public enum Role {

    /** Gets a low-rank path beside its frozen weights. */
    ADAPT("adapted"),
    /** Frozen but for its biases. */
    TRAIN_BIAS("frozen, biases trained"),
    /** Trains in full. */
    TRAIN("trained in full"),
    /** Frozen, and gradients go through it to something that trains. */
    FREEZE_PASS("frozen"),
    /** Frozen, and nothing upstream trains: backpropagation ends here. */
    FREEZE_STOP("frozen, no backward pass"),
    /** Without parameters, between things that train: computes as it did. */
    KEEP("no parameters");

    private final String description;

    Role(String description) {
        this.description = description;
    }

    @Override
    public String toString() {
        return description;
    }

    /** Whether something of the node itself trains. */
    public boolean trains() {
        return this == ADAPT || this == TRAIN_BIAS || this == TRAIN;
    }
}
