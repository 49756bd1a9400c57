package io.github.dl4jlora.onnx.layer;

import org.nd4j.linalg.activations.IActivation;

/**
 * Writes activations of one class.
 *
 * @param <A> the class of the activation
 */
@FunctionalInterface
public interface ActivationExport<A extends IActivation> {

    /**
     * Adds to the graph what the activation computes, value by value.
     *
     * @param z    the tensor in front of it
     * @param here where the layer is that it belongs to
     * @return the tensor behind it
     */
    String export(A activation, String z, Place here);
}
