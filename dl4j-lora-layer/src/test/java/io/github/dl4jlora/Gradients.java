package io.github.dl4jlora;

import io.github.dl4jlora.internal.adapted.AdaptedConfiguration;
import io.github.dl4jlora.internal.adapted.AdaptedParameter;
import io.github.dl4jlora.internal.stock.SameDiffGradients;
import io.github.dl4jlora.internal.stock.StockLayers;
import io.github.dl4jlora.variant.Variant;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.layers.samediff.SameDiffLayer;
import org.deeplearning4j.nn.conf.layers.samediff.SameDiffVertex;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.params.BatchNormalizationParamInitializer;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.MultiDataSet;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import java.util.function.Predicate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

/** What the gradients of an adapted network must be: finite differences, and the stock network's, projected. */
public final class Gradients {

    private static final double STEP = 1e-5;
    private static final int DIRECTIONS = 6;

    private Gradients() {
    }

    /** One training pass: every gradient by DL4J's parameter name, as summed over the batch. */
    public static Map<String, INDArray> of(Model network, MultiDataSet data) {
        pass(network, data);
        Set<String> parameters = network.paramTable().keySet();
        return copyOf(network.gradient(), name -> !isLocked(name, parameters));
    }

    /** Both networks have the same gradients, each within an error that {@link Networks#assertClose} describes. */
    public static void assertSame(Model network, Model expected, MultiDataSet data, double error) {
        Map<String, INDArray> wanted = of(expected, data);
        Map<String, INDArray> found = of(network, data);
        assertThat(found).containsOnlyKeys(wanted.keySet());
        found.forEach((key, gradient) -> Networks.assertClose(key, gradient, wanted.get(key), error));
    }

    /**
     * DL4J's BatchNormalization has no gamma and beta where they are locked, and tells gradients of them all the same: in memory
     * of a workspace that is closed after the pass.
     */
    private static boolean isLocked(String name, Set<String> parameters) {
        return !parameters.contains(name) && (name.endsWith("_" + BatchNormalizationParamInitializer.GAMMA)
                || name.endsWith("_" + BatchNormalizationParamInitializer.BETA));
    }

    public static Map<String, INDArray> copyOf(Gradient gradient) {
        return copyOf(gradient, name -> true);
    }

    private static Map<String, INDArray> copyOf(Gradient gradient, Predicate<String> wanted) {
        Map<String, INDArray> copy = new LinkedHashMap<>();
        gradient.gradientForVariable().forEach((name, value) -> {
            if (wanted.test(name)) {
                copy.put(name, value.dup());
            }
        });
        return copy;
    }

    /** A training pass without an update. */
    public static double pass(Model network, MultiDataSet data) {
        if (network instanceof ComputationGraph graph) {
            graph.setInputs(data.getFeatures());
            graph.setLabels(data.getLabels());
            graph.setLayerMaskArrays(data.getFeaturesMaskArrays(), data.getLabelsMaskArrays());
            graph.computeGradientAndScore();
            graph.clearLayerMaskArrays();
        } else {
            MultiLayerNetwork layers = (MultiLayerNetwork) network;
            layers.setInput(data.getFeatures(0));
            layers.setLabels(data.getLabels(0));
            layers.setLayerMaskArrays(data.hasMaskArrays() ? data.getFeaturesMaskArray(0) : null,
                    data.hasMaskArrays() ? data.getLabelsMaskArray(0) : null);
            layers.computeGradientAndScore();
            layers.clearLayerMaskArrays();
        }
        return network.score();
    }

    /**
     * (L(p + h·d) − L(p − h·d)) / 2h against the gradient times d, in random directions d of the trained values. No
     * wrong component hides from all of them, at a tenth of the cost of one value at a time. DoRA's norms are held constant.
     */
    public static void assertEqualFiniteDifferences(Model network, MultiDataSet data) {
        pass(network, data);
        INDArray analytic = network.getGradientsViewArray().div(data.getFeatures(0).size(0)).reshape(network.params().length());
        assertThat(analytic.amaxNumber().doubleValue()).as("the loss depends on what trains").isGreaterThan(1e-5);
        INDArray params = network.params();
        INDArray start = params.dup();
        Magnitudes magnitudes = new Magnitudes(network);
        for (int seed = 0; seed < DIRECTIONS; seed++) {
            INDArray direction = Networks.random(params.dataType(), 1000 + seed, params.shape());
            params.assign(start.add(direction.mul(STEP)));
            magnitudes.follow();
            double above = pass(network, data);
            params.assign(start.sub(direction.mul(STEP)));
            magnitudes.follow();
            double below = pass(network, data);
            params.assign(start);
            double expected = (above - below) / (2 * STEP);
            double slope = analytic.mul(direction.reshape(analytic.shape())).sumNumber().doubleValue();
            assertThat(slope).as("slope in direction %d", seed)
                    .isCloseTo(expected, within(1e-6 * Math.max(1, Math.abs(expected))));
        }
    }

    /**
     * dL/dA = s · dL/dW · Bᵀ, dL/dB = s · Aᵀ · dL/dW, everything else equal.
     *
     * @param adapted gradients of the adapted network
     * @param stock   gradients of the stock network with W + ΔW in place of W
     */
    public static void assertProjections(Model network, Map<String, INDArray> adapted, Map<String, INDArray> stock) {
        assertThat(adapted).isNotEmpty();
        adapted.forEach((name, gradient) -> {
            String layer = name.substring(0, name.lastIndexOf('_'));
            INDArray expected = stock.get(name);
            AdaptedConfiguration lora = configuration(network, layer);
            if (lora != null) {
                boolean isA = name.endsWith(Variant.A);
                for (AdaptedParameter parameter : lora.adapted()) {
                    String a = layer + "_" + lora.key(parameter, Variant.A);
                    String b = layer + "_" + lora.key(parameter, Variant.B);
                    if (name.equals(isA ? a : b)) {
                        INDArray stockGradient = stock.get(layer + "_" + parameter.key());
                        assertThat(stockGradient).as("the stock network's gradient of " + layer + "_" + parameter.key())
                                .isNotNull();
                        INDArray dw = lora.matrices().forms().get(parameter.key())
                                .viewOf(stockGradient.dup(order(stockGradient)));
                        Map<String, INDArray> table = network.paramTable();
                        expected = isA ? dw.mmul(table.get(b).transpose()) : table.get(a).transpose().mmul(dw);
                        expected.muli(parameter.factor() * correction(lora));
                        assertThat(expected.amaxNumber().doubleValue()).as("a gradient reaches " + name).isPositive();
                    }
                }
            }
            assertThat(expected).as("the stock network's gradient of " + name).isNotNull();
            double scale = Math.max(1, expected.amaxNumber().doubleValue());
            assertThat(Networks.difference(gradient, expected) / scale).as("gradient of " + name).isLessThan(1e-10);
        });
    }

    private static char order(INDArray array) {
        return array.rank() > 2 ? 'c' : 'f';
    }

    /** What the stock layer's gradients must be multiplied by to be right. */
    private static double correction(AdaptedConfiguration lora) {
        boolean sameDiff = lora.stockVertex() instanceof SameDiffVertex
                || lora.stockLayer() != null && StockLayers.innermost(lora.stockLayer()) instanceof SameDiffLayer;
        return sameDiff ? SameDiffGradients.correction() : 1;
    }

    private static AdaptedConfiguration configuration(Model network, String layer) {
        Object conf;
        if (network instanceof ComputationGraph graph) {
            conf = graph.getVertex(layer).hasLayer() ? graph.getLayer(layer).conf().getLayer()
                    : graph.getConfiguration().getVertices().get(layer);
        } else {
            conf = ((MultiLayerNetwork) network).getLayer(Integer.parseInt(layer)).conf().getLayer();
        }
        return conf instanceof AdaptedConfiguration lora ? lora : null;
    }
}
