package io.github.dl4jlora.footprint;

import org.deeplearning4j.nn.conf.inputs.InputType;

/**
 * An array of a batch, by its size.
 *
 * @param number of rows: of examples; or of the tokens or steps of all examples, where a layer has a row for each
 * @param type   of one row
 */
public record Rows(long number, InputType type) {

    /** {@return values of all rows} */
    public long values() {
        return number * rowLength();
    }

    /** {@return values of one row} */
    public long rowLength() {
        return type.arrayElementsPerExample();
    }
}
