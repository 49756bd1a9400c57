package io.github.dl4jlora.transformers.layer;

import org.deeplearning4j.nn.conf.ComputationGraphConfiguration.GraphBuilder;
import org.deeplearning4j.nn.conf.graph.ElementWiseVertex;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.weights.WeightInit;
import org.nd4j.linalg.activations.IActivation;
import org.nd4j.linalg.activations.impl.ActivationIdentity;

/**
 * Adds a BERT encoder to a graph, with its layers named as in BERT, for example
 * {@code encoder.layer.0.attention.self.query}.
 */
public final class BertEncoder {

    /** Token ids {@code [minibatch, tokens]}, the network's input. */
    public static final String INPUT_IDS = "input_ids";
    /** The mean of a text's token vectors, {@code [minibatch, hidden]}: what a head goes on top of. */
    public static final String POOLING = "pooling";
    /** Sum of word, position and type embeddings. */
    public static final String EMBEDDINGS = "embeddings";
    /** The normalisation of that sum. */
    public static final String EMBEDDINGS_NORM = "embeddings.LayerNorm";

    private final GraphBuilder graph;
    private final BertShape shape;

    private BertEncoder(GraphBuilder graph, BertShape shape) {
        this.graph = graph;
        this.shape = shape;
    }

    /** Adds input, encoder and pooling; head and {@code setOutputs} are up to the caller. */
    public static GraphBuilder addTo(GraphBuilder graph, BertShape shape) {
        return new BertEncoder(graph, shape).build();
    }

    /** The name of a transformer layer's part, for example {@code name(0, "attention.self.query")}. */
    public static String name(int layer, String part) {
        return "encoder.layer." + layer + "." + part;
    }

    private GraphBuilder build() {
        graph.addInputs(INPUT_IDS);
        graph.addLayer(EMBEDDINGS, new BertEmbeddings(shape.vocabulary(), shape.positions(), shape.hidden()), INPUT_IDS);
        String last = norm(EMBEDDINGS_NORM, EMBEDDINGS);
        for (int layer = 0; layer < shape.layers(); layer++) {
            last = transformerLayer(layer, last);
        }
        return graph.addVertex(POOLING, new MeanPooling(), last, INPUT_IDS);
    }

    /** norm(x + attention(x)), then norm of that and its feed-forward part. */
    private String transformerLayer(int layer, String x) {
        String query = dense(name(layer, "attention.self.query"), x, shape.hidden(), shape.hidden());
        String key = dense(name(layer, "attention.self.key"), x, shape.hidden(), shape.hidden());
        String value = dense(name(layer, "attention.self.value"), x, shape.hidden(), shape.hidden());
        String heads = name(layer, "attention.self");
        graph.addVertex(heads, new MultiHeadAttention(shape.heads()), query, key, value, INPUT_IDS);
        String mixed = dense(name(layer, "attention.output.dense"), heads, shape.hidden(), shape.hidden());
        String attended = norm(name(layer, "attention.output.LayerNorm"), sum(name(layer, "attention.output.sum"), mixed, x));
        String wide = dense(name(layer, "intermediate.dense"), attended, shape.hidden(), shape.intermediate(), new ErfGelu());
        String narrow = dense(name(layer, "output.dense"), wide, shape.intermediate(), shape.hidden());
        return norm(name(layer, "output.LayerNorm"), sum(name(layer, "output.sum"), narrow, attended));
    }

    private String dense(String name, String input, int nIn, int nOut) {
        return dense(name, input, nIn, nOut, new ActivationIdentity());
    }

    private String dense(String name, String input, int nIn, int nOut, IActivation activation) {
        graph.addLayer(name, new DenseLayer.Builder().nIn(nIn).nOut(nOut).weightInit(WeightInit.XAVIER)
                .activation(activation).build(), input);
        return name;
    }

    private String norm(String name, String input) {
        graph.addLayer(name, new LayerNormalization(shape.hidden()), input);
        return name;
    }

    private String sum(String name, String... inputs) {
        graph.addVertex(name, new ElementWiseVertex(ElementWiseVertex.Op.Add), inputs);
        return name;
    }
}
