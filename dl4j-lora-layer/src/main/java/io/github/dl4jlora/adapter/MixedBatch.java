package io.github.dl4jlora.adapter;

import io.github.dl4jlora.adapter.NetworkPool.Served;
import io.github.dl4jlora.internal.kernel.Route;
import io.github.dl4jlora.internal.peft.Delta;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.INDArrayIndex;
import org.nd4j.linalg.indexing.NDArrayIndex;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.BiFunction;
import java.util.stream.IntStream;

/**
 * Rows of several adapters in one batch: sorted, such that those of one adapter lie side by side, and brought back into the
 * caller's order afterwards.
 */
final class MixedBatch {

    /** Rows of one adapter, from the first to before the last. */
    private record Group(Served served, long from, long to) {
    }

    private final List<Group> groups = new ArrayList<>();
    /** Of each sorted row, the caller's. */
    private final long[] order;

    /** @param byRow the adapter of each row, at least one */
    MixedBatch(List<Served> byRow) {
        Map<Served, List<Integer>> rows = new LinkedHashMap<>();
        IntStream.range(0, byRow.size()).forEach(row -> rows.computeIfAbsent(byRow.get(row), key -> new ArrayList<>()).add(row));
        order = rows.values().stream().flatMap(List::stream).mapToLong(Integer::longValue).toArray();
        long from = 0;
        for (Map.Entry<Served, List<Integer>> group : rows.entrySet()) {
            groups.add(new Group(group.getKey(), from, from + group.getValue().size()));
            from += group.getValue().size();
        }
    }

    /** The adapter of the first row. */
    Served first() {
        return groups.get(0).served;
    }

    boolean isOfOneAdapter() {
        return groups.size() == 1;
    }

    /** Whether one network can compute all rows in one pass: routes choose A and B, but not whole layers. */
    boolean isOfOneNetwork() {
        return first().layout().trained().isEmpty()
                && groups.stream().allMatch(group -> group.served.layout().equals(first().layout()));
    }

    int rows() {
        return order.length;
    }

    INDArray[] sorted(INDArray[] inputs) {
        return Arrays.stream(inputs).map(input -> pick(input, order)).toArray(INDArray[]::new);
    }

    /**
     * @param outputs of sorted inputs
     * @throws IllegalArgumentException if an output has another number of rows
     */
    INDArray[] restored(INDArray[] outputs) {
        long[] back = new long[order.length];
        IntStream.range(0, order.length).forEach(position -> back[(int) order[position]] = position);
        for (INDArray output : outputs) {
            requireOneRowEach(output);
        }
        return Arrays.stream(outputs).map(output -> pick(output, back)).toArray(INDArray[]::new);
    }

    /** Layers above a sequence make rows of its steps, in an order that only they know. */
    private void requireOneRowEach(INDArray output) {
        if (output.size(0) != rows()) {
            throw new IllegalArgumentException("The network's output has " + output.size(0) + " rows "
                    + Arrays.toString(output.shape()) + " for " + rows() + " examples, so that nobody can tell which adapter's "
                    + "they are. Ask once for each adapter with output(name, input)");
        }
    }

    /** Which A and B each of the sorted rows takes in a layer. */
    List<Route> routes(String layer) {
        return groups.stream().map(group -> route(group.served, layer, group.from, group.to)).toList();
    }

    /** For a batch of one adapter, of any number of rows. */
    static Route route(Served served, String layer) {
        return route(served, layer, 0, 0);
    }

    private static Route route(Served served, String layer, long from, long to) {
        Delta delta = served.adapter().content().delta(layer);
        return new Route(from, to, delta.a(), delta.b(), delta.factor());
    }

    /** Computes the sorted rows of each adapter by themselves. */
    INDArray[] oneByOne(INDArray[] sorted, BiFunction<Served, INDArray[], INDArray[]> pass) {
        List<INDArray[]> parts = groups.stream().map(group -> pass.apply(group.served, Arrays.stream(sorted)
                .map(input -> interval(input, group.from, group.to)).toArray(INDArray[]::new))).toList();
        return IntStream.range(0, parts.get(0).length)
                .mapToObj(output -> Nd4j.concat(0, parts.stream().map(part -> part[output]).toArray(INDArray[]::new)))
                .toArray(INDArray[]::new);
    }

    private static INDArray pick(INDArray array, long[] indices) {
        INDArray[] rows = Arrays.stream(indices).mapToObj(row -> interval(array, row, row + 1)).toArray(INDArray[]::new);
        return Nd4j.concat(0, rows);
    }

    private static INDArray interval(INDArray array, long from, long to) {
        INDArrayIndex[] indices = new INDArrayIndex[array.rank()];
        Arrays.fill(indices, NDArrayIndex.all());
        indices[0] = NDArrayIndex.interval(from, to);
        return array.get(indices);
    }
}
