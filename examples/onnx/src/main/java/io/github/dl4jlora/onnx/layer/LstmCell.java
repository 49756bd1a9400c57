package io.github.dl4jlora.onnx.layer;

import io.github.dl4jlora.onnx.graph.Attribute;
import io.github.dl4jlora.onnx.graph.OnnxGraph;
import io.github.dl4jlora.onnx.graph.Weight;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.activations.IActivation;
import org.nd4j.linalg.activations.impl.ActivationHardSigmoid;
import org.nd4j.linalg.activations.impl.ActivationSigmoid;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * An LSTM in one direction.
 *
 * <p>DL4J has W [inputs, 4 units] and RW [units, 4 units] or, with peepholes, [units, 4 units + 3]. The four blocks of columns
 * are the candidate, the forget gate, the output gate and the input gate (I, F, O, G in DL4J's words); the last three columns are
 * the peepholes of F, O and G, of which O sees the new state. ONNX has the blocks the other way round (i, o, f, c), transposed,
 * and the peepholes in the order i, o, f.
 *
 * @param input      key of the weights of the input
 * @param recurrent  key of the weights of the state
 * @param bias       key of the biases
 * @param activation of the candidate, and of the state in the output
 * @param gate       activation of the gates
 * @param peepholes  whether gates see the state of the cell
 */
record LstmCell(String input, String recurrent, String bias, IActivation activation, IActivation gate, boolean peepholes,
                long units) {

    /** Drives a gate of a masked step to zero. */
    private static final float SHUT = -1e6f;

    /**
     * Adds it to the graph. A mask sets the state and the output of its steps to zero.
     *
     * @param steps [time, batch, inputs]
     * @param mask  [batch, time]
     * @return [time, batch, units]
     */
    String add(String steps, @Nullable String mask, boolean backward, Place here) {
        boolean shuts = gate instanceof ActivationSigmoid || gate instanceof ActivationHardSigmoid;
        if (RecurrentActivations.known(gate, activation) && (mask == null || shuts)) {
            return operator(steps, mask, backward, here);
        }
        OnnxGraph graph = here.graph();
        if (!backward) {
            return loop(steps, mask, here);
        }
        String turned = mask == null ? null : Sequences.reversed(mask, 1, graph);
        return Sequences.reversed(loop(Sequences.reversed(steps, 0, graph), turned, here), 0, graph);
    }

    /** A masked step has one more input, which is 1 and shuts all gates. */
    private String operator(String steps, @Nullable String mask, boolean backward, Place here) {
        OnnxGraph graph = here.graph();
        long inputs = here.weight(input).shape()[0];
        String x = steps;
        String w = graph.weight(here.weight(input).mapped("/iofc", new long[]{1, 4 * units, inputs}, this::blocks).withAxis(1));
        if (mask != null) {
            x = graph.concat(2, List.of(x, graph.add("Sub", graph.number(1), Sequences.maskTimeFirst(mask, graph))));
            Weight shut = new Weight(here.name() + "/shut", new long[]{1, 4 * units, 1}, this::shut, -1);
            w = graph.concat(2, List.of(w, graph.weight(shut)));
        }
        String r = graph.weight(here.weight(recurrent).mapped("/iofc", new long[]{1, 4 * units, units}, this::blocks)
                .withAxis(1));
        String b = graph.weight(here.weight(bias).mapped("/iofc", new long[]{1, 8 * units},
                both -> Nd4j.concat(0, blocks(both).reshape(4 * units), Nd4j.zeros(both.dataType(), 4 * units))));
        List<String> operands = new ArrayList<>(List.of(x, w, r, b));
        if (peepholes) {
            operands.addAll(List.of("", "", "", graph.weight(here.weight(recurrent).mapped("/peepholes", new long[]{1, 3 * units},
                    all -> Nd4j.concat(0, peephole(all, 2), peephole(all, 1), peephole(all, 0))))));
        }
        return graph.squeeze(graph.add("LSTM", operands, RecurrentActivations.attributes(units,
                List.of(gate, activation, activation), Attribute.of("direction", backward ? "reverse" : "forward"))), 1);
    }

    private String loop(String steps, @Nullable String mask, Place here) {
        OnnxGraph graph = here.graph();
        String z = here.product(steps, input, bias);
        Weight rw = here.weight(recurrent);
        String r = graph.weight(peepholes ? rw.mapped("/ifog", new long[]{units, 4 * units},
                all -> all.get(NDArrayIndex.all(), NDArrayIndex.interval(0, 4 * units))).withAxis(1) : rw.withAxis(1));
        List<String> seen = new ArrayList<>();
        for (int i = 0; peepholes && i < 3; i++) {
            int column = i;
            seen.add(graph.weight(rw.mapped("/peephole" + i, new long[]{units}, all -> peephole(all, column))));
        }
        String zeros = RecurrentLayers.zeros(steps, units, graph);
        List<String> sequences = mask == null ? List.of(z) : List.of(z, Sequences.maskTimeFirst(mask, graph));
        return graph.scan(List.of(zeros, zeros), sequences, in -> {
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
        for (int i = 0; i < 4; i++) {
            blocks[i] = matrix.get(NDArrayIndex.all(), NDArrayIndex.interval((3 - i) * units, (4 - i) * units));
        }
        return Nd4j.concat(1, blocks).transpose();
    }

    private INDArray peephole(INDArray all, int column) {
        return all.getColumn(4 * units + column).reshape(units);
    }

    /** For the rows of i, o and f. */
    private INDArray shut() {
        float[] values = new float[(int) (4 * units)];
        Arrays.fill(values, 0, (int) (3 * units), SHUT);
        return Nd4j.createFromArray(values);
    }
}
