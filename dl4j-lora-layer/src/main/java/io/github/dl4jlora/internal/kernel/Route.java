package io.github.dl4jlora.internal.kernel;

import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * A low-rank path for some rows of a layer's input.
 *
 * @param from   first row
 * @param to     row after the last
 * @param a      {@code [nIn, rank]}
 * @param b      {@code [rank, nOut]}
 * @param factor of their product
 */
public record Route(long from, long to, INDArray a, INDArray b, double factor) {
}
