package io.github.dl4jlora.transformers.layer;

import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.api.ParamInitializer;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.FeedForwardLayer;
import org.deeplearning4j.nn.conf.memory.LayerMemoryReport;
import org.deeplearning4j.optimize.api.TrainingListener;
import org.nd4j.linalg.activations.impl.ActivationIdentity;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.Collection;
import java.util.Map;

/**
 * Keeps the bias of a {@link TiedDecoder}, which goes on top of it: the decoder adds the bias to its logits, and this layer hands
 * on the rows that it gets.
 *
 * <pre>
 * input, output  rows  [rows, hidden]
 * b              bias  [1, vocabulary]
 * </pre>
 */
public final class VocabularyBias extends FeedForwardLayer implements MatrixParams.Holder {

    /** Key of the bias. */
    public static final String BIAS = "b";

    private static final long serialVersionUID = 1L;

    private long vocabulary;

    VocabularyBias() {
        // For JSON.
    }

    public VocabularyBias(long hidden, long vocabulary) {
        this.nIn = hidden;
        this.nOut = hidden;
        this.vocabulary = vocabulary;
        this.activationFn = new ActivationIdentity();
    }

    public long getVocabulary() {
        return vocabulary;
    }

    @Override
    public Map<String, long[]> matrices() {
        return Map.of(BIAS, new long[]{1, vocabulary});
    }

    @Override
    public void fill(Map<String, INDArray> matrices) {
        matrices.get(BIAS).assign(0);
    }

    @Override
    public boolean equals(Object other) {
        return super.equals(other) && other instanceof VocabularyBias that && vocabulary == that.vocabulary;
    }

    @Override
    public int hashCode() {
        return 31 * super.hashCode() + Long.hashCode(vocabulary);
    }

    @Override
    public Layer instantiate(NeuralNetConfiguration conf, Collection<TrainingListener> listeners, int index, INDArray view,
                             boolean initialize, DataType type) {
        return MatrixLayer.prepared(new VocabularyBiasRuntime(conf, type), listeners, index, view, initialize);
    }

    @Override
    public ParamInitializer initializer() {
        return MatrixParams.INSTANCE;
    }

    @Override
    public LayerMemoryReport getMemoryReport(InputType inputType) {
        return MatrixLayer.memoryReport(this, inputType);
    }
}
