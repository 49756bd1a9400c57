package io.github.dl4jlora.transformers.layer;

import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.nd4j.linalg.api.buffer.DataType;

/**
 * Holds parameters of a {@link TiedDecoder} above it, and passes its input on.
 *
 * <pre>
 * input, output  rows  [rows, hidden]
 * </pre>
 */
abstract class VocabularyLayer extends MatrixConfiguration {

    private static final long serialVersionUID = 1L;

    private long vocabulary;

    VocabularyLayer() {
        // For JSON.
    }

    VocabularyLayer(long hidden, long vocabulary) {
        super(hidden, hidden);
        this.vocabulary = vocabulary;
    }

    public final long getVocabulary() {
        return vocabulary;
    }

    @Override
    public final boolean equals(Object other) {
        return super.equals(other) && other instanceof VocabularyLayer that && getClass() == that.getClass()
                && vocabulary == that.vocabulary;
    }

    @Override
    public final int hashCode() {
        return 31 * super.hashCode() + Long.hashCode(vocabulary);
    }

    @Override
    final MatrixLayer<?> runtime(NeuralNetConfiguration conf, DataType type) {
        return new KeptParameters(conf, type);
    }
}
