package io.github.dl4jlora.onnx;

import io.github.dl4jlora.onnx.graph.Storage;

/**
 * How weights are stored in the file: {@link OnnxExport#weights}. Biases, what normalises and transformers' tables of positions
 * and types always stay FLOAT, and the graph computes in FLOAT: it widens the others when it is loaded or run, and of tables of
 * embeddings those rows alone that are looked up.
 */
public enum WeightType {

    /** As they are, in 4 bytes. */
    FLOAT(Storage.FLOAT),

    /** In 2 bytes with 11 significant bits, up to 65504: a weight that would round to more is refused. */
    FLOAT16(Storage.FLOAT16),

    /** In 2 bytes with 8 significant bits, of FLOAT's range. */
    BF16(Storage.BF16),

    /** In 1 byte, with one scale for each output of a matrix, or for each row of a table: ONNX's DequantizeLinear. */
    INT8(Storage.INT8);

    private final Storage storage;

    WeightType(Storage storage) {
        this.storage = storage;
    }

    /** What adds weights to a graph. */
    Storage storage() {
        return storage;
    }
}
