package io.github.dl4jlora.layer;

import io.github.dl4jlora.frozen.KeptArrays;
import org.nd4j.linalg.api.ndarray.INDArray;

/** Arrays that a forward pass keeps for the backward pass. */
final class Kept {

    private Kept() {
    }

    /** As {@link KeptArrays#isUsable}. */
    static boolean isUsable(INDArray array) {
        return KeptArrays.isUsable(array);
    }
}
