package io.github.dl4jlora.onnx.layer;

import io.github.dl4jlora.onnx.graph.Attribute;
import io.github.dl4jlora.onnx.graph.OnnxGraph;
import org.nd4j.linalg.activations.IActivation;
import org.nd4j.linalg.activations.impl.ActivationCube;
import org.nd4j.linalg.activations.impl.ActivationELU;
import org.nd4j.linalg.activations.impl.ActivationGELU;
import org.nd4j.linalg.activations.impl.ActivationHardSigmoid;
import org.nd4j.linalg.activations.impl.ActivationHardTanH;
import org.nd4j.linalg.activations.impl.ActivationIdentity;
import org.nd4j.linalg.activations.impl.ActivationLReLU;
import org.nd4j.linalg.activations.impl.ActivationMish;
import org.nd4j.linalg.activations.impl.ActivationRReLU;
import org.nd4j.linalg.activations.impl.ActivationRationalTanh;
import org.nd4j.linalg.activations.impl.ActivationReLU;
import org.nd4j.linalg.activations.impl.ActivationReLU6;
import org.nd4j.linalg.activations.impl.ActivationRectifiedTanh;
import org.nd4j.linalg.activations.impl.ActivationSELU;
import org.nd4j.linalg.activations.impl.ActivationSigmoid;
import org.nd4j.linalg.activations.impl.ActivationSoftPlus;
import org.nd4j.linalg.activations.impl.ActivationSoftSign;
import org.nd4j.linalg.activations.impl.ActivationSoftmax;
import org.nd4j.linalg.activations.impl.ActivationSwish;
import org.nd4j.linalg.activations.impl.ActivationTanH;
import org.nd4j.linalg.activations.impl.ActivationThresholdedReLU;

import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** DL4J's activations, as ND4J's native library computes them. */
final class Activations {

    private static final double SELU_ALPHA = 1.6732632423543772848170429916717;
    private static final double SELU_SCALE = 1.0507009873554804934193349852946;

    private static final Map<Class<?>, Form<?>> FORMS = new HashMap<>();

    static {
        form(ActivationCube.class, (cube, z, graph) -> graph.add("Mul", z, graph.add("Mul", z, z)));
        form(ActivationELU.class, (elu, z, graph) -> graph.add("Elu", z, Attribute.of("alpha", elu.getAlpha())));
        form(ActivationGELU.class, Activations::gelu);
        form(ActivationHardSigmoid.class, (hard, z, graph) -> graph.add("HardSigmoid", z, Attribute.of("alpha", 0.2),
                Attribute.of("beta", 0.5)));
        form(ActivationHardTanH.class, (hard, z, graph) -> clip(z, -1, 1, graph));
        form(ActivationIdentity.class, (identity, z, graph) -> z);
        form(ActivationLReLU.class, (leaky, z, graph) -> leaky(z, leaky.getAlpha(), graph));
        form(ActivationMish.class, (mish, z, graph) -> graph.add("Mul", z, graph.add("Tanh", graph.add("Softplus", z))));
        form(ActivationRReLU.class, Activations::randomized);
        form(ActivationRationalTanh.class, Activations::rationalTanh);
        form(ActivationReLU.class, Activations::relu);
        form(ActivationReLU6.class, (relu, z, graph) -> clip(z, 0, 6, graph));
        form(ActivationRectifiedTanh.class, (tanh, z, graph) -> graph.add("Relu", graph.add("Tanh", z)));
        form(ActivationSELU.class, (selu, z, graph) -> graph.add("Selu", z, Attribute.of("alpha", SELU_ALPHA),
                Attribute.of("gamma", SELU_SCALE)));
        form(ActivationSigmoid.class, (sigmoid, z, graph) -> graph.add("Sigmoid", z));
        form(ActivationSoftPlus.class, (plus, z, graph) -> graph.add("Softplus", z));
        form(ActivationSoftSign.class, (sign, z, graph) -> graph.add("Softsign", z));
        form(ActivationSwish.class, (swish, z, graph) -> graph.add("Mul", z, graph.add("Sigmoid", z)));
        form(ActivationTanH.class, (tanh, z, graph) -> graph.add("Tanh", z));
        form(ActivationThresholdedReLU.class, (relu, z, graph) -> graph.add("ThresholdedRelu", z,
                Attribute.of("alpha", relu.getTheta())));
    }

    /** An activation that takes each value by itself. */
    @FunctionalInterface
    private interface Form<A extends IActivation> {
        String add(A activation, String z, OnnxGraph graph);
    }

    private Activations() {
    }

    private static <A extends IActivation> void form(Class<A> type, Form<A> form) {
        FORMS.put(type, form);
    }

    /**
     * Adds an activation. At an output whose logits are asked for, softmax and sigmoid are left out.
     *
     * @param axis over which softmax sums up: DL4J takes the last one of the array that the layer gives it, whatever is in it
     * @return the tensor behind it
     */
    static String add(IActivation activation, String z, int axis, Place here) {
        return normalises(activation) && here.logits().leaveOut(here.name()) ? z : gate(activation, z, axis, here);
    }

    static boolean normalises(IActivation activation) {
        return activation instanceof ActivationSoftmax || activation instanceof ActivationSigmoid;
    }

    /** As {@link #add}, for one inside a layer, which no output is without. */
    @SuppressWarnings("unchecked")
    static String gate(IActivation activation, String z, int axis, Place here) {
        if (activation.getClass() == ActivationSoftmax.class) {
            return here.graph().add("Softmax", z, Attribute.of("axis", axis));
        }
        Form<IActivation> form = (Form<IActivation>) FORMS.get(activation.getClass());
        if (form == null) {
            return here.exports().activation(activation, z, here);
        }
        return form.add(activation, z, here.graph());
    }

    /** The precise form is ND4J's own: 0.5 z (1 + tanh(sqrt(2 / pi) (z + (0.044715 z)^3))). */
    private static String gelu(ActivationGELU gelu, String z, OnnxGraph graph) {
        if (!gelu.isPrecise()) {
            return graph.add("Mul", z, graph.add("Sigmoid", scaled(z, 1.702, graph)));
        }
        String small = scaled(z, 0.044715, graph);
        String inner = graph.add("Add", z, graph.add("Mul", small, graph.add("Mul", small, small)));
        String tanh = graph.add("Tanh", scaled(inner, Math.sqrt(2 / Math.PI), graph));
        return graph.add("Mul", scaled(z, 0.5, graph), graph.add("Add", tanh, graph.number(1)));
    }

    /** In inference DL4J calls its rectifier with the mean slope as the threshold: max(z, slope). */
    private static String randomized(ActivationRReLU relu, String z, OnnxGraph graph) {
        return graph.add("Max", z, graph.number((relu.getL() + relu.getU()) / 2));
    }

    /** 1.7159 times an approximation of tanh(2/3 z): sign(y) (1 - 1 / (1 + |y| + y^2 + 1.41645 y^4)). */
    private static String rationalTanh(ActivationRationalTanh tanh, String z, OnnxGraph graph) {
        String y = scaled(z, 2.0 / 3, graph);
        String square = graph.add("Mul", y, y);
        String fourth = scaled(graph.add("Mul", square, square), 1.41645, graph);
        String sum = graph.add("Add", graph.add("Add", graph.add("Abs", y), graph.number(1)), graph.add("Add", square, fourth));
        String part = graph.add("Sub", graph.number(1), graph.add("Reciprocal", sum));
        return scaled(graph.add("Mul", graph.add("Sign", y), part), 1.7159, graph);
    }

    /** Below a threshold t that is not 0: slope (z - t). */
    private static String relu(ActivationReLU relu, String z, OnnxGraph graph) {
        double slope = relu.getNegativeSlope() == null ? 0 : relu.getNegativeSlope();
        double threshold = relu.getThreshold() == null ? 0 : relu.getThreshold();
        String rectified;
        if (threshold != 0) {
            String below = scaled(graph.add("Sub", z, graph.number(threshold)), slope, graph);
            rectified = graph.add("Where", List.of(graph.add("Less", z, graph.number(threshold)), below, z));
        } else {
            rectified = slope == 0 ? graph.add("Relu", z) : leaky(z, slope, graph);
        }
        return relu.getMax() == null ? rectified : graph.add("Min", rectified, graph.number(relu.getMax()));
    }

    private static String leaky(String z, double slope, OnnxGraph graph) {
        return graph.add("LeakyRelu", z, Attribute.of("alpha", slope));
    }

    private static String clip(String z, double least, double largest, OnnxGraph graph) {
        return graph.add("Clip", List.of(z, graph.number(least), graph.number(largest)));
    }

    private static String scaled(String z, double factor, OnnxGraph graph) {
        return graph.add("Mul", z, graph.number(factor));
    }
}
