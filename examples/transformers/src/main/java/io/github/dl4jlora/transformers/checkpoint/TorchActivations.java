package io.github.dl4jlora.transformers.checkpoint;

import io.github.dl4jlora.transformers.layer.ErfGelu;
import org.nd4j.linalg.activations.IActivation;
import org.nd4j.linalg.activations.impl.ActivationIdentity;
import org.nd4j.linalg.activations.impl.ActivationReLU;
import org.nd4j.linalg.activations.impl.ActivationSigmoid;
import org.nd4j.linalg.activations.impl.ActivationSwish;
import org.nd4j.linalg.activations.impl.ActivationTanH;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;

/** Activations by the names of PyTorch's classes, which have no settings here. */
final class TorchActivations {

    private static final Map<String, Supplier<IActivation>> BY_NAME = new LinkedHashMap<>();

    static {
        BY_NAME.put("torch.nn.modules.activation.Tanh", ActivationTanH::new);
        BY_NAME.put("torch.nn.modules.linear.Identity", ActivationIdentity::new);
        BY_NAME.put("torch.nn.modules.activation.ReLU", ActivationReLU::new);
        BY_NAME.put("torch.nn.modules.activation.GELU", ErfGelu::new);
        BY_NAME.put("torch.nn.modules.activation.Sigmoid", ActivationSigmoid::new);
        BY_NAME.put("torch.nn.modules.activation.SiLU", ActivationSwish::new);
    }

    private TorchActivations() {
    }

    static List<String> names() {
        return List.copyOf(BY_NAME.keySet());
    }

    /** {@return a class's activation; null if the class is not known} */
    static IActivation of(String name) {
        Supplier<IActivation> known = BY_NAME.get(name);
        return known == null ? null : known.get();
    }

    /** {@return the class of an activation; null if it has none, or has settings that the class does not have} */
    static String name(IActivation activation) {
        return BY_NAME.entrySet().stream().filter(entry -> entry.getValue().get().equals(activation)).map(Map.Entry::getKey)
                .findFirst().orElse(null);
    }
}
