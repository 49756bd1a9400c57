package io.github.dl4jlora.transformers.layer;

import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.List;
import java.util.Map;

/**
 * Keeps the bias of a {@link TiedDecoder}, which goes on top of it: the decoder adds the bias to its logits, and this layer
 * passes its input on.
 *
 * <pre>
 * input, output  rows  [rows, hidden]
 * b              bias  [1, vocabulary]
 * </pre>
 */
public final class VocabularyBias extends VocabularyLayer {

    /** Key of the bias. */
    public static final String BIAS = "b";

    private static final long serialVersionUID = 1L;

    VocabularyBias() {
        // For JSON.
    }

    public VocabularyBias(long hidden, long vocabulary) {
        super(hidden, vocabulary);
    }

    @Override
    public Map<String, long[]> matrices() {
        return Map.of(BIAS, new long[]{1, getVocabulary()});
    }

    @Override
    List<String> biases() {
        return List.of(BIAS);
    }

    @Override
    void fill(Map<String, INDArray> matrices) {
        matrices.get(BIAS).assign(0);
    }
}
