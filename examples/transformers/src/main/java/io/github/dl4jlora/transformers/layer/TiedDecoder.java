package io.github.dl4jlora.transformers.layer;

import io.github.dl4jlora.footprint.Footprint;
import io.github.dl4jlora.footprint.Passage;
import io.github.dl4jlora.footprint.TrainingFootprint;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration.GraphBuilder;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.LayerVertex;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.LossLayer;
import org.deeplearning4j.optimize.api.TrainingListener;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.lossfunctions.LossFunctions;

import java.util.Collection;
import java.util.Objects;

/**
 * The output of a language model: {@code logits = rows · Wᵀ + b}, where W are the word embeddings (Press, Wolf 2016,
 * arXiv:1608.05859), the same array as in the {@link TokenEmbeddings} layer, or, for a decoder that is not tied to them, the
 * matrix in a {@link VocabularyMatrix}; b is in a {@link VocabularyBias}, if there is one. Its loss is softmax cross-entropy, the
 * mean over all tokens that count, as PyTorch's.
 *
 * <pre>
 * input   rows    [minibatch · k, hidden]
 * output  logits  [minibatch · k, vocabulary]
 * labels  ids     [minibatch, k]; -100 for a token that does not count
 * mask            [minibatch, k], if there is one: 1, or 0 for a label that does not count
 * W       words   [vocabulary, hidden]
 * b       bias    [1, vocabulary]
 * </pre>
 *
 * <p>A causal language model is shifted: the row of token t predicts the label of token t + 1, so that labels may be the ids
 * themselves, as in Hugging Face's models.
 *
 * <p>It reaches W and b through the graph that it is in, so it needs a vertex that knows the graph: use {@link #addTo}.
 */
public final class TiedDecoder extends LossLayer implements TrainingFootprint {

    /** The label of a token that does not count, PyTorch's. */
    public static final int IGNORED = -100;

    private static final long serialVersionUID = 1L;

    private String words;
    private String biases;
    private boolean shifted;

    TiedDecoder() {
        // For JSON.
    }

    private TiedDecoder(long hidden, long vocabulary, String words, String biases, boolean shifted) {
        super(new Builder(LossFunctions.LossFunction.MCXENT));
        this.nIn = hidden;
        this.nOut = vocabulary;
        this.words = words;
        this.biases = biases;
        this.shifted = shifted;
    }

    /**
     * Adds the decoder to a graph.
     *
     * @param input   the name of what gives the rows
     * @param words   the name of the {@link TokenEmbeddings}, or of the {@link VocabularyMatrix}, which must be below the input
     * @param biases  the name of the {@link VocabularyBias}, which must be the input; null for no bias
     * @param shifted whether rows predict the next token's label
     */
    public static void addTo(GraphBuilder graph, String name, String input, long hidden, long vocabulary, String words,
                             String biases, boolean shifted) {
        graph.addLayer(name, new TiedDecoder(hidden, vocabulary, words, biases, shifted), input);
        LayerVertex stock = (LayerVertex) graph.getVertices().get(name);
        graph.getVertices().put(name, new TiedVertex(stock.getLayerConf()));
    }

    public String getWords() {
        return words;
    }

    public String getBiases() {
        return biases;
    }

    public boolean isShifted() {
        return shifted;
    }

    @Override
    public InputType getOutputType(int layerIndex, InputType inputType) {
        return InputType.feedForward(nOut);
    }

    /** {@return rows that count, packed, with their gradient, and a piece of the logits; as if all rows counted} */
    @Override
    public Footprint footprint(Passage passage) {
        long logits = TiedDecoderRuntime.rowsAtATime(nOut, passage.input().number()) * nOut;
        return new Footprint(0, 0, 2 * passage.in() + logits, passage.in());
    }

    @Override
    public Layer instantiate(NeuralNetConfiguration conf, Collection<TrainingListener> listeners, int index, INDArray view,
                             boolean initialize, DataType type) {
        TiedDecoderRuntime runtime = new TiedDecoderRuntime(conf, type);
        runtime.setListeners(listeners);
        runtime.setIndex(index);
        runtime.setParamTable(initializer().init(conf, view, initialize));
        return runtime;
    }

    @Override
    public boolean equals(Object other) {
        return super.equals(other) && other instanceof TiedDecoder that && words.equals(that.words)
                && Objects.equals(biases, that.biases) && shifted == that.shifted;
    }

    @Override
    public int hashCode() {
        return Objects.hash(super.hashCode(), words, biases, shifted);
    }
}
