package io.github.dl4jlora.footprint;

import org.nd4j.linalg.api.buffer.DataType;

import java.util.List;

/**
 * A batch on its way through a layer or vertex.
 *
 * @param inputs after preprocessors; several for vertices only
 * @param output of the layer or vertex
 * @param type   the network's data type
 */
public record Passage(List<Rows> inputs, Rows output, DataType type) {

    /**
     * Keeps a copy of the list.
     *
     * @param inputs after preprocessors
     * @param output of the layer or vertex
     * @param type   the network's data type
     */
    public Passage {
        inputs = List.copyOf(inputs);
    }

    /** {@return the one input, or the first} */
    public Rows input() {
        return inputs.get(0);
    }

    /** {@return values of all inputs} */
    public long in() {
        return inputs.stream().mapToLong(Rows::values).sum();
    }

    /** {@return values of the output} */
    public long out() {
        return output.values();
    }
}
