package io.github.dl4jlora.internal.peft;

import io.github.dl4jlora.BiasTraining;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.Collections;
import java.util.List;
import java.util.Map;

/**
 * What an adapter consists of, in a file and out of it. It does not change.
 *
 * @param deltas  adapted matrices by name, in topological order
 * @param trained layers that were trained in full: by layer, then by PyTorch's name of the parameter, in PyTorch's orientation
 * @param biases  trained biases of other layers
 * @param dropout of the low-rank path in training
 */
public record AdapterContent(Map<String, Delta> deltas, Map<String, Map<String, INDArray>> trained, Biases biases,
                             double dropout) {

    public AdapterContent {
        deltas = Collections.unmodifiableMap(deltas);
        trained = Collections.unmodifiableMap(trained);
    }

    /** Which biases a network must train to take those of this adapter. */
    public BiasTraining biasTraining() {
        return biases.values().isEmpty() && deltas.values().stream().anyMatch(Delta::trainsBias) ? BiasTraining.LORA_ONLY
                : biases.training();
    }

    /** The same with other A and B. */
    public AdapterContent with(Map<String, Delta> others) {
        return new AdapterContent(others, trained, biases, dropout);
    }

    /** Names of the adapted matrices. */
    public List<String> layers() {
        return List.copyOf(deltas.keySet());
    }

    /** Names of the layers that were trained in full. */
    public List<String> trainedLayers() {
        return List.copyOf(trained.keySet());
    }
}
