package io.github.dl4jlora.property;

/** How a layer of a graph stands to what is before it; a MultiLayerNetwork knows {@link #ALONE} only. */
enum Join {
    ALONE,
    /** Its output plus its input, where they are of one shape. */
    ADD_INPUT,
    /** Beside a second layer of its kind on the same input, the two outputs added. */
    TWIN_ADD,
    /** Beside a second layer of its kind on the same input, the two outputs one after the other. */
    TWIN_MERGE,
    /** Its output asks, and its input answers, in an AttentionVertex that has the layer's role. */
    ATTENTION,
    /** Its output times a number that a user's vertex holds. */
    SCALED;

    /** Whether DL4J computes the vertex by SameDiff. */
    boolean isSameDiff() {
        return this == ATTENTION || this == SCALED;
    }
}
