package io.github.dl4jlora.transformers.layer;

import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.Map;

/**
 * Keeps the matrix of a {@link TiedDecoder} that is not tied to the word embeddings: the decoder above multiplies by it, and this
 * layer passes its input on.
 *
 * <pre>
 * input, output  rows   [rows, hidden]
 * W              words  [vocabulary, hidden]
 * </pre>
 */
public final class VocabularyMatrix extends VocabularyLayer {

    private static final long serialVersionUID = 1L;

    VocabularyMatrix() {
        // For JSON.
    }

    public VocabularyMatrix(long hidden, long vocabulary) {
        super(hidden, vocabulary);
    }

    @Override
    public Map<String, long[]> matrices() {
        return Map.of(TokenEmbeddings.WORDS, new long[]{getVocabulary(), getNIn()});
    }

    @Override
    void fill(Map<String, INDArray> matrices) {
        TokenEmbeddings.start(matrices.get(TokenEmbeddings.WORDS));
    }
}
