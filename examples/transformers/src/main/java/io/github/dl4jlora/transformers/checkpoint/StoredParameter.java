package io.github.dl4jlora.transformers.checkpoint;

import io.github.dl4jlora.transformers.Family;
import io.github.dl4jlora.transformers.Transformer;
import io.github.dl4jlora.transformers.layer.LayerNormalization;
import io.github.dl4jlora.transformers.layer.TokenEmbeddings;
import io.github.dl4jlora.transformers.layer.VocabularyBias;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.FeedForwardLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.ArrayList;
import java.util.List;

/**
 * A parameter of a layer, and what PyTorch has of it.
 *
 * @param layer      the graph's layer
 * @param key        of the parameter there
 * @param tensor     Hugging Face's name
 * @param shape      PyTorch's
 * @param transposed whether DL4J has the matrix the other way round
 */
public record StoredParameter(String layer, String key, String tensor, long[] shape, boolean transposed) {

    /**
     * {@return the parameters of a layer; null if it is none of those that transformers are made of, or is named otherwise}
     *
     * @param name  in the graph
     * @param layer as configured
     */
    public static List<StoredParameter> of(String name, Layer layer, Family family) {
        if (layer instanceof LayerNormalization norm) {
            long[] shape = {norm.getNOut()};
            return List.of(new StoredParameter(name, "g", name + ".weight", shape, false),
                    new StoredParameter(name, "b", name + ".bias", shape, false));
        }
        if (layer instanceof VocabularyBias bias) {
            long[] shape = {bias.getVocabulary()};
            return List.of(new StoredParameter(name, VocabularyBias.BIAS, name + ".bias", shape, false));
        }
        if (layer instanceof TokenEmbeddings embeddings && name.endsWith(Transformer.EMBEDDINGS)) {
            return embeddings(name, embeddings, family);
        }
        // Their own classes only: subclasses have other parameters.
        if (layer.getClass() == DenseLayer.class) {
            return dense(name, (DenseLayer) layer, ((DenseLayer) layer).hasBias(), family);
        }
        return layer.getClass() == OutputLayer.class ? dense(name, (OutputLayer) layer, ((OutputLayer) layer).hasBias(), family)
                : null;
    }

    private static List<StoredParameter> embeddings(String name, TokenEmbeddings layer, Family family) {
        String prefix = name.substring(0, name.length() - Transformer.EMBEDDINGS.length());
        List<StoredParameter> parameters = new ArrayList<>();
        layer.matrices().forEach((key, shape) -> {
            String module = switch (key) {
                case "W" -> family.words();
                case "P" -> family.positions();
                default -> family.types();
            };
            parameters.add(new StoredParameter(name, key, prefix + module + ".weight", shape, false));
        });
        return parameters;
    }

    private static List<StoredParameter> dense(String name, FeedForwardLayer layer, boolean bias, Family family) {
        // GPT-2's blocks have Conv1D, its head does not.
        boolean inByOut = family.storesInByOut() && !(layer instanceof OutputLayer);
        long[] shape = inByOut ? new long[] {layer.getNIn(), layer.getNOut()} : new long[] {layer.getNOut(), layer.getNIn()};
        StoredParameter weight = new StoredParameter(name, "W", name + ".weight", shape, !inByOut);
        return bias ? List.of(weight, new StoredParameter(name, "b", name + ".bias", new long[] {layer.getNOut()}, false))
                : List.of(weight);
    }

    /** {@return a parameter as PyTorch has it: a view} */
    public INDArray oriented(INDArray parameter) {
        // Vectors are rows in DL4J. What has the shape already is not reshaped: of an 'f' array that makes a copy.
        return transposed ? parameter.transpose() : shape.length == 1 ? parameter.reshape(shape) : parameter;
    }
}
