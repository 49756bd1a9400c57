package io.github.dl4jlora.onnx.graph;

import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.Arrays;
import java.util.function.Supplier;
import java.util.function.UnaryOperator;

/**
 * Values of a network as they will be in the file. They are read when the file is written, one weight after the other, so that
 * no second copy of the network is ever in memory.
 *
 * @param name   of the initializer: the layer's name, a slash, and DL4J's key
 * @param shape  as in the file
 * @param values reads them, of that shape and of any floating point type and order; called at most twice
 * @param axis   of the outputs, each of which has a scale where weights are written in eight bits; -1 for what always stays
 *               FLOAT, such as a bias
 */
public record Weight(String name, long[] shape, Supplier<INDArray> values, int axis) {

    /** The same weight with another axis of outputs. */
    public Weight withAxis(int outputs) {
        return new Weight(name, shape, values, outputs);
    }

    /** The same weight with its dimensions in another order; the axis of outputs goes with its dimension. */
    public Weight permuted(int... dimensions) {
        long[] permuted = Arrays.stream(dimensions).mapToLong(dimension -> shape[dimension]).toArray();
        int moved = -1;
        for (int i = 0; i < dimensions.length; i++) {
            moved = axis >= 0 && dimensions[i] == axis ? i : moved;
        }
        return new Weight(name, permuted, () -> values.get().permute(dimensions), moved);
    }

    /** The same values in another shape, in the order of C. The axis of outputs must be set again. */
    public Weight reshaped(long... other) {
        return new Weight(name, other, () -> {
            INDArray array = values.get();
            return (array.ordering() == 'c' ? array : array.dup('c')).reshape('c', other);
        }, -1);
    }

    /**
     * What something makes of it, of another shape.
     *
     * @param suffix behind the name, since another array gets that name
     */
    public Weight mapped(String suffix, long[] other, UnaryOperator<INDArray> change) {
        return new Weight(name + suffix, other, () -> change.apply(values.get()), axis);
    }
}
