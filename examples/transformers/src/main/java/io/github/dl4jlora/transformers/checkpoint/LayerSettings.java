package io.github.dl4jlora.transformers.checkpoint;

import io.github.dl4jlora.transformers.Head;
import io.github.dl4jlora.transformers.Transformer;
import io.github.dl4jlora.transformers.TransformerShape;
import io.github.dl4jlora.transformers.layer.AnswerScores;
import io.github.dl4jlora.transformers.layer.LayerNormalization;
import io.github.dl4jlora.transformers.layer.MaxPooling;
import io.github.dl4jlora.transformers.layer.MeanPooling;
import io.github.dl4jlora.transformers.layer.MultiHeadAttention;
import io.github.dl4jlora.transformers.layer.PickedToken;
import io.github.dl4jlora.transformers.layer.TiedDecoder;
import io.github.dl4jlora.transformers.layer.TokenEmbeddings;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.graph.LayerVertex;
import org.deeplearning4j.nn.conf.graph.ScaleVertex;
import org.deeplearning4j.nn.conf.layers.ActivationLayer;
import org.deeplearning4j.nn.conf.layers.BaseLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.DropoutLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.LossLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.nd4j.linalg.activations.impl.ActivationIdentity;

import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Settings of layers and vertices in config.json other than sizes. Tensors do not show them, so a graph and a folder with
 * different settings fit, but compute different things.
 */
final class LayerSettings {

    private LayerSettings() {
    }

    /** {@return the vertices of a transformer with a head} */
    static Map<String, GraphVertex> vertices(TransformerShape shape, Head head) {
        return graph(shape, head).getVertices();
    }

    /** {@return the inputs of a layer of a transformer with a head} */
    static List<String> inputs(TransformerShape shape, Head head, String layer) {
        return graph(shape, head).getVertexInputs().get(layer);
    }

    /** {@return a transformer with a head} */
    static ComputationGraphConfiguration graph(TransformerShape shape, Head head) {
        return Transformer.addTo(new NeuralNetConfiguration.Builder().graphBuilder(), shape, head).build();
    }

    /**
     * {@return the vertices of a transformer with any head that its family has, but without the output layer, whose loss is the
     * user's choice}
     */
    static Map<String, GraphVertex> vertices(TransformerShape shape) {
        Map<String, GraphVertex> all = new LinkedHashMap<>();
        for (Head.Kind kind : Head.Kind.values()) {
            if (shape.family().hasHead(kind)) {
                Head head = new Head(kind, Head.fewest(kind));
                Map<String, GraphVertex> vertices = vertices(shape, head);
                List<String> own = head.layers(shape.family());
                if (!own.isEmpty()) {
                    vertices.remove(own.get(own.size() - 1));
                }
                vertices.forEach(all::putIfAbsent);
            }
        }
        return all;
    }

    /** {@return every pooling of a graph, whichever it is, as it is with a padding} */
    static Map<String, GraphVertex> poolings(ComputationGraphConfiguration graph, int padding) {
        Map<String, GraphVertex> poolings = new LinkedHashMap<>();
        graph.getVertices().forEach((name, vertex) -> {
            if (vertex instanceof PickedToken || vertex instanceof MeanPooling || vertex instanceof MaxPooling) {
                poolings.put(name, new MeanPooling(padding));
            }
        });
        return poolings;
    }

    /**
     * @param folder whose config.json the expected vertices are of
     * @param fix    what to do about it
     * @throws IllegalArgumentException naming the first layer that has other settings than expected
     */
    static void require(Map<String, GraphVertex> expected, Map<String, GraphVertex> found, Path folder, String fix) {
        expected.forEach((name, vertex) -> {
            String settings = of(found.get(name));
            if (!of(vertex).equals(settings)) {
                throw new IllegalArgumentException("Layer \"" + name + "\" has " + settings + ", but according "
                        + "to " + folder + " it has "
                        + of(vertex) + ". " + fix);
            }
        });
    }

    /**
     * Requires that layers and vertices read what they read in transformers, or something that passes it on.
     *
     * @param fix what to do about it
     * @throws IllegalArgumentException naming the first that reads anything else
     */
    static void requireInputs(ComputationGraphConfiguration expected, ComputationGraphConfiguration found, String fix) {
        expected.getVertexInputs().forEach((name, wanted) -> {
            List<String> inputs = found.getVertexInputs().getOrDefault(name, wanted);
            List<String> sources = inputs.stream().map(input -> source(input, expected, found)).toList();
            if (!sources.equals(wanted)) {
                throw new IllegalArgumentException("Layer \"" + name + "\" reads " + inputs + ", but in transformers it reads "
                        + wanted + ". " + fix);
            }
        });
    }

    /** {@return what a vertex passes on: the first below it that the expected graph has, or that computes something} */
    static String source(String name, ComputationGraphConfiguration expected, ComputationGraphConfiguration found) {
        String source = name;
        while (!expected.getVertices().containsKey(source) && passesOn(found.getVertices().get(source))) {
            source = found.getVertexInputs().get(source).get(0);
        }
        return source;
    }

    /** {@return whether a vertex gives what it gets, outside of training} */
    static boolean passesOn(GraphVertex vertex) {
        Layer layer = vertex instanceof LayerVertex holder ? holder.getLayerConf().getLayer() : null;
        return vertex instanceof ScaleVertex scale && scale.getScaleFactor() == 1 || layer instanceof DropoutLayer
                || layer instanceof LossLayer loss && loss.getActivationFn() instanceof ActivationIdentity
                || layer instanceof ActivationLayer alone && alone.getActivationFn() instanceof ActivationIdentity;
    }

    /** {@return what messages call the kind of a layer or vertex} */
    static String kind(Object configured) {
        return configured.getClass().getSimpleName()
                + (configured instanceof DenseLayer dense && dense.hasLayerNorm() ? " with hasLayerNorm(true)" : "");
    }

    private static String of(GraphVertex vertex) {
        if (vertex instanceof MultiHeadAttention attention) {
            return attention.getHeads() + " heads and the padding " + attention.getPadding() + (attention.getBias() == null ? ""
                    : " and the bias of layer \"" + attention.getBias() + "\"");
        }
        if (vertex instanceof AnswerScores scores) {
            return "the padding " + scores.getPadding();
        }
        if (vertex instanceof PickedToken token) {
            return "the padding " + token.getPadding();
        }
        if (vertex instanceof MeanPooling mean) {
            return "the padding " + mean.getPadding();
        }
        if (vertex instanceof MaxPooling maximum) {
            return "the padding " + maximum.getPadding();
        }
        Layer layer = vertex instanceof LayerVertex holder ? holder.getLayerConf().getLayer() : null;
        if (layer instanceof LayerNormalization norm) {
            return "the epsilon " + norm.getEpsilon();
        }
        if (layer instanceof TokenEmbeddings embeddings) {
            return "the padding " + embeddings.getPadding();
        }
        if (layer instanceof TiedDecoder decoder) {
            return "the matrix of layer \"" + decoder.getWords() + "\"";
        }
        return layer instanceof DenseLayer || layer instanceof OutputLayer
                ? "the activation " + ((BaseLayer) layer).getActivationFn().getClass().getSimpleName() : "no settings";
    }
}
