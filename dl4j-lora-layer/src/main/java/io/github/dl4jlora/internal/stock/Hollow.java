package io.github.dl4jlora.internal.stock;

import io.github.dl4jlora.internal.stored.ValuesElsewhere;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.function.Function;

/**
 * Stock layers without weights, for what they know without them: masks, shapes, states. DL4J needs arrays to make them; these
 * are closed afterwards, so that reading a weight gives an error and not zeros.
 */
public final class Hollow {

    private Hollow() {
    }

    /**
     * Zeros in place of a layer's weights until these are available. They take memory only where they are touched, since the
     * number of missing weights is whatever a file claims.
     *
     * @return shape {@code [length]}, in no workspace
     */
    public static INDArray standIn(DataType type, long length) {
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            return ValuesElsewhere.vector(type, length).reshape(length);
        }
    }

    /**
     * @param length number of the layer's parameters
     * @param maker  makes the layer on a flat array
     * @return the layer, whose parameters cannot be read
     */
    public static <T> T part(DataType type, long length, Function<INDArray, T> maker) {
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces();
             INDArray zeros = ValuesElsewhere.vector(type, length)) {
            return maker.apply(zeros.reshape(length));
        }
    }
}
