package io.github.dl4jlora.internal.stock;

import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * How a parameter of a stock layer is read as a matrix {@code M [nIn, nOut]}, to which A·B is added.
 *
 * @param leading  how many of its leading dimensions make up one side of M; the others make up the other side
 * @param isOutput whether the leading dimensions are M's nOut, as in a convolution's {@code [out, in, height, width]}
 * @param mislaid  whether the values lie as {@code [steps, in, out]} although the shape says {@code [out, in, steps, 1]}
 */
public record MatrixForm(int leading, boolean isOutput, boolean mislaid) {

    /** A matrix as it is. */
    static final MatrixForm PLAIN = new MatrixForm(1, false);

    /**
     * DL4J's one-dimensional convolution, whose forward and backward passes reinterpret its weights instead of permuting them.
     */
    static final MatrixForm SEQUENCE = new MatrixForm(1, true, true);

    MatrixForm(int leading, boolean isOutput) {
        this(leading, isOutput, false);
    }

    /**
     * @param parameter as the stock layer has it
     * @return M, a view of the parameter
     */
    public INDArray viewOf(INDArray parameter) {
        return of(parameter, true);
    }

    /**
     * @param gradient of the parameter, in any order
     * @return the same reading of it, possibly a copy
     */
    public INDArray of(INDArray gradient) {
        return of(gradient, false);
    }

    /**
     * @param shape of a parameter
     * @return nIn and nOut of M
     */
    public long[] sides(long[] shape) {
        long leadingSides = 1;
        for (int i = 0; i < leading; i++) {
            leadingSides *= shape[i];
        }
        long others = 1;
        for (int i = leading; i < shape.length; i++) {
            others *= shape[i];
        }
        return isOutput ? new long[] {others, leadingSides} : new long[] {leadingSides, others};
    }

    private INDArray of(INDArray array, boolean view) {
        if (mislaid) {
            return array.reshape('c', view, array.length() / array.size(0), array.size(0));
        }
        if (array.rank() == 2 && leading == 1) {
            return isOutput ? array.transpose() : array;
        }
        long rows = 1;
        for (int i = 0; i < leading; i++) {
            rows *= array.size(i);
        }
        INDArray matrix = array.reshape('c', view, rows, array.length() / rows);
        return isOutput ? matrix.transpose() : matrix;
    }
}
