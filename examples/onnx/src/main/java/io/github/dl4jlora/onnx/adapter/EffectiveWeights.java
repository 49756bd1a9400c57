package io.github.dl4jlora.onnx.adapter;

import io.github.dl4jlora.onnx.adapter.GraphInputs.LowRank;
import io.github.dl4jlora.onnx.adapter.Input.Matrix;
import io.github.dl4jlora.onnx.adapter.Input.Values;
import io.github.dl4jlora.onnx.adapter.Pick.Factors;
import io.github.dl4jlora.onnx.graph.OnnxGraph;
import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.IntToLongFunction;
import java.util.stream.IntStream;

/** Weights with adapters in them, W + A·(s·B) or what replaces W, for nodes that have no low-rank path beside them. */
final class EffectiveWeights {

    private static final int FEW = 4;

    private final OnnxGraph graph;
    private final Map<String, AdaptedWeight> adapted;
    private final GraphInputs inputs;
    private final Map<String, String> effective = new HashMap<>();

    /** @param adapted by tensor */
    EffectiveWeights(OnnxGraph graph, Map<String, AdaptedWeight> adapted, GraphInputs inputs) {
        this.graph = graph;
        this.adapted = adapted;
        this.inputs = inputs;
    }

    /** The weight with the adapters in it, shaped as the weight. */
    String of(String tensor) {
        String known = effective.get(tensor);
        if (known != null) {
            return known;
        }
        AdaptedWeight weight = Objects.requireNonNull(adapted.get(tensor));
        graph.enter(weight.name());
        String made = made(tensor, weight);
        if (made == null) {
            made = sliced(tensor, weight.picks());
        }
        if (made == null) {
            made = gathered(tensor, weight.picks());
        }
        effective.put(tensor, made);
        return made;
    }

    /** A weight that one input is all of; null if it is not. */
    private @Nullable String made(String tensor, AdaptedWeight weight) {
        if (weight.matrix() != null) {
            return sum(tensor, weight.matrix(), Objects.requireNonNull(weight.factors()));
        }
        Map.Entry<Input, Pick> first = weight.picks().entrySet().iterator().next();
        return weight.picks().size() == 1 && first.getKey() instanceof Values replaced && first.getValue().isWhole()
                ? replacement(replaced, first.getValue()) : null;
    }

    private String sum(String tensor, Matrix matrix, Factors factors) {
        String product = graph.add("MatMul", inputs.a(matrix, factors), inputs.b(matrix, factors));
        String sum = graph.add("Add", tensor, shaped(product, factors));
        String magnitude = inputs.magnitude(matrix, factors);
        if (magnitude == null) {
            return sum;
        }
        long[] broadcast = factors.shape().clone();
        for (int i = 0; i < broadcast.length; i++) {
            broadcast[i] = factors.isColumn()[i] ? broadcast[i] : 1;
        }
        return graph.add("Mul", sum, graph.reshape(magnitude, broadcast));
    }

    private String replacement(Values replaced, Pick pick) {
        String input = inputs.of(replaced);
        if (pick.isIdentity(replaced.count())) {
            return Arrays.equals(pick.shape(), replaced.shape()) ? input : graph.reshape(input, pick.shape());
        }
        long columns = replaced.count() / (replaced.shape().length == 0 ? 1 : replaced.shape()[0]);
        Factors factors = pick.factors((int) columns);
        if (factors != null) {
            String matrix = replaced.shape().length == 2 ? input : graph.reshape(input, -1, columns);
            return shaped(inputs.columns(inputs.rows(matrix, replaced.count() / columns, factors), columns, factors, 1), factors);
        }
        return graph.add("Gather", graph.reshape(input, -1), numbers(pick, i -> pick.ids()[i] - 1));
    }

    /** A matrix with the rows and columns of a weight, in the weight's shape. */
    private String shaped(String matrix, Factors factors) {
        long[] shape = factors.shape();
        List<Integer> order = new ArrayList<>();
        for (boolean columns : new boolean[]{false, true}) {
            for (int i = 0; i < shape.length; i++) {
                if (factors.isColumn()[i] == columns) {
                    order.add(i);
                }
            }
        }
        String shaped = graph.reshape(matrix, order.stream().mapToLong(i -> shape[i]).toArray());
        int[] back = new int[shape.length];
        for (int i = 0; i < back.length; i++) {
            back[order.get(i)] = i;
        }
        boolean inOrder = true;
        for (int i = 0; i < back.length; i++) {
            inOrder &= back[i] == i;
        }
        return inOrder ? shaped : graph.transpose(shaped, back);
    }

    /** A weight of a few parts each of which is of one input, such as both directions of a recurrent layer; else null. */
    private @Nullable String sliced(String tensor, Map<Input, Pick> picks) {
        long[] shape = picks.values().iterator().next().shape();
        if (shape.length < 2 || shape[0] < 2 || shape[0] > FEW) {
            return null;
        }
        List<String> parts = new ArrayList<>();
        for (int i = 0; i < shape[0]; i++) {
            String part = graph.slice(tensor, 0, i, i + 1);
            Map<Input, Pick> inside = new HashMap<>();
            for (Map.Entry<Input, Pick> each : picks.entrySet()) {
                Pick slice = each.getValue().slice(i);
                if (!slice.isEmpty()) {
                    inside.put(each.getKey(), slice);
                }
            }
            String changed = inside.isEmpty() ? part : made(part, AdaptedWeight.of(inside));
            if (changed == null) {
                return null;
            }
            parts.add(changed);
        }
        return graph.concat(0, parts);
    }

    /** Any other weight, value by value. */
    private String gathered(String tensor, Map<Input, Pick> picks) {
        String changed = tensor;
        for (Map.Entry<Input, Pick> each : picks.entrySet()) {
            changed = each.getKey() instanceof Values replaced ? replacedIn(changed, replaced, each.getValue())
                    : addedTo(changed, (Matrix) each.getKey(), each.getValue());
        }
        return changed;
    }

    private String replacedIn(String tensor, Values replaced, Pick pick) {
        // Behind the input's values are those of the weight itself.
        String pool = graph.concat(0, List.of(graph.reshape(inputs.of(replaced), -1), graph.reshape(tensor, -1)));
        int[] ids = pick.ids();
        return graph.add("Gather", pool, numbers(pick, i -> ids[i] == 0 ? replaced.count() + i : ids[i] - 1));
    }

    private String addedTo(String tensor, Matrix matrix, Pick pick) {
        LowRank own = inputs.of(matrix);
        int[] ids = pick.ids();
        String product = padded(graph.add("MatMul", own.a(), own.b()), 0);
        String sum = graph.add("Add", tensor, graph.add("Gather", product, numbers(pick, i -> ids[i])));
        return own.magnitude() == null ? sum : graph.add("Mul", sum, graph.add("Gather", padded(own.magnitude(), 1),
                numbers(pick, i -> ids[i] == 0 ? 0 : (ids[i] - 1) % matrix.nOut() + 1)));
    }

    /** A tensor's values behind one that stands for values of other inputs. */
    private String padded(String tensor, double first) {
        return graph.concat(0, List.of(graph.unsqueeze(graph.number(first), 0), graph.reshape(tensor, -1)));
    }

    private String numbers(Pick pick, IntToLongFunction number) {
        return graph.reshape(graph.ints(IntStream.range(0, pick.ids().length).mapToLong(number).toArray()), pick.shape());
    }
}
