package io.github.dl4jlora.internal.cost;

import org.deeplearning4j.nn.conf.inputs.InputType;

import java.util.List;

/**
 * A batch on its way through a layer or vertex.
 *
 * @param batch  number of examples
 * @param inputs of one example, after preprocessors; several for vertices only
 * @param output of one example
 */
public record Passage(long batch, List<InputType> inputs, InputType output) {

    public Passage(long batch, InputType input, InputType output) {
        this(batch, List.of(input), output);
    }

    /** The one input, or the first. */
    InputType input() {
        return inputs.get(0);
    }

    /** Values of all inputs of the batch. */
    public long in() {
        return batch * inputs.stream().mapToLong(InputType::arrayElementsPerExample).sum();
    }

    /** Values of the output of the batch. */
    public long out() {
        return batch * output.arrayElementsPerExample();
    }

    /** Examples times positions: steps of a sequence, pixels of an image. */
    long rows(long outputs) {
        return out() / Math.max(1, outputs);
    }

    /** Examples, or the steps of all of them where they are sequences. */
    long positions() {
        return batch * (output instanceof InputType.InputTypeRecurrent sequence ? sequence.getTimeSeriesLength() : 1);
    }
}
