package io.github.dl4jlora.internal.stock;

import io.github.dl4jlora.conf.LayerType;
import io.github.dl4jlora.conf.LoRAInit;
import io.github.dl4jlora.internal.base.FrozenWeights;
import io.github.dl4jlora.internal.kernel.FrozenMatrix;
import io.github.dl4jlora.internal.kernel.PackedMatrix;
import io.github.dl4jlora.internal.kernel.PlainMatrix;
import io.github.dl4jlora.internal.kernel.QuantizedProduct;
import io.github.dl4jlora.internal.quantized.QuantizedMatrix;
import org.deeplearning4j.nn.conf.graph.AttentionVertex;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.layers.AutoEncoder;
import org.deeplearning4j.nn.conf.layers.BatchNormalization;
import org.deeplearning4j.nn.conf.layers.CapsuleLayer;
import org.deeplearning4j.nn.conf.layers.CenterLossOutputLayer;
import org.deeplearning4j.nn.conf.layers.Convolution1D;
import org.deeplearning4j.nn.conf.layers.Convolution1DLayer;
import org.deeplearning4j.nn.conf.layers.Convolution2D;
import org.deeplearning4j.nn.conf.layers.Convolution3D;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.Deconvolution2D;
import org.deeplearning4j.nn.conf.layers.Deconvolution3D;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.DepthwiseConvolution2D;
import org.deeplearning4j.nn.conf.layers.EmbeddingLayer;
import org.deeplearning4j.nn.conf.layers.EmbeddingSequenceLayer;
import org.deeplearning4j.nn.conf.layers.GravesBidirectionalLSTM;
import org.deeplearning4j.nn.conf.layers.GravesLSTM;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.LearnedSelfAttentionLayer;
import org.deeplearning4j.nn.conf.layers.LocallyConnected1D;
import org.deeplearning4j.nn.conf.layers.LocallyConnected2D;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.PReLULayer;
import org.deeplearning4j.nn.conf.layers.PrimaryCapsules;
import org.deeplearning4j.nn.conf.layers.RecurrentAttentionLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.conf.layers.SelfAttentionLayer;
import org.deeplearning4j.nn.conf.layers.SeparableConvolution2D;
import org.deeplearning4j.nn.conf.layers.misc.ElementWiseMultiplicationLayer;
import org.deeplearning4j.nn.conf.layers.recurrent.Bidirectional;
import org.deeplearning4j.nn.conf.layers.recurrent.LastTimeStep;
import org.deeplearning4j.nn.conf.layers.recurrent.SimpleRnn;
import org.deeplearning4j.nn.conf.layers.recurrent.TimeDistributed;
import org.deeplearning4j.nn.conf.layers.samediff.AbstractSameDiffLayer;
import org.deeplearning4j.nn.conf.layers.util.MaskZeroLayer;
import org.deeplearning4j.nn.conf.layers.variational.VariationalAutoencoder;
import org.deeplearning4j.nn.conf.layers.wrapper.BaseWrapperLayer;
import org.deeplearning4j.nn.conf.ocnn.OCNNOutputLayer;
import org.deeplearning4j.nn.params.BidirectionalParamInitializer;
import org.deeplearning4j.nn.params.VariationalAutoencoderParamInitializer;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.Set;
import java.util.function.BooleanSupplier;
import java.util.function.Supplier;

/**
 * Which parameters of DL4J's layers and vertices are matrices that can be adapted, and how each is read as one.
 *
 * <p>Goes by exact types: a user's subclass may compute something else than what it inherits.
 *
 * @param type    the kind of layer; null where nothing can be adapted
 * @param forms   by parameter key; a layer that is named as a target without a parameter adapts all of them
 * @param refusal why nothing can be adapted; null where something can
 */
@SuppressWarnings("deprecation")
public record StockMatrices(@Nullable LayerType type, Map<String, MatrixForm> forms, @Nullable String refusal) {

    /** The matrices of dense and output layers. */
    public static final StockMatrices DENSE = plain(LayerType.DENSE, "W");

    private static final MatrixForm OUT_FIRST = new MatrixForm(1, true);
    private static final MatrixForm HEADS_FIRST = new MatrixForm(2, true);
    private static final MatrixForm TWO_IN = new MatrixForm(2, false);
    private static final MatrixForm THREE_IN = new MatrixForm(3, false);

    private static final Map<Class<?>, StockMatrices> KNOWN = Map.ofEntries(
            Map.entry(DenseLayer.class, DENSE),
            Map.entry(OutputLayer.class, plain(LayerType.OUTPUT, "W")),
            Map.entry(RnnOutputLayer.class, plain(LayerType.OUTPUT, "W")),
            Map.entry(CenterLossOutputLayer.class, plain(LayerType.OUTPUT, "W")),
            Map.entry(EmbeddingLayer.class, plain(LayerType.EMBEDDING, "W")),
            Map.entry(EmbeddingSequenceLayer.class, plain(LayerType.EMBEDDING, "W")),
            Map.entry(AutoEncoder.class, plain(LayerType.AUTO_ENCODER, "W")),
            // [out, in, kernel…]
            Map.entry(ConvolutionLayer.class, of(LayerType.CONVOLUTION, "W", OUT_FIRST)),
            Map.entry(Convolution2D.class, of(LayerType.CONVOLUTION, "W", OUT_FIRST)),
            Map.entry(Convolution1DLayer.class, of(LayerType.CONVOLUTION, "W", MatrixForm.SEQUENCE)),
            Map.entry(Convolution1D.class, of(LayerType.CONVOLUTION, "W", MatrixForm.SEQUENCE)),
            Map.entry(Convolution3D.class, of(LayerType.CONVOLUTION, "W", OUT_FIRST)),
            // [in, out, height, width]
            Map.entry(Deconvolution2D.class, plain(LayerType.CONVOLUTION, "W")),
            // [depth, height, width, out, in]
            Map.entry(Deconvolution3D.class, of(LayerType.CONVOLUTION, "W", new MatrixForm(4, true))),
            // W [multiplier, in, height, width], pW [out, in · multiplier, 1, 1]
            Map.entry(SeparableConvolution2D.class, of(LayerType.CONVOLUTION, "W", HEADS_FIRST, "pW", OUT_FIRST)),
            // [height, width, in, multiplier]
            Map.entry(DepthwiseConvolution2D.class, of(LayerType.CONVOLUTION, "W", TWO_IN)),
            // [place, patch, out]
            Map.entry(LocallyConnected1D.class, of(LayerType.LOCALLY_CONNECTED, "W", TWO_IN)),
            Map.entry(LocallyConnected2D.class, of(LayerType.LOCALLY_CONNECTED, "W", TWO_IN)),
            Map.entry(LSTM.class, plain(LayerType.RECURRENT, "W", "RW")),
            Map.entry(GravesLSTM.class, plain(LayerType.RECURRENT, "W", "RW")),
            Map.entry(GravesBidirectionalLSTM.class, plain(LayerType.RECURRENT, "WF", "RWF", "WB", "RWB")),
            Map.entry(SimpleRnn.class, plain(LayerType.RECURRENT, "W", "RW")),
            Map.entry(SelfAttentionLayer.class, attention()),
            Map.entry(LearnedSelfAttentionLayer.class, refused("DL4J 1.0.0-M2.1 cannot compute it: its own forward pass fails")),
            Map.entry(AttentionVertex.class, attention()),
            Map.entry(RecurrentAttentionLayer.class, recurrentAttention()),
            // [height, width, channels, capsules · dimensions]
            Map.entry(PrimaryCapsules.class, of(LayerType.CAPSULE, "weight", THREE_IN)),
            // [1, capsules below, capsules · dimensions, dimensions below, 1]
            Map.entry(CapsuleLayer.class, of(LayerType.CAPSULE, "weight", new MatrixForm(3, true))),
            Map.entry(BatchNormalization.class, refused("its parameters are vectors; train it in full with trainable(...)")),
            Map.entry(PReLULayer.class, refused("its slopes are not a matrix; train it in full with trainable(...)")),
            Map.entry(ElementWiseMultiplicationLayer.class,
                    refused("its weights are a vector; train it in full with trainable(...)")),
            Map.entry(OCNNOutputLayer.class,
                    refused("it sets its own parameter r while it trains, so the base would change; train it in full with "
                            + "trainable(...)")));

    /** What can be adapted in a layer, which must be without DL4J's freezing wrappers. */
    public static StockMatrices of(Layer layer) {
        Class<?> type = layer.getClass();
        if (type == LastTimeStep.class || type == TimeDistributed.class || type == MaskZeroLayer.class) {
            return of(((BaseWrapperLayer) layer).getUnderlying());
        }
        if (layer instanceof Bidirectional both && type == Bidirectional.class) {
            return bidirectional(of(both.getFwd()));
        }
        if (layer instanceof VariationalAutoencoder encoder && type == VariationalAutoencoder.class) {
            return encoder(encoder.getEncoderLayerSizes().length);
        }
        StockMatrices known = known(type, StockLayers.numParams(layer) > 0);
        return layer instanceof AbstractSameDiffLayer sameDiff
                ? known.only(sameDiff.getLayerParams().getParamShapes().keySet()) : known;
    }

    /**
     * One of the matrices as products take it, however it is kept.
     *
     * @param type     of the network
     * @param shape    of the parameter in the stock layer
     * @param kept     the layer's frozen weights; null if they are in the network's vector
     * @param isPacked whether to use packed copies of them
     * @param array    the parameter, in its stock layer's shape; asked for unless the matrix is in fewer bits
     */
    public FrozenMatrix frozen(String key, DataType type, long[] shape, @Nullable FrozenWeights kept, BooleanSupplier isPacked,
                               Supplier<INDArray> array) {
        QuantizedMatrix quantized = kept == null ? null : kept.quantized(key);
        FrozenMatrix matrix = quantized == null ? new PlainMatrix(form(key).viewOf(array.get()))
                : QuantizedProduct.of(quantized, type, !areRowsLookedUp(), form(key).sides(shape));
        return kept == null ? matrix : new PackedMatrix(matrix, isPacked, kept.packed(key));
    }

    /** How one of the matrices is read. */
    public MatrixForm form(String key) {
        return Objects.requireNonNull(forms.get(key));
    }

    /** Whether rows of the matrix are looked up, so that each is used, and stored, by itself. */
    public boolean areRowsLookedUp() {
        return type == LayerType.EMBEDDING;
    }

    /** Attention layers define some of their parameters on request only. */
    private StockMatrices only(Set<String> defined) {
        Map<String, MatrixForm> some = new LinkedHashMap<>(forms);
        some.keySet().retainAll(defined);
        return refusal == null && some.isEmpty() ? refused("none of its parameters is a weight matrix: projectInput is false")
                : new StockMatrices(type, some, refusal);
    }

    /** As {@link #of(Layer)}. */
    public static StockMatrices of(GraphVertex vertex) {
        if (vertex instanceof AttentionVertex && vertex.numParams(true) == 0) {
            return refused("it has no parameters: projectInput is false");
        }
        return known(vertex.getClass(), vertex.numParams(true) > 0);
    }

    private static StockMatrices known(Class<?> type, boolean hasParameters) {
        StockMatrices found = KNOWN.get(type);
        if (!hasParameters) {
            return refused("it has no parameters");
        }
        return found != null ? found
                : refused(
                        "it is not one of DL4J's own layers, so what it computes is unknown; train it in full with "
                                + "trainable(...)");
    }

    private static StockMatrices bidirectional(StockMatrices one) {
        if (one.refusal != null) {
            return one;
        }
        Map<String, MatrixForm> forms = new LinkedHashMap<>();
        one.forms.forEach((key, form) -> forms.put(BidirectionalParamInitializer.FORWARD_PREFIX + key, form));
        one.forms.forEach((key, form) -> forms.put(BidirectionalParamInitializer.BACKWARD_PREFIX + key, form));
        return new StockMatrices(one.type, forms, null);
    }

    /** In a supervised network a variational auto-encoder computes its encoder's mean; the decoder takes no part. */
    private static StockMatrices encoder(int layers) {
        Map<String, MatrixForm> forms = new LinkedHashMap<>();
        for (int i = 0; i < layers; i++) {
            forms.put("e" + i + "W", MatrixForm.PLAIN);
        }
        forms.put(VariationalAutoencoderParamInitializer.PZX_MEAN_W, MatrixForm.PLAIN);
        return new StockMatrices(LayerType.AUTO_ENCODER, forms, null);
    }

    private static StockMatrices attention() {
        Map<String, MatrixForm> forms = new LinkedHashMap<>();
        // [heads, size, in]
        List.of("Wq", "Wk", "Wv").forEach(key -> forms.put(key, HEADS_FIRST));
        forms.put("Wo", MatrixForm.PLAIN);
        return new StockMatrices(LayerType.ATTENTION, forms, null);
    }

    private static StockMatrices recurrentAttention() {
        Map<String, MatrixForm> forms = new LinkedHashMap<>();
        List.of("W", "RW").forEach(key -> forms.put(key, MatrixForm.PLAIN));
        forms.putAll(attention().forms);
        return new StockMatrices(LayerType.ATTENTION, forms, null);
    }

    private static StockMatrices plain(LayerType type, String... keys) {
        Map<String, MatrixForm> forms = new LinkedHashMap<>();
        for (String key : keys) {
            forms.put(key, MatrixForm.PLAIN);
        }
        return new StockMatrices(type, forms, null);
    }

    private static StockMatrices of(LayerType type, String key, MatrixForm form) {
        return new StockMatrices(type, Map.of(key, form), null);
    }

    private static StockMatrices of(LayerType type, String key, MatrixForm form, String key2, MatrixForm form2) {
        Map<String, MatrixForm> forms = new LinkedHashMap<>();
        forms.put(key, form);
        forms.put(key2, form2);
        return new StockMatrices(type, forms, null);
    }

    private static StockMatrices refused(String reason) {
        return new StockMatrices(null, Map.of(), reason);
    }

    /**
     * Gives A and B values with which A·B is zero, as the start says; for embeddings, as in PEFT, A is zero and B from N(0, 1),
     * since each word trains only its own row of A, which moves only if B is not zero.
     */
    public void initialize(INDArray a, INDArray b, LoRAInit init, Random random) {
        if (areRowsLookedUp()) {
            a.assign(0);
            LoRAInit.fillNormal(b, random);
        } else {
            init.fill(a, b, random);
        }
    }

    /**
     * What a matrix is called in adapter files and by {@link io.github.dl4jlora.adapter.LoRAAdapter}: the layer's name where it
     * is the only matrix of its type of layer, as in PEFT, otherwise {@code layer.key}.
     */
    public String module(String layer, String key) {
        return forms.size() == 1 ? layer : layer + "." + key;
    }
}
