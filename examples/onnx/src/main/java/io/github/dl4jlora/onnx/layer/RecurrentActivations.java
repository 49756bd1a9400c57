package io.github.dl4jlora.onnx.layer;

import io.github.dl4jlora.onnx.graph.Attribute;
import org.nd4j.linalg.activations.IActivation;
import org.nd4j.linalg.activations.impl.ActivationHardSigmoid;
import org.nd4j.linalg.activations.impl.ActivationIdentity;
import org.nd4j.linalg.activations.impl.ActivationReLU;
import org.nd4j.linalg.activations.impl.ActivationSigmoid;
import org.nd4j.linalg.activations.impl.ActivationSoftSign;
import org.nd4j.linalg.activations.impl.ActivationTanH;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/** Activations inside ONNX's recurrent operators, which know only some. */
final class RecurrentActivations {

    private static final Map<Class<?>, String> NAMES = Map.of(ActivationSigmoid.class, "Sigmoid", ActivationTanH.class, "Tanh",
            ActivationReLU.class, "Relu", ActivationSoftSign.class, "Softsign", ActivationHardSigmoid.class, "HardSigmoid",
            ActivationIdentity.class, "Affine");

    private RecurrentActivations() {
    }

    /** Whether the operators have all of these. */
    static boolean known(IActivation... activations) {
        return Arrays.stream(activations).allMatch(activation -> NAMES.containsKey(activation.getClass())
                && (!(activation instanceof ActivationReLU) || activation.equals(new ActivationReLU())));
    }

    /**
     * The attributes of an operator with these activations, and of so many units.
     *
     * @param more further attributes
     */
    static Attribute[] attributes(long units, List<IActivation> activations, Attribute... more) {
        List<Double> alpha = new ArrayList<>();
        List<Double> beta = new ArrayList<>();
        for (IActivation activation : activations) {
            if (activation instanceof ActivationHardSigmoid || activation instanceof ActivationIdentity) {
                alpha.add(activation instanceof ActivationHardSigmoid ? 0.2 : 1);
                beta.add(activation instanceof ActivationHardSigmoid ? 0.5 : 0);
            }
        }
        List<Attribute> attributes = new ArrayList<>(List.of(more));
        attributes.add(Attribute.of("hidden_size", units));
        attributes.add(Attribute.of("activations", activations.stream().map(activation -> NAMES.get(activation.getClass()))
                .toArray(String[]::new)));
        if (!alpha.isEmpty()) {
            attributes.add(Attribute.of("activation_alpha", alpha.stream().mapToDouble(Double::doubleValue).toArray()));
            attributes.add(Attribute.of("activation_beta", beta.stream().mapToDouble(Double::doubleValue).toArray()));
        }
        return attributes.toArray(Attribute[]::new);
    }
}
