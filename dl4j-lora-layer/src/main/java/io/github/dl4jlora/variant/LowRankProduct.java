package io.github.dl4jlora.variant;

import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.Map;

/** What plain LoRA adds to W: s·A·B, less its start where that was taken from W. */
final class LowRankProduct {

    private LowRankProduct() {
    }

    /** W := W + s·A·B − s·A0·B0. */
    static void addTo(INDArray w, Map<String, INDArray> parameters, double factor) {
        Nd4j.gemm(parameters.get(Variant.A), parameters.get(Variant.B), w, false, false, factor, 1);
        if (parameters.containsKey(Variant.START_A)) {
            Nd4j.gemm(parameters.get(Variant.START_A), parameters.get(Variant.START_B), w, false, false, -factor, 1);
        }
    }
}
