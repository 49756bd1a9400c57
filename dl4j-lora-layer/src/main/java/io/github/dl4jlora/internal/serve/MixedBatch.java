package io.github.dl4jlora.internal.serve;

import io.github.dl4jlora.internal.blas.Route;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.BiFunction;
import java.util.stream.IntStream;

/**
 * Examples of several mixes in one batch: sorted so that those of one mix lie side by side, and put back into the caller's
 * order afterwards.
 */
final class MixedBatch {

    /** Examples of one mix, from the first to before the last. */
    private record Group(ServedMix mix, long from, long to) {
    }

    private final List<Group> groups = new ArrayList<>();
    /** Where each sorted example stands in the caller's batch. */
    private final int[] order;
    /** Whether the caller's order is sorted already. */
    private final boolean inOrder;

    /** @param byExample the mix of each example, at least one */
    MixedBatch(List<ServedMix> byExample) {
        Map<ServedMix, List<Integer>> examples = new LinkedHashMap<>();
        IntStream.range(0, byExample.size())
                .forEach(i -> examples.computeIfAbsent(byExample.get(i), key -> new ArrayList<>()).add(i));
        order = examples.values().stream().flatMap(List::stream).mapToInt(Integer::intValue).toArray();
        inOrder = IntStream.range(0, order.length).allMatch(i -> order[i] == i);
        long from = 0;
        for (Map.Entry<ServedMix, List<Integer>> group : examples.entrySet()) {
            groups.add(new Group(group.getKey(), from, from + group.getValue().size()));
            from += group.getValue().size();
        }
    }

    /** The mix of the first example. */
    ServedMix first() {
        return groups.get(0).mix;
    }

    boolean isOfOneMix() {
        return groups.size() == 1;
    }

    /** Whether one network can compute all examples in one pass: routes give each example its A and B, but not its own layers. */
    boolean isOfOneNetwork() {
        NetworkKind kind = first().kind();
        return !kind.isOfOneAdapter() && groups.stream().allMatch(group -> group.mix.kind() == kind)
                && kind.wholeMatrices().stream().noneMatch(layer -> groups.stream().anyMatch(group -> group.mix.changes(layer)));
    }

    int mixes() {
        return groups.size();
    }

    int examples() {
        return order.length;
    }

    Features sorted(Features features) {
        return inOrder ? features : features.map(array -> pick(array, order));
    }

    /**
     * Puts outputs into the caller's order.
     *
     * @param outputs     of sorted inputs
     * @param rowsInOrder whether outputs with several rows for an example are known to have those of the first example first
     * @throws IllegalArgumentException if an output has several rows for an example, and nobody knows whose they are
     */
    INDArray[] restored(INDArray[] outputs, boolean rowsInOrder) {
        int[] back = new int[order.length];
        IntStream.range(0, order.length).forEach(position -> back[order[position]] = position);
        return Arrays.stream(outputs).map(output -> {
            requireExamples(output, rowsInOrder);
            return inOrder ? output : pick(output, back);
        }).toArray(INDArray[]::new);
    }

    /** Layers above a sequence make rows of its steps, in an order that only they know. */
    private void requireExamples(INDArray output, boolean rowsInOrder) {
        if (output.size(0) % examples() != 0 || output.size(0) != examples() && !rowsInOrder) {
            throw new IllegalArgumentException("The network's output has " + output.size(0) + " rows "
                    + Arrays.toString(output.shape()) + " for " + examples() + " examples, so its rows cannot be assigned to "
                    + "adapters. Ask separately for each adapter with output(name, input)");
        }
    }

    /** What a matrix computes with in place of its own adapter, by sorted examples. */
    List<Route> routes(String layer) {
        return groups.stream().flatMap(group -> group.mix.routes(layer, group.from, group.to).stream()).toList();
    }

    /** Computes the sorted examples of each mix by themselves. */
    INDArray[] oneByOne(Features sorted, BiFunction<ServedMix, Features, INDArray[]> pass) {
        return Features.joined(groups.stream().map(group -> pass.apply(group.mix, sorted.rows(group.from, group.to))).toList());
    }

    /** The examples of an array, each of one row or several, in another order. */
    private static INDArray pick(INDArray array, int[] examples) {
        // Nd4j.pullRows does not find the rows of some views.
        INDArray whole = array.ordering() == 'c' && !array.isView() ? array : array.dup('c');
        INDArray byExample = whole.reshape('c', examples.length, whole.length() / examples.length);
        return Nd4j.pullRows(byExample, 1, examples).reshape('c', array.shape());
    }
}
