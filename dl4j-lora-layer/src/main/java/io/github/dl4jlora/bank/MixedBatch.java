package io.github.dl4jlora.bank;

import io.github.dl4jlora.internal.kernel.Route;
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
 * Examples of several mixes in one batch: sorted, such that those of one mix lie side by side, and brought back into the
 * caller's order afterwards.
 */
final class MixedBatch {

    /** Examples of one mix, from the first to before the last. */
    private record Group(ServedMix mix, long from, long to) {
    }

    private final List<Group> groups = new ArrayList<>();
    /** Of each sorted example, the caller's. */
    private final long[] order;

    /** @param byExample the mix of each example, at least one */
    MixedBatch(List<ServedMix> byExample) {
        Map<ServedMix, List<Integer>> examples = new LinkedHashMap<>();
        IntStream.range(0, byExample.size())
                .forEach(i -> examples.computeIfAbsent(byExample.get(i), key -> new ArrayList<>()).add(i));
        order = examples.values().stream().flatMap(List::stream).mapToLong(Integer::longValue).toArray();
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

    /** Whether one network can compute all examples in one pass: routes choose A and B, but not whole layers. */
    boolean isOfOneNetwork() {
        NetworkKind kind = first().kind();
        return !kind.isOfOneAdapter() && groups.stream().allMatch(group -> group.mix.kind() == kind)
                && kind.wholeMatrices().stream().noneMatch(layer -> groups.stream().anyMatch(group -> group.mix.changes(layer)));
    }

    int examples() {
        return order.length;
    }

    INDArray[] sorted(INDArray[] inputs) {
        // ND4J finds no rows in some views.
        return Arrays.stream(inputs).map(input -> pick(input.isView() ? input.dup('c') : input, order, 1))
                .toArray(INDArray[]::new);
    }

    /**
     * @param outputs of sorted inputs
     * @param inOrder whether several rows for an example are known to be the first example's, then the second's
     * @throws IllegalArgumentException if an output has several rows for an example, and nobody knows whose they are
     */
    INDArray[] restored(INDArray[] outputs, boolean inOrder) {
        long[] back = new long[order.length];
        IntStream.range(0, order.length).forEach(position -> back[(int) order[position]] = position);
        return Arrays.stream(outputs).map(output -> pick(output, back, rowsPerExample(output, inOrder)))
                .toArray(INDArray[]::new);
    }

    /** Layers above a sequence make rows of its steps, in an order that only they know. */
    private long rowsPerExample(INDArray output, boolean inOrder) {
        long each = output.size(0) / examples();
        if (output.size(0) % examples() != 0 || each != 1 && !inOrder) {
            throw new IllegalArgumentException("The network's output has " + output.size(0) + " rows "
                    + Arrays.toString(output.shape()) + " for " + examples() + " examples, so that nobody can tell which "
                    + "adapter's they are. Ask once for each adapter with output(name, input)");
        }
        return each;
    }

    /** What stands in for a matrix's own adapter, by sorted examples. */
    List<Route> routes(String layer) {
        return groups.stream().flatMap(group -> group.mix.routes(layer, group.from, group.to).stream()).toList();
    }

    /** Computes the sorted examples of each mix by themselves. */
    INDArray[] oneByOne(INDArray[] sorted, BiFunction<ServedMix, INDArray[], INDArray[]> pass) {
        List<INDArray[]> parts = groups.stream().map(group -> pass.apply(group.mix, Arrays.stream(sorted)
                .map(input -> Route.rows(input, group.from, group.to)).toArray(INDArray[]::new))).toList();
        return IntStream.range(0, parts.get(0).length)
                .mapToObj(output -> Nd4j.concat(0, parts.stream().map(part -> part[output]).toArray(INDArray[]::new)))
                .toArray(INDArray[]::new);
    }

    private static INDArray pick(INDArray array, long[] indices, long each) {
        INDArray[] rows = Arrays.stream(indices).mapToObj(i -> Route.rows(array, i * each, (i + 1) * each))
                .toArray(INDArray[]::new);
        return Nd4j.concat(0, rows);
    }
}
