package io.github.dl4jlora.internal.common;

import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/** Views that ND4J's own calls do not always find. */
public final class Views {

    private Views() {
    }

    /** {@return a view of the rows from the first to before the last, of an array of any rank; the array itself for all} */
    public static INDArray rows(INDArray array, long from, long to) {
        return part(array, 0, from, to);
    }

    /**
     * {@return a view of the part from the first to before the last along a dimension; the array itself for all of it}
     *
     * <p>Not by {@code INDArray.get}: that compares the place where a view begins in its buffer with the view's own length, and
     * gives an empty array for the last parts of some views.
     */
    public static INDArray part(INDArray array, int dimension, long from, long to) {
        if (from == 0 && to == array.size(dimension)) {
            return array;
        }
        long[] shape = array.shape().clone();
        shape[dimension] = to - from;
        return Nd4j.create(array.data(), shape, array.stride(), array.offset() + from * array.stride(dimension),
                array.ordering());
    }
}
