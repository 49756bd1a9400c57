package io.github.dl4jlora.internal.stock;

import io.github.dl4jlora.internal.stored.ValuesElsewhere;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.function.Function;

/**
 * Stock layers without weights. Some of what they know needs none: masks, shapes, states. DL4J insists on arrays to make them;
 * these are closed afterwards, so that whoever asks for a weight gets an error and no zeros.
 */
public final class Hollow {

    private Hollow() {
    }

    /**
     * Zeros for a layer to stand on until its weights are here. They take memory only where somebody touches them: of weights
     * that are missing there may be as many as a file claims.
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
     * @param maker  makes it on a flat array
     * @return the layer, whose parameters cannot be read
     */
    public static <T> T part(DataType type, long length, Function<INDArray, T> maker) {
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces();
             INDArray zeros = ValuesElsewhere.vector(type, length)) {
            return maker.apply(zeros.reshape(length));
        }
    }
}
