package io.github.dl4jlora.onnx.transformer;

import io.github.dl4jlora.onnx.graph.Attribute;
import io.github.dl4jlora.onnx.graph.Flow;
import io.github.dl4jlora.onnx.graph.OnnxGraph;
import io.github.dl4jlora.onnx.graph.Weight;
import io.github.dl4jlora.onnx.layer.Exports;
import io.github.dl4jlora.onnx.layer.Place;
import io.github.dl4jlora.transformers.layer.AnswerScores;
import io.github.dl4jlora.transformers.layer.ErfGelu;
import io.github.dl4jlora.transformers.layer.LayerNormalization;
import io.github.dl4jlora.transformers.layer.MaxPooling;
import io.github.dl4jlora.transformers.layer.MeanPooling;
import io.github.dl4jlora.transformers.layer.MultiHeadAttention;
import io.github.dl4jlora.transformers.layer.PickedRows;
import io.github.dl4jlora.transformers.layer.PickedToken;
import io.github.dl4jlora.transformers.layer.RelativeAttentionBias;
import io.github.dl4jlora.transformers.layer.RowsLoss;
import io.github.dl4jlora.transformers.layer.TanhGelu;
import io.github.dl4jlora.transformers.layer.TiedDecoder;
import io.github.dl4jlora.transformers.layer.TokenEmbeddings;
import io.github.dl4jlora.transformers.layer.TypedIds;
import io.github.dl4jlora.transformers.layer.VocabularyBias;
import io.github.dl4jlora.transformers.layer.VocabularyMatrix;
import onnx.Onnx.TensorProto.DataType;
import org.deeplearning4j.nn.conf.layers.LossLayer;

import java.util.ArrayList;
import java.util.List;
import java.util.function.UnaryOperator;

/**
 * Layers, vertices and activations of dl4j-lora-transformers. What flows between them is {@code [batch · length, hidden]}, ids
 * are {@code [batch, length]}.
 */
public final class TransformerLayers {

    private TransformerLayers() {
    }

    /** Adds them all. */
    public static void addTo(Exports exports) {
        exports.layer(TokenEmbeddings.class, TransformerLayers::embeddings);
        exports.layer(LayerNormalization.class, TransformerLayers::normalization);
        exports.layer(VocabularyMatrix.class, TransformerLayers::matrix);
        exports.layer(VocabularyBias.class, TransformerLayers::bias);
        exports.layer(TiedDecoder.class, TransformerLayers::decoder);
        exports.layer(RelativeAttentionBias.class, TransformerLayers::scoreBias);
        exports.layer(RowsLoss.class, (layer, input, here) -> here.inner(new LossLayer.Builder(layer.getLossFn())
                .activation(layer.getActivationFn()).build(), input, "", input.type()));
        exports.vertex(AnswerScores.class, TransformerLayers::answerScores);
        exports.vertex(TypedIds.class, TransformerLayers::typedIds);
        exports.vertex(MultiHeadAttention.class, Attention::export);
        exports.vertex(MeanPooling.class, TransformerLayers::mean);
        exports.vertex(MaxPooling.class, TransformerLayers::maximum);
        exports.vertex(PickedToken.class, TransformerLayers::token);
        exports.vertex(PickedRows.class, TransformerLayers::rows);
        exports.activation(ErfGelu.class, TransformerLayers::erfGelu);
        exports.activation(TanhGelu.class, TransformerLayers::tanhGelu);
    }

    /** The ids, whose types the embeddings find. */
    private static Flow typedIds(TypedIds vertex, List<Flow> inputs, Place here) {
        Flow ids = Texts.ids(inputs.get(1), here.graph());
        Texts.types(ids, here.graph(), () -> Texts.ids(inputs.get(0), here.graph()).name());
        return ids;
    }

    private static Flow answerScores(AnswerScores vertex, List<Flow> inputs, Place here) {
        OnnxGraph graph = here.graph();
        Texts texts = Texts.of(inputs.get(1), vertex.getPadding(), graph);
        String scores = graph.transpose(texts.apart(inputs.get(0).name()), 0, 2, 1);
        String left = graph.add("Where", List.of(graph.unsqueeze(texts.kept(), 1), scores, graph.number(AnswerScores.NEVER)));
        return out(graph.reshape(left, graph.size(inputs.get(1).name(), 0), graph.ints(-1)), here);
    }

    private static Flow embeddings(TokenEmbeddings layer, Flow input, Place here) {
        OnnxGraph graph = here.graph();
        Flow ids = Texts.ids(input, graph);
        // Padding that is no token is looked up as token 0; ONNX would take -1 for the last token.
        String tokens = layer.getPadding() < 0 ? graph.add("Max", ids.name(), graph.index(0)) : ids.name();
        String words = words(here.name(), here);
        String sum = graph.add("Add", graph.add("Gather", words, tokens), positions(layer, ids, here));
        if (layer.getTypes() > 0) {
            String types = graph.weight(here.weight("T"));
            sum = graph.add("Add", sum, graph.add("Gather", types, Texts.types(ids, graph, () -> graph.index(0))));
        }
        return new Flow(graph.reshape(sum, -1, layer.getNOut()), here.output(), null);
    }

    /** {@code [length, hidden]}, or {@code [batch, length, hidden]} where positions count from the padding id on. */
    private static String positions(TokenEmbeddings layer, Flow ids, Place here) {
        OnnxGraph graph = here.graph();
        String matrix = graph.weight(here.weight("P"));
        if (!layer.isPositionsFromPadding()) {
            return graph.add("Slice", List.of(matrix, graph.ints(0), graph.size(ids.name(), 1), graph.ints(0)));
        }
        String padding = graph.index(layer.getPadding());
        String counts = graph.cast(graph.add("Not", graph.add("Equal", ids.name(), padding)), DataType.INT64);
        String counted = graph.add("Mul", graph.add("CumSum", counts, graph.index(1)), counts);
        return graph.add("Gather", matrix, graph.add("Add", counted, padding));
    }

    private static Flow normalization(LayerNormalization layer, Flow input, Place here) {
        OnnxGraph graph = here.graph();
        return input.to(graph.add("LayerNormalization", List.of(input.name(), here.row("g"), here.row("b")),
                Attribute.of("axis", -1), Attribute.of("epsilon", layer.getEpsilon())), here.output());
    }

    private static Flow matrix(VocabularyMatrix layer, Flow input, Place here) {
        words(here.name(), here);
        return input;
    }

    private static Flow bias(VocabularyBias layer, Flow input, Place here) {
        wordBias(here.name(), here);
        return input;
    }

    private static Flow scoreBias(RelativeAttentionBias layer, Flow input, Place here) {
        distances(here.name(), here);
        return input;
    }

    /** A table of positions, which stays FLOAT. */
    static String distances(String holder, Place here) {
        return shared(RelativeAttentionBias.BIAS, holder, here, UnaryOperator.identity());
    }

    private static String words(String holder, Place here) {
        return shared(TokenEmbeddings.WORDS, holder, here, weight -> weight.withAxis(0));
    }

    private static String wordBias(String holder, Place here) {
        return shared(VocabularyBias.BIAS, holder, here, weight -> weight.reshaped(weight.shape()[1]));
    }

    /** A parameter that others use too; the layer that has it comes before them. */
    private static String shared(String key, String holder, Place here, UnaryOperator<Weight> form) {
        return here.graph().shared(key + " of " + holder, () -> here.graph().weight(form.apply(here.weight(key))));
    }

    private static Flow decoder(TiedDecoder layer, Flow input, Place here) {
        List<String> operands = new ArrayList<>(List.of(input.name(), words(layer.getWords(), here)));
        if (layer.getBiases() != null) {
            operands.add(wordBias(layer.getBiases(), here));
        }
        return input.to(here.graph().add("Gemm", operands, Attribute.of("transB", 1)), here.output());
    }

    private static Flow mean(MeanPooling vertex, List<Flow> inputs, Place here) {
        OnnxGraph graph = here.graph();
        Texts texts = Texts.of(inputs.get(1), vertex.getPadding(), graph);
        String counted = graph.cast(texts.kept(), DataType.FLOAT);
        if (vertex.getWeights() == MeanPooling.Weights.POSITION) {
            counted = graph.add("Mul", counted, graph.add("CumSum", counted, graph.index(1)));
        }
        String sum = graph.add("Max", graph.reduce("ReduceSum", counted, true, 1), graph.number(1));
        String divisor = vertex.getWeights() == MeanPooling.Weights.ROOT ? graph.add("Sqrt", sum) : sum;
        String share = graph.unsqueeze(graph.add("Div", counted, divisor), 1);
        return out(graph.squeeze(graph.add("MatMul", share, texts.apart(inputs.get(0).name())), 1), here);
    }

    private static Flow maximum(MaxPooling vertex, List<Flow> inputs, Place here) {
        OnnxGraph graph = here.graph();
        Texts texts = Texts.of(inputs.get(1), vertex.getPadding(), graph);
        String kept = graph.unsqueeze(texts.kept(), 2);
        String values = graph.add("Where",
                List.of(kept, texts.apart(inputs.get(0).name()), graph.number(-Float.MAX_VALUE)));
        return out(graph.reduce("ReduceMax", values, false, 1), here);
    }

    private static Flow token(PickedToken vertex, List<Flow> inputs, Place here) {
        OnnxGraph graph = here.graph();
        Texts texts = Texts.of(inputs.get(1), vertex.getPadding(), graph);
        String rows = texts.apart(inputs.get(0).name());
        String token = switch (vertex.getWhich()) {
            case FIRST -> texts.first();
            case LAST -> texts.last();
            case LAST_KEPT -> texts.lastKept();
        };
        return out(graph.add("GatherND", List.of(rows, token), Attribute.of("batch_dims", 1)), here);
    }

    private static Flow rows(PickedRows vertex, List<Flow> inputs, Place here) {
        OnnxGraph graph = here.graph();
        String rows = Texts.of(inputs.get(2), vertex.getPadding(), graph).apart(inputs.get(0).name());
        String picked = graph.add("GatherND", List.of(rows, graph.unsqueeze(Texts.ids(inputs.get(1), graph).name(), 2)),
                Attribute.of("batch_dims", 1));
        return out(graph.reshape(picked, -1, Texts.width(inputs.get(0))), here);
    }

    private static Flow out(String tensor, Place here) {
        return new Flow(tensor, here.output(), null);
    }

    private static String erfGelu(ErfGelu activation, String z, Place here) {
        OnnxGraph graph = here.graph();
        String erf = graph.add("Erf", graph.add("Div", z, graph.number(Math.sqrt(2))));
        return graph.add("Mul", graph.add("Mul", z, graph.add("Add", erf, graph.number(1))), graph.number(0.5));
    }

    private static String tanhGelu(TanhGelu activation, String z, Place here) {
        OnnxGraph graph = here.graph();
        String cube = graph.add("Mul", graph.add("Mul", graph.add("Mul", z, z), z), graph.number(0.044715));
        String tanh = graph.add("Tanh", graph.add("Mul", graph.add("Add", z, cube), graph.number(Math.sqrt(2 / Math.PI))));
        return graph.add("Mul", graph.add("Mul", z, graph.number(0.5)), graph.add("Add", tanh, graph.number(1)));
    }
}
