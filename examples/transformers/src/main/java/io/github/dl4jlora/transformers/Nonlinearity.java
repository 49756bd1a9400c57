package io.github.dl4jlora.transformers;

import io.github.dl4jlora.transformers.layer.ErfGelu;
import io.github.dl4jlora.transformers.layer.TanhGelu;
import org.nd4j.linalg.activations.IActivation;
import org.nd4j.linalg.activations.impl.ActivationReLU;

/** The function between the two layers of a feed-forward part. */
public enum Nonlinearity {

    /** {@code x · Φ(x)}, Hugging Face's {@code gelu}. */
    GELU,
    /** The same with tanh in the place of the error function, Hugging Face's {@code gelu_new}. */
    GELU_NEW,
    /** {@code max(x, 0)}. */
    RELU;

    IActivation activation() {
        return switch (this) {
            case GELU -> new ErfGelu();
            case GELU_NEW -> new TanhGelu();
            case RELU -> new ActivationReLU();
        };
    }
}
