package io.github.dl4jlora.adapter;

import io.github.dl4jlora.BiasTraining;
import io.github.dl4jlora.variant.DoRA;
import io.github.dl4jlora.variant.Variant;
import org.deeplearning4j.nn.params.DefaultParamInitializer;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * What an adapter holds of a layer beside A and B, as PEFT names and orients it:
 *
 * <pre>
 * m        lora_magnitude_vector [nOut]     with use_dora
 * b        base_layer.bias [nOut]           with bias "lora_only" or "all"
 * A0, B0   initial_A.weight [rank, nIn], initial_B.weight [nOut, rank]
 * </pre>
 *
 * The last two are not PEFT's, which ignores them and computes the start again.
 */
final class ExtraParts {

    private static final Map<String, String> NAMES = Map.of(DoRA.MAGNITUDE, ".lora_magnitude_vector",
            DefaultParamInitializer.BIAS_KEY, ".base_layer.bias",
            Variant.START_A, ".initial_A.weight", Variant.START_B, ".initial_B.weight");

    private ExtraParts() {
    }

    /** What follows the layer's name in the tensor's. */
    static String nameOf(String key) {
        return NAMES.get(key);
    }

    /**
     * @param module  a tensor's name without its prefix
     * @param tensors names of all tensors
     * @return which part the tensor is; null for none
     */
    static String keyOf(String module, PeftConfig config, Collection<String> tensors) {
        for (Map.Entry<String, String> name : NAMES.entrySet()) {
            if (module.endsWith(name.getValue()) && isWanted(name.getKey(), config)) {
                return name.getKey();
            }
        }
        // PEFT's own lora_only, and loralib, leave base_layer out.
        boolean ofAdapted = config.bias() != BiasTraining.NONE && module.endsWith(Biases.SUFFIX)
                && tensors.contains(LoRAAdapter.PREFIX + withoutEnd(module, Biases.SUFFIX) + TensorLayout.LINEAR.nameOfA());
        return ofAdapted ? DefaultParamInitializer.BIAS_KEY : null;
    }

    private static boolean isWanted(String key, PeftConfig config) {
        return switch (key) {
            case DoRA.MAGNITUDE -> config.useDora();
            case DefaultParamInitializer.BIAS_KEY -> config.bias() != BiasTraining.NONE;
            default -> true;
        };
    }

    static String layerOf(String module, String key) {
        return withoutEnd(module, module.endsWith(nameOf(key)) ? nameOf(key) : Biases.SUFFIX);
    }

    private static String withoutEnd(String text, String end) {
        return text.substring(0, text.length() - end.length());
    }

    /** Names, without the layer's, of what an adapted layer's parts lack. */
    static List<String> missing(PeftConfig config, Set<String> parts) {
        List<String> missing = new ArrayList<>();
        if (config.useDora() && !parts.contains(DoRA.MAGNITUDE)) {
            missing.add(nameOf(DoRA.MAGNITUDE));
        }
        if (parts.contains(Variant.START_A) != parts.contains(Variant.START_B)) {
            missing.add(nameOf(parts.contains(Variant.START_A) ? Variant.START_B : Variant.START_A));
        }
        return missing;
    }

    private static boolean isVector(String key) {
        return key.equals(DoRA.MAGNITUDE) || key.equals(DefaultParamInitializer.BIAS_KEY);
    }

    static INDArray toFile(String key, INDArray value) {
        return isVector(key) ? value.reshape(value.length()) : value.transpose();
    }

    /**
     * @throws AdapterFormatException for a tensor of another rank
     */
    static INDArray read(String key, Safetensors tensors, String name) throws AdapterFormatException {
        int rank = isVector(key) ? 1 : 2;
        if (tensors.shape(name).length != rank) {
            throw new AdapterFormatException("Tensor \"" + name + "\" has the shape " + Arrays.toString(tensors.shape(name))
                    + ", but must be a " + (rank == 1 ? "vector" : "matrix"));
        }
        INDArray value = tensors.read(name);
        return rank == 1 ? value.reshape(1, value.length()) : value.transpose();
    }
}
