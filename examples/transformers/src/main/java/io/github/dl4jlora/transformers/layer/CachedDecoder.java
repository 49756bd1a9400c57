package io.github.dl4jlora.transformers.layer;

import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.graph.vertex.GraphVertex;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.ArrayList;
import java.util.List;

/**
 * The parts of a causal language model that have to know of a {@link KeyValueCache}: all others compute each row by itself.
 *
 * @param embeddings which have to know the position of the first new token
 * @param users      these, attention, which keeps keys and values, and the decoder, whose last row alone is wanted
 */
record CachedDecoder(ComputationGraph network, TokenEmbeddingsRuntime embeddings, List<KeyValueCache.User> users) {

    /**
     * @throws IllegalArgumentException if the network is no causal language model, or has a vertex that looks at whole texts
     */
    static CachedDecoder of(ComputationGraph network) {
        List<String> inputs = network.getConfiguration().getNetworkInputs();
        List<String> outputs = network.getConfiguration().getNetworkOutputs();
        if (inputs.size() != 1 || outputs.size() != 1) {
            throw refused("has the inputs " + inputs + " and the outputs " + outputs + ", not one of each");
        }
        TokenEmbeddingsRuntime embeddings = null;
        List<KeyValueCache.User> users = new ArrayList<>();
        for (GraphVertex running : network.getVertices()) {
            // Not what has a block computed again in training, but what is in it.
            GraphVertex vertex = TokenVertex.inside(network.getVertex(running.getVertexName()));
            Layer layer = vertex.getLayer();
            TokenEmbeddingsRuntime words = MatrixLayer.inside(TokenEmbeddingsRuntime.class, layer);
            if (words != null) {
                embeddings = words;
                users.add(words);
            } else if (vertex instanceof MultiHeadAttentionRuntime attention && attention.isCausal()) {
                users.add(attention);
            } else if (vertex instanceof TokenVertex) {
                throw refused("has the vertex \"" + vertex.getVertexName() + "\", which looks at whole texts");
            }
        }
        TiedDecoderRuntime decoder = MatrixLayer.inside(TiedDecoderRuntime.class, network.getVertex(outputs.get(0)).getLayer());
        if (embeddings == null || decoder == null || !decoder.decoder().isShifted()) {
            throw refused("has the output \"" + outputs.get(0) + "\", which does not tell the next word");
        }
        users.add(decoder);
        return new CachedDecoder(network, embeddings, users);
    }

    private static IllegalArgumentException refused(String what) {
        return new IllegalArgumentException("Only a causal language model can write text, and this network " + what
                + ". Take what Checkpoint.causalLanguageModel() or Transformer.addTo with Head.nextWord() makes, of GPT-2");
    }

    int positions() {
        return (int) embeddings.layerConf().longestText();
    }

    int vocabulary() {
        return (int) embeddings.layerConf().getNIn();
    }

    /** The logits after the last of some tokens, with all parts on the cache. */
    INDArray logits(INDArray ids, KeyValueCache cache) {
        try {
            users.forEach(user -> user.use(cache));
            return network.output(false, ids)[0];
        } finally {
            users.forEach(user -> user.use(null));
        }
    }
}
