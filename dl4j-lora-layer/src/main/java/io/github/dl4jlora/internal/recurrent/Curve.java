package io.github.dl4jlora.internal.recurrent;

import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.activations.IActivation;
import org.nd4j.linalg.activations.impl.ActivationHardSigmoid;
import org.nd4j.linalg.activations.impl.ActivationIdentity;
import org.nd4j.linalg.activations.impl.ActivationReLU;
import org.nd4j.linalg.activations.impl.ActivationSigmoid;
import org.nd4j.linalg.activations.impl.ActivationTanH;

/** Activations whose derivative follows from their value. */
enum Curve {
    TANH, SIGMOID, HARD_SIGMOID, RELU, IDENTITY;

    /** The curve of ND4J's activation; null for another one. By exact types: a user's subclass may compute something else. */
    static @Nullable Curve of(IActivation activation) {
        Class<?> type = activation.getClass();
        return type == ActivationTanH.class ? TANH : type == ActivationSigmoid.class ? SIGMOID
                : type == ActivationHardSigmoid.class ? HARD_SIGMOID : type == ActivationIdentity.class ? IDENTITY
                : activation.equals(new ActivationReLU()) && type == ActivationReLU.class ? RELU : null;
    }
}
