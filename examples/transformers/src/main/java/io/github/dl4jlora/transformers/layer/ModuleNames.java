package io.github.dl4jlora.transformers.layer;

import io.github.dl4jlora.conf.TorchParameter;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.FeedForwardLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;

import java.util.ArrayList;
import java.util.List;
import java.util.function.UnaryOperator;
import java.util.regex.Pattern;

/**
 * What Hugging Face's classes call the parameters of a transformer's layers, and how they store them: one table, for checkpoints
 * and for adapters. Layers have the names of the modules; this class has the differences.
 */
public enum ModuleNames {

    /** Of BERT, of RoBERTa and its kin, and of MPNet, which has no types. */
    BERT("embeddings.word_embeddings", "embeddings.position_embeddings", "embeddings.token_type_embeddings",
            bias -> bias + ModuleNames.DECODER, null),
    /** The decoder is the module that has the bias. */
    DISTILBERT("embeddings.word_embeddings", "embeddings.position_embeddings", null, bias -> bias, null),
    /** The dense layers of its blocks are {@code Conv1D}. */
    GPT2("wte", "wpe", null, bias -> "lm_head",
            Pattern.compile("(.+\\.)?h\\.\\d+\\.(attn\\.c_attn|attn\\.c_proj|mlp\\.c_fc|mlp\\.c_proj)"));

    /** What the layer of the embeddings is called, after the model's prefix. */
    public static final String EMBEDDINGS = "embeddings";
    private static final String DECODER = ".decoder";

    private final String words;
    private final String positions;
    private final String types;
    private final UnaryOperator<String> decoder;
    private final Pattern conv1d;

    ModuleNames(String words, String positions, String types, UnaryOperator<String> decoder, Pattern conv1d) {
        this.words = words;
        this.positions = positions;
        this.types = types;
        this.decoder = decoder;
        this.conv1d = conv1d;
    }

    /** {@return the module of the word embeddings, after the model's prefix} */
    public String words() {
        return words;
    }

    /** {@return the module of the position embeddings} */
    public String positions() {
        return positions;
    }

    /** {@return the module of the token type embeddings; null where the model has none} */
    public String types() {
        return types;
    }

    /**
     * {@return the name of the layer of a decoder's own matrix} The module's name, unless the layer of the bias has that name.
     *
     * @param bias the layer of the bias; null where there is none
     */
    public String matrix(String bias) {
        String module = decoder.apply(bias);
        return module.equals(bias) ? bias + DECODER : module;
    }

    /** The decoder's module, by the name of the layer that has its matrix; null if that is no such name. */
    private String module(String matrix) {
        String bias = matrix.endsWith(DECODER) ? matrix.substring(0, matrix.length() - DECODER.length()) : null;
        return matrix(bias).equals(matrix) ? decoder.apply(bias) : null;
    }

    /** {@return whether there are dense layers that PyTorch has as {@code [in, out]}, as DL4J does} */
    public boolean hasConv1d() {
        return conv1d != null;
    }

    /**
     * The parameters of a layer; of a decoder, those of the layers that it computes with, by the decoder's names for them.
     *
     * @param name  in the graph
     * @param layer as configured
     * @return an empty list if the layer is not part of a transformer, has another name, or is a dense layer with layer
     *         normalisation
     */
    public List<TorchParameter> parameters(String name, Layer layer) {
        if (layer instanceof LayerNormalization norm) {
            return List.of(vector(name, LayerNormalization.GAIN, name + ".weight", norm.getNOut()),
                    vector(name, LayerNormalization.BIAS, name + ".bias", norm.getNOut()));
        }
        if (layer instanceof VocabularyBias bias) {
            return List.of(vector(name, VocabularyBias.BIAS, name + ".bias", bias.getVocabulary()));
        }
        if (layer instanceof RelativeAttentionBias bias) {
            return List.of(new TorchParameter(name, RelativeAttentionBias.BIAS, name + ".weight",
                    new long[] {RelativeAttentionBias.BUCKETS, bias.getHeads()}, false));
        }
        if (layer instanceof TokenEmbeddings embeddings) {
            return name.endsWith(EMBEDDINGS) ? embeddings(name, embeddings) : List.of();
        }
        if (layer instanceof VocabularyMatrix matrix) {
            return module(name) == null ? List.of() : List.of(new TorchParameter(name, TokenEmbeddings.WORDS,
                    module(name) + ".weight", new long[] {matrix.getVocabulary(), matrix.getNIn()}, false));
        }
        if (layer instanceof TiedDecoder tied) {
            return decoder(tied);
        }
        // Exactly these classes: subclasses have other parameters. Layer normalisation in a dense layer has a gain, which no
        // module has.
        if (layer.getClass() == DenseLayer.class) {
            DenseLayer dense = (DenseLayer) layer;
            return dense.hasLayerNorm() ? List.of() : dense(name, dense, dense.hasBias());
        }
        return layer.getClass() == OutputLayer.class ? dense(name, (OutputLayer) layer, ((OutputLayer) layer).hasBias())
                : List.of();
    }

    private static TorchParameter vector(String layer, String key, String tensor, long length) {
        return new TorchParameter(layer, key, tensor, new long[] {length}, false);
    }

    private List<TorchParameter> embeddings(String name, TokenEmbeddings layer) {
        String prefix = name.substring(0, name.length() - EMBEDDINGS.length());
        List<TorchParameter> parameters = new ArrayList<>();
        layer.matrices().forEach((key, shape) -> {
            String module = switch (key) {
                case TokenEmbeddings.WORDS -> words;
                case TokenEmbeddings.POSITIONS -> positions;
                default -> types;
            };
            parameters.add(new TorchParameter(name, key, prefix + module + ".weight", shape, false));
        });
        return parameters;
    }

    private List<TorchParameter> decoder(TiedDecoder layer) {
        String module = decoder.apply(layer.getBiases());
        boolean isTied = layer.getWords().endsWith(EMBEDDINGS);
        List<TorchParameter> parameters = new ArrayList<>();
        if (isTied) {
            parameters.add(new TorchParameter(layer.getWords(), TokenEmbeddings.WORDS, module + ".weight",
                    new long[] {layer.getNOut(), layer.getNIn()}, false));
        }
        if (layer.getBiases() != null && !module.equals(layer.getBiases()) && (isTied || module(layer.getWords()) != null)) {
            parameters.add(vector(layer.getBiases(), VocabularyBias.BIAS, module + ".bias", layer.getNOut()));
        }
        return parameters;
    }

    private List<TorchParameter> dense(String name, FeedForwardLayer layer, boolean bias) {
        boolean inByOut = hasConv1d() && conv1d.matcher(name).matches();
        long[] shape = inByOut ? new long[] {layer.getNIn(), layer.getNOut()} : new long[] {layer.getNOut(), layer.getNIn()};
        TorchParameter weight = new TorchParameter(name, "W", name + ".weight", shape, !inByOut);
        return bias ? List.of(weight, vector(name, "b", name + ".bias", layer.getNOut())) : List.of(weight);
    }
}
