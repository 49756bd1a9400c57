package io.github.dl4jlora.onnx.graph;

import org.deeplearning4j.nn.conf.inputs.InputType;
import org.jspecify.annotations.Nullable;

/**
 * What flows from layer to layer: a tensor of the graph, in the order of dimensions that DL4J has it in.
 *
 * @param name    of the tensor
 * @param type    what DL4J knows of its shape; sizes that the user leaves open are those of an example
 * @param mask    the tensor of its mask: FLOAT of shape [batch, time], or as DL4J hands it on; null without one
 * @param integer whether it holds INT64 instead of FLOAT
 */
public record Flow(String name, InputType type, @Nullable String mask, boolean integer) {

    /** FLOAT values. */
    public Flow(String name, InputType type, @Nullable String mask) {
        this(name, type, mask, false);
    }

    /** Another tensor with the same mask. */
    public Flow to(String other, InputType otherType) {
        return new Flow(other, otherType, mask);
    }

    /** The same tensor with another mask. */
    public Flow masked(@Nullable String other) {
        return new Flow(name, type, other, integer);
    }
}
