package io.github.dl4jlora.adapter;

import io.github.dl4jlora.BiasTraining;
import io.github.dl4jlora.internal.rewrite.AdaptedView;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Trained biases that belong to no adapted matrix: of layers with several matrices, and of layers that are frozen else. In a
 * file they are called {@code (name).bias}, as by PEFT.
 *
 * @param values   {@code [1, length]} by layer, or by {@code layer.key} where a layer has several biases
 * @param training which biases of a network these are; NONE without any
 */
record Biases(Map<String, INDArray> values, BiasTraining training) {

    static final Biases NONE = new Biases(Map.of(), BiasTraining.NONE);
    static final String SUFFIX = ".bias";

    /** Copies. */
    static Biases of(AdaptedView view) {
        Map<String, INDArray> values = new LinkedHashMap<>();
        view.biases().forEach((name, value) -> values.put(name, value.dup()));
        return values.isEmpty() ? NONE : new Biases(values, view.biasTraining());
    }
}
