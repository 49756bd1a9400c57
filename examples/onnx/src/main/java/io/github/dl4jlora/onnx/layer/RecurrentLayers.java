package io.github.dl4jlora.onnx.layer;

import io.github.dl4jlora.onnx.graph.Attribute;
import io.github.dl4jlora.onnx.graph.Flow;
import io.github.dl4jlora.onnx.graph.OnnxGraph;
import io.github.dl4jlora.onnx.graph.Weight;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.layers.AbstractLSTM;
import org.deeplearning4j.nn.conf.layers.BaseRecurrentLayer;
import org.deeplearning4j.nn.conf.layers.GravesBidirectionalLSTM;
import org.deeplearning4j.nn.conf.layers.GravesLSTM;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.recurrent.SimpleRnn;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.activations.IActivation;
import org.nd4j.linalg.activations.impl.ActivationHardSigmoid;
import org.nd4j.linalg.activations.impl.ActivationIdentity;
import org.nd4j.linalg.activations.impl.ActivationReLU;
import org.nd4j.linalg.activations.impl.ActivationSigmoid;
import org.nd4j.linalg.activations.impl.ActivationSoftSign;
import org.nd4j.linalg.activations.impl.ActivationTanH;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;

/**
 * Layers with a state. ONNX's operators LSTM and RNN are used where they compute the same; a loop (Scan) where they do not: for
 * other activations, and for the masks of simple layers, which set the state to zero.
 *
 * <p>DL4J's LSTM has W [inputs, 4 units] and RW [units, 4 units] or, with peepholes, [units, 4 units + 3]. The four blocks of
 * columns are the candidate, the forget gate, the output gate and the input gate (I, F, O, G in DL4J's words); the last three
 * columns are the peepholes of F and O and G, of which O sees the new state. ONNX has the same four the other way round (i, o,
 * f, c), transposed, and the peepholes in the order i, o, f.
 */
final class RecurrentLayers {

    /** Drives a gate of a masked step to zero. */
    private static final double SHUT = -1e6;

    /** What ONNX calls DL4J's activations in its recurrent operators. */
    private static final Map<Class<?>, String> NAMES = Map.of(ActivationSigmoid.class, "Sigmoid", ActivationTanH.class, "Tanh",
            ActivationReLU.class, "Relu", ActivationSoftSign.class, "Softsign", ActivationHardSigmoid.class, "HardSigmoid",
            ActivationIdentity.class, "Affine");

    private RecurrentLayers() {
    }

    static void addTo(Exports exports) {
        exports.layer(LSTM.class, (layer, input, here) -> lstm(layer, input, null, here));
        exports.layer(GravesLSTM.class, (layer, input, here) -> lstm(layer, input, null, here));
        exports.layer(GravesBidirectionalLSTM.class, (layer, input, here) -> bothWays(layer, input, input.mask(), here));
        exports.layer(SimpleRnn.class, (layer, input, here) -> simple(layer, input, input.mask(), here));
    }

    /**
     * Writes a recurrent layer whose mask a wrapper has set. On their own, DL4J's LSTM and GravesLSTM ignore masks.
     *
     * @return null for a layer of another class
     */
    static @Nullable Flow masked(BaseRecurrentLayer layer, Flow input, Place here) {
        if (layer.getClass() == LSTM.class || layer.getClass() == GravesLSTM.class) {
            return lstm((AbstractLSTM) layer, input, input.mask(), here);
        }
        return here.exports().layer(layer, input, here);
    }

    private static Flow lstm(AbstractLSTM layer, Flow input, @Nullable String mask, Place here) {
        Cell cell = new Cell("W", "RW", "b", layer.getActivationFn(), layer.getGateActivationFn(), layer instanceof GravesLSTM,
                layer.getNOut());
        return around(layer, input, here, steps -> cell.add(steps, mask, false, here));
    }

    private static Flow bothWays(GravesBidirectionalLSTM layer, Flow input, @Nullable String mask, Place here) {
        Cell forward = new Cell("WF", "RWF", "bF", layer.getActivationFn(), layer.getGateActivationFn(), true, layer.getNOut());
        Cell backward = new Cell("WB", "RWB", "bB", layer.getActivationFn(), layer.getGateActivationFn(), true, layer.getNOut());
        return around(layer, input, here, steps -> here.graph().add("Add", forward.add(steps, mask, false, here),
                backward.add(steps, mask, true, here)));
    }

    private static Flow around(BaseRecurrentLayer layer, Flow input, Place here, UnaryOperator<String> cell) {
        RNNFormat format = layer.getRnnDataFormat();
        String steps = cell.apply(Sequences.timeFirst(input.name(), format, here.graph()));
        return input.to(Sequences.batchFirst(steps, format, here.graph()), here.output());
    }

    /**
     * A direction of an LSTM.
     *
     * @param input     key of the weights of the input
     * @param recurrent key of the weights of the state
     * @param bias      key of the biases
     * @param peepholes whether gates see the state of the cell
     */
    private record Cell(String input, String recurrent, String bias, IActivation activation, IActivation gate, boolean peepholes,
                        long units) {

        /** From [time, batch, inputs] to [time, batch, units]. */
        String add(String steps, @Nullable String mask, boolean backward, Place here) {
            boolean shuts = gate instanceof ActivationSigmoid || gate instanceof ActivationHardSigmoid;
            if (names(gate, activation) && (mask == null || shuts)) {
                return operator(steps, mask, backward, here);
            }
            String ordered = backward ? Sequences.reversed(steps, 0, here.graph()) : steps;
            String maskOrdered = mask == null || !backward ? mask : Sequences.reversed(mask, 1, here.graph());
            String results = loop(ordered, maskOrdered, here);
            return backward ? Sequences.reversed(results, 0, here.graph()) : results;
        }

        private String operator(String steps, @Nullable String mask, boolean backward, Place here) {
            OnnxGraph graph = here.graph();
            Weight w = here.weight(input);
            String x = steps;
            String weights = graph.weight(w.mapped("/iofc", new long[]{1, 4 * units, w.shape()[0]}, this::blocks).withAxis(1));
            if (mask != null) {
                x = graph.concat(2, List.of(x, graph.add("Sub", graph.number(1), Sequences.maskTimeFirst(mask, graph))));
                weights = graph.concat(2, List.of(weights, graph.weight(new Weight(here.name() + "/shut", new long[]{1, 4 * units, 1},
                        this::shut, -1))));
            }
            String zeros = graph.weight(here.weight(bias).mapped("/iofc", new long[]{1, 8 * units},
                    b -> Nd4j.concat(0, blocks(b).reshape(4 * units), Nd4j.zeros(b.dataType(), 4 * units))));
            List<String> operands = new ArrayList<>(List.of(x, weights, graph.weight(here.weight(recurrent)
                    .mapped("/iofc", new long[]{1, 4 * units, units}, this::blocks).withAxis(1)), zeros));
            if (peepholes) {
                operands.addAll(List.of("", "", "", graph.weight(here.weight(recurrent).mapped("/peepholes",
                        new long[]{1, 3 * units}, rw -> Nd4j.concat(0, peephole(rw, 2), peephole(rw, 1), peephole(rw, 0))))));
            }
            List<Attribute> attributes = new ArrayList<>(activations(gate, activation, activation));
            attributes.add(Attribute.of("hidden_size", units));
            attributes.add(Attribute.of("direction", backward ? "reverse" : "forward"));
            return graph.squeeze(graph.add("LSTM", operands, attributes.toArray(Attribute[]::new)), 1);
        }

        private String loop(String steps, @Nullable String mask, Place here) {
            OnnxGraph graph = here.graph();
            String b = graph.weight(here.weight(bias).reshaped(4 * units));
            String z = graph.add("Add", graph.add("MatMul", steps, graph.weight(here.weight(input).withAxis(1))), b);
            Weight rw = here.weight(recurrent);
            String r = graph.weight(peepholes ? rw.mapped("/ifog", new long[]{units, 4 * units},
                    all -> all.get(NDArrayIndex.all(), NDArrayIndex.interval(0, 4 * units))).withAxis(1) : rw.withAxis(1));
            List<String> seen = new ArrayList<>();
            for (int i = 0; peepholes && i < 3; i++) {
                int column = i;
                seen.add(graph.weight(rw.mapped("/peephole" + i, new long[]{units}, all -> peephole(all, column))));
            }
            String zero = zeros(steps, units, graph);
            List<String> sequences = mask == null ? List.of(z) : List.of(z, Sequences.maskTimeFirst(mask, graph));
            return graph.scan(List.of(zero, zero), sequences, in -> {
                String sum = graph.add("Add", in.get(2), graph.add("MatMul", in.get(0), r));
                List<String> parts = graph.add(4, "Split", List.of(sum, graph.ints(units, units, units, units)),
                        Attribute.of("axis", 1));
                String old = in.get(1);
                String candidate = Activations.gate(activation, parts.get(0), -1, here);
                String forget = Activations.gate(gate, peep(parts.get(1), old, seen, 0, graph), -1, here);
                String let = Activations.gate(gate, peep(parts.get(3), old, seen, 2, graph), -1, here);
                String state = graph.add("Add", graph.add("Mul", forget, old), graph.add("Mul", let, candidate));
                String out = Activations.gate(gate, peep(parts.get(2), state, seen, 1, graph), -1, here);
                String h = graph.add("Mul", out, Activations.gate(activation, state, -1, here));
                if (mask != null) {
                    h = graph.add("Mul", h, in.get(3));
                    state = graph.add("Mul", state, in.get(3));
                }
                return List.of(h, state, h);
            });
        }

        private static String peep(String z, String state, List<String> seen, int which, OnnxGraph graph) {
            return seen.isEmpty() ? z : graph.add("Add", z, graph.add("Mul", state, seen.get(which)));
        }

        /** From columns I, F, O, G to rows i, o, f, c. */
        private INDArray blocks(INDArray columns) {
            INDArray matrix = columns.rank() == 1 ? columns.reshape(1, columns.length()) : columns;
            INDArray[] blocks = new INDArray[4];
            int[] order = {3, 2, 1, 0};
            for (int i = 0; i < 4; i++) {
                blocks[i] = matrix.get(NDArrayIndex.all(), NDArrayIndex.interval(order[i] * units, (order[i] + 1) * units));
            }
            return Nd4j.concat(1, blocks).transpose();
        }

        private INDArray peephole(INDArray recurrent, int column) {
            return recurrent.getColumn(4 * units + column).reshape(units);
        }

        /** Shuts the gates i, o and f, the first three blocks. */
        private INDArray shut() {
            float[] values = new float[(int) (4 * units)];
            Arrays.fill(values, 0, (int) (3 * units), (float) SHUT);
            return Nd4j.createFromArray(values);
        }
    }

    private static Flow simple(SimpleRnn layer, Flow input, @Nullable String mask, Place here) {
        if (layer.hasLayerNorm()) {
            throw here.refusal("DL4J itself cannot compute a SimpleRnn with layer normalisation", "Leave layer normalisation out");
        }
        boolean operator = mask == null && names(layer.getActivationFn());
        return around(layer, input, here, steps -> operator ? simpleOperator(layer, steps, here) : simpleLoop(layer, steps, mask, here));
    }

    private static String simpleOperator(SimpleRnn layer, String steps, Place here) {
        OnnxGraph graph = here.graph();
        long units = layer.getNOut();
        Weight w = here.weight("W");
        String bias = graph.weight(here.weight("b").mapped("/both", new long[]{1, 2 * units},
                b -> Nd4j.concat(0, b.reshape(units), Nd4j.zeros(b.dataType(), units))));
        List<Attribute> attributes = new ArrayList<>(activations(layer.getActivationFn()));
        attributes.add(Attribute.of("hidden_size", units));
        return graph.squeeze(graph.add("RNN", List.of(steps,
                graph.weight(w.mapped("/rows", new long[]{1, units, w.shape()[0]}, INDArray::transpose).withAxis(1)),
                graph.weight(here.weight("RW").mapped("/rows", new long[]{1, units, units}, INDArray::transpose).withAxis(1)), bias),
                attributes.toArray(Attribute[]::new)), 1);
    }

    private static String simpleLoop(SimpleRnn layer, String steps, @Nullable String mask, Place here) {
        OnnxGraph graph = here.graph();
        long units = layer.getNOut();
        String r = graph.weight(here.weight("RW").withAxis(1));
        String biased = graph.add("Add", graph.add("MatMul", steps, graph.weight(here.weight("W").withAxis(1))),
                graph.weight(here.weight("b").reshaped(units)));
        List<String> sequences = mask == null ? List.of(biased) : List.of(biased, Sequences.maskTimeFirst(mask, graph));
        return graph.scan(List.of(zeros(steps, units, graph)), sequences, in -> {
            String z = graph.add("Add", in.get(1), graph.add("MatMul", in.get(0), r));
            String h = Activations.gate(layer.getActivationFn(), z, -1, here);
            if (mask != null) {
                h = graph.add("Mul", h, in.get(2));
            }
            return List.of(h, h);
        });
    }

    /** A state [batch, units] of zeros, for steps [time, batch, size]. */
    static String zeros(String steps, long units, OnnxGraph graph) {
        return graph.add("ConstantOfShape", graph.concat(0, List.of(graph.size(steps, 1), graph.ints(units))));
    }

    private static boolean names(IActivation... activations) {
        return Arrays.stream(activations).allMatch(activation -> NAMES.containsKey(activation.getClass())
                && (!(activation instanceof ActivationReLU) || activation.equals(new ActivationReLU())));
    }

    /** The attributes of ONNX's recurrent operators. */
    private static List<Attribute> activations(IActivation... activations) {
        List<Double> alpha = new ArrayList<>();
        List<Double> beta = new ArrayList<>();
        for (IActivation activation : activations) {
            if (activation instanceof ActivationHardSigmoid || activation instanceof ActivationIdentity) {
                alpha.add(activation instanceof ActivationHardSigmoid ? 0.2 : 1);
                beta.add(activation instanceof ActivationHardSigmoid ? 0.5 : 0);
            }
        }
        List<Attribute> attributes = new ArrayList<>(List.of(Attribute.of("activations",
                Arrays.stream(activations).map(activation -> NAMES.get(activation.getClass())).toArray(String[]::new))));
        if (!alpha.isEmpty()) {
            attributes.add(Attribute.of("activation_alpha", alpha.stream().mapToDouble(Double::doubleValue).toArray()));
            attributes.add(Attribute.of("activation_beta", beta.stream().mapToDouble(Double::doubleValue).toArray()));
        }
        return attributes;
    }
}
