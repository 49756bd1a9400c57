package io.github.dl4jlora.onnx.layer;

import io.github.dl4jlora.layer.LowRankLayer;
import io.github.dl4jlora.onnx.graph.Flow;
import io.github.dl4jlora.onnx.graph.OnnxGraph;
import org.deeplearning4j.nn.conf.layers.AutoEncoder;
import org.deeplearning4j.nn.conf.layers.CenterLossOutputLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.FeedForwardLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.misc.ElementWiseMultiplicationLayer;
import org.deeplearning4j.nn.conf.layers.variational.VariationalAutoencoder;

import java.util.List;

/** Layers that are a product of rows with weights. DL4J's preprocessors make rows [batch * time, size] of sequences. */
final class DenseLayers {

    private DenseLayers() {
    }

    static void addTo(Exports exports) {
        exports.layer(DenseLayer.class, DenseLayers::dense);
        exports.layer(OutputLayer.class, DenseLayers::dense);
        exports.layer(CenterLossOutputLayer.class, DenseLayers::dense);
        exports.layer(ElementWiseMultiplicationLayer.class, DenseLayers::elementWise);
        exports.layer(AutoEncoder.class, DenseLayers::encoder);
        exports.layer(VariationalAutoencoder.class, DenseLayers::variational);
        exports.layer(LowRankLayer.class, DenseLayers::lowRank);
    }

    private static Flow dense(FeedForwardLayer layer, Flow input, Place here) {
        OnnxGraph graph = here.graph();
        String z = graph.add("MatMul", input.name(), graph.weight(here.weight("W").withAxis(1)));
        if (here.has("g")) {
            z = graph.add("Mul", normalized(z, graph), here.row("g"));
        }
        return activated(layer, here.has("b") ? graph.add("Add", z, here.row("b")) : z, input, here);
    }

    /**
     * Rows of mean 0 and variance 1, zeros of what does not vary: DL4J adds nothing to the variance. ONNX Runtime's own operator
     * takes the variance for a difference of two means, of which less is exact.
     */
    private static String normalized(String z, OnnxGraph graph) {
        String centred = graph.add("Sub", z, graph.reduce("ReduceMean", z, true, 1));
        String deviation = graph.add("Sqrt", graph.reduce("ReduceMean", graph.add("Mul", centred, centred), true, 1));
        String none = graph.add("Equal", deviation, graph.number(0));
        return graph.add("Div", centred, graph.add("Where", List.of(none, graph.number(1), deviation)));
    }

    private static Flow elementWise(ElementWiseMultiplicationLayer layer, Flow input, Place here) {
        String product = here.graph().add("Mul", input.name(), here.row("W"));
        return activated(layer, here.graph().add("Add", product, here.row("b")), input, here);
    }

    /** DL4J masks both what goes into the activation and what comes out of it. */
    private static Flow activated(FeedForwardLayer layer, String z, Flow input, Place here) {
        String masked = Masks.apply(z, input.mask(), here);
        String active = Activations.add(layer.getActivationFn(), masked, -1, here);
        return input.to(Masks.apply(active, input.mask(), here), here.output());
    }

    private static Flow encoder(AutoEncoder layer, Flow input, Place here) {
        String z = here.product(input.name(), "W", "b");
        return input.to(Activations.add(layer.getActivationFn(), z, -1, here), here.output());
    }

    /** The encoder, and the mean of p(z|x). */
    private static Flow variational(VariationalAutoencoder layer, Flow input, Place here) {
        if (input.mask() != null) {
            throw here.refusal("DL4J's VariationalAutoencoder takes no mask", "Export without masks");
        }
        String current = input.name();
        for (int i = 0; i < layer.getEncoderLayerSizes().length; i++) {
            current = Activations.gate(layer.getActivationFn(), here.product(current, "e" + i + "W", "e" + i + "b"), -1, here);
        }
        String mean = here.product(current, "pZXMeanW", "pZXMeanb");
        return input.to(Activations.add(layer.getPzxActivationFn(), mean, -1, here), here.output());
    }

    private static Flow lowRank(LowRankLayer layer, Flow input, Place here) {
        OnnxGraph graph = here.graph();
        String down = graph.add("MatMul", input.name(), graph.weight(here.weight("A").withAxis(1)));
        String up = graph.add("MatMul", down, graph.weight(here.weight("B").withAxis(1)));
        return input.to(graph.add("Mul", up, graph.number(layer.factor())), here.output());
    }
}
