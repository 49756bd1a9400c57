package io.github.dl4jlora.internal.recurrent;

import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * Memory and outputs of one time step or several, {@link TimeMajor}.
 *
 * @param c memory; null for a cell without it
 * @param h outputs
 */
record State(@Nullable INDArray c, INDArray h) {
}
