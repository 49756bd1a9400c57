package io.github.dl4jlora.internal.kernel;

import io.github.dl4jlora.internal.blas.Route;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.List;
import java.util.Map;

/**
 * What a kernel of several matrices computes with: the frozen values of a layer, and low-rank paths beside those of its matrices
 * that are adapted. Keys are the stock layer's.
 */
public interface KernelWeights {

    /** A matrix, however it is stored. */
    FrozenMatrix matrix(String key);

    /**
     * The low-rank paths beside a matrix; none for one that is not adapted.
     *
     * @param rows how many rows the layer's input has
     */
    List<Route> paths(String key, long rows);

    /** A bias as it is now. */
    INDArray bias(String key);

    /**
     * Under which key the gradient of a part of a matrix's adapter is found; null for a matrix that is not adapted.
     *
     * @param part of the adapter, such as A
     */
    @Nullable String gradientKey(String key, String part);

    /**
     * Where the gradient of a part of a matrix's adapter goes; null unless that trains.
     *
     * @param views gradients of what trains, by key
     */
    default @Nullable INDArray gradient(Map<String, INDArray> views, String key, String part) {
        String found = gradientKey(key, part);
        return found == null ? null : views.get(found);
    }

    /** All frozen values, flat, in the stock layer's order; a copy if some are kept in fewer bits. */
    INDArray flat();
}
