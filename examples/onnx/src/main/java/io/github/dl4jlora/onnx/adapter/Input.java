package io.github.dl4jlora.onnx.adapter;

import io.github.dl4jlora.internal.stock.MatrixForm;
import io.github.dl4jlora.onnx.graph.Initializer;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Supplier;
import java.util.function.UnaryOperator;

/** What stands for a parameter of the base. */
sealed interface Input {

    /** {@return the matrix's or tensor's name in the adapter} */
    String name();

    /** {@return how many values there are} */
    long count();

    /**
     * Values in the shape of DL4J's parameter.
     *
     * @param values in the order of C
     * @param shape  of DL4J's parameter
     */
    INDArray restored(INDArray values, long[] shape);

    /**
     * A matrix that A·B is added to.
     *
     * @param isScaled whether its outputs are multiplied
     */
    record Matrix(String name, long nIn, long nOut, MatrixForm form, boolean isScaled) implements Input {

        @Override
        public long count() {
            return nIn * nOut;
        }

        @Override
        public INDArray restored(INDArray values, long[] shape) {
            INDArray parameter = Nd4j.create(values.dataType(), shape, 'c');
            form.viewOf(parameter).assign(values.reshape('c', nIn, nOut));
            return parameter;
        }
    }

    /**
     * A parameter that is replaced.
     *
     * @param shape  of the adapter's tensor
     * @param toDl4j makes of the adapter's tensor what DL4J has
     * @param toFile the way back
     * @param base   the base's own, as DL4J has it; known when the layer has been written
     */
    record Values(String name, long[] shape, UnaryOperator<INDArray> toDl4j, UnaryOperator<INDArray> toFile,
                  AtomicReference<Supplier<INDArray>> base) implements Input {

        Values(String name, long[] shape, UnaryOperator<INDArray> toDl4j, UnaryOperator<INDArray> toFile) {
            this(name, shape, toDl4j, toFile, new AtomicReference<>());
        }

        @Override
        public long count() {
            return Initializer.count(shape);
        }

        @Override
        public INDArray restored(INDArray values, long[] dl4j) {
            return toDl4j.apply(values.reshape('c', shape)).dup('c').reshape('c', dl4j);
        }

        Initializer defaults() {
            return Initializer.floats(name, shape, () -> toFile.apply(base.get().get()));
        }
    }
}
