package io.github.dl4jlora.internal.content;

import io.github.dl4jlora.conf.BiasTraining;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.Map;

/**
 * Trained biases that belong to no adapted matrix: of layers with several matrices, and of layers of which nothing else trains.
 * In a file they are called {@code (name).bias}, as PEFT calls them.
 *
 * @param values   {@code [1, length]} by layer, or by {@code layer.key} where a layer has several biases
 * @param training which biases of a network these are; NONE without any
 */
public record Biases(Map<String, INDArray> values, BiasTraining training) {

    public static final Biases NONE = new Biases(Map.of(), BiasTraining.NONE);
    /** What follows the name in that of the tensor. */
    public static final String SUFFIX = ".bias";
}
