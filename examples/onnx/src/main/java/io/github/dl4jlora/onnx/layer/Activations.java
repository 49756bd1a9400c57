package io.github.dl4jlora.onnx.layer;

import org.nd4j.linalg.activations.IActivation;
import org.nd4j.linalg.activations.impl.ActivationIdentity;
import org.nd4j.linalg.activations.impl.ActivationReLU;
import org.nd4j.linalg.activations.impl.ActivationSoftmax;
import org.nd4j.linalg.activations.impl.ActivationTanH;

import io.github.dl4jlora.onnx.graph.Attribute;

/** DL4J's activations. */
final class Activations {

    private Activations() {
    }

    /**
     * Adds an activation.
     *
     * @param axis of the units, over which softmax sums up
     * @return the tensor behind it
     */
    static String add(IActivation activation, String z, int axis, Place here) {
        if (activation instanceof ActivationIdentity) {
            return z;
        }
        if (activation instanceof ActivationReLU) {
            return here.graph().add("Relu", z);
        }
        if (activation instanceof ActivationTanH) {
            return here.graph().add("Tanh", z);
        }
        if (activation instanceof ActivationSoftmax) {
            return here.logits() ? z : here.graph().add("Softmax", z, Attribute.of("axis", axis));
        }
        throw here.refusal("nothing is known of the activation " + activation.getClass().getSimpleName(),
                "Use one of DL4J's own activations");
    }
}
