package io.github.dl4jlora.variant;

import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.Map;
import java.util.Objects;

/** What plain LoRA adds to W: s·A·B, less its start where that was taken from W. */
final class LowRankProduct {

    private LowRankProduct() {
    }

    /** W := W + s·A·B − s·A0·B0. */
    static void addTo(INDArray w, Map<String, INDArray> parameters, double factor) {
        add(of(parameters, Variant.A), of(parameters, Variant.B), factor, w);
        if (parameters.containsKey(Variant.START_A)) {
            add(of(parameters, Variant.START_A), of(parameters, Variant.START_B), -factor, w);
        }
    }

    private static INDArray of(Map<String, INDArray> parameters, String key) {
        return Objects.requireNonNull(parameters.get(key));
    }

    private static void add(INDArray a, INDArray b, double factor, INDArray w) {
        INDArray left = a.castTo(w.dataType());
        INDArray right = b.castTo(w.dataType());
        // gemm writes column-major results only.
        if (w.ordering() == 'c') {
            Nd4j.gemm(right, left, w.transpose(), true, true, factor, 1);
        } else {
            Nd4j.gemm(left, right, w, false, false, factor, 1);
        }
    }

    /** dA = s·dW·Bᵀ and dB = s·Aᵀ·dW, into the given views. */
    static void project(INDArray dw, Map<String, INDArray> parameters, double factor, Map<String, INDArray> gradients) {
        Nd4j.gemm(dw, parameters.get(Variant.B), gradients.get(Variant.A), false, true, factor, 0);
        Nd4j.gemm(parameters.get(Variant.A), dw, gradients.get(Variant.B), true, false, factor, 0);
    }
}
