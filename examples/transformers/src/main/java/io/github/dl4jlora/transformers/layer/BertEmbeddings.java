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
import org.nd4j.linalg.factory.Nd4j;

import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * BERT's embeddings: {@code row[b·tokens + t] = W[id[b, t]] + P[t] + T[0]}.
 *
 * <pre>
 * input    token ids  [minibatch, tokens]
 * output              [minibatch · tokens, hidden]
 * W        words      [vocabulary, hidden]
 * P        positions  [positions, hidden]
 * T        types      [2, hidden]; every token is of the first type
 * </pre>
 */
public final class BertEmbeddings extends FeedForwardLayer implements MatrixParams.Holder {

    static final String WORDS = "W";
    static final String POSITIONS = "P";
    static final String TYPES = "T";

    private static final long serialVersionUID = 1L;
    private static final int TOKEN_TYPES = 2;
    /** BERT's own. */
    private static final double STANDARD_DEVIATION = 0.02;

    private long positions;

    BertEmbeddings() {
        // For JSON.
    }

    public BertEmbeddings(long vocabulary, long positions, long hidden) {
        this.nIn = vocabulary;
        this.nOut = hidden;
        this.positions = positions;
        this.activationFn = new ActivationIdentity();
    }

    public long getPositions() {
        return positions;
    }

    @Override
    public Map<String, long[]> matrices() {
        Map<String, long[]> shapes = new LinkedHashMap<>();
        shapes.put(WORDS, new long[]{nIn, nOut});
        shapes.put(POSITIONS, new long[]{positions, nOut});
        shapes.put(TYPES, new long[]{TOKEN_TYPES, nOut});
        return shapes;
    }

    @Override
    public void fill(Map<String, INDArray> matrices) {
        matrices.values().forEach(matrix -> matrix.assign(Nd4j.randn(matrix.dataType(), matrix.shape())
                .muli(STANDARD_DEVIATION)));
    }

    @Override
    public Layer instantiate(NeuralNetConfiguration conf, Collection<TrainingListener> listeners, int index, INDArray view,
                             boolean initialize, DataType type) {
        return MatrixLayer.prepared(new BertEmbeddingsRuntime(conf, type), listeners, index, view, initialize);
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
