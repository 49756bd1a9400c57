package io.github.dl4jlora.adapter;

import io.github.dl4jlora.internal.kernel.Route;
import io.github.dl4jlora.internal.rewrite.Adaptation;
import io.github.dl4jlora.internal.rewrite.AdaptedView;
import io.github.dl4jlora.internal.run.AdaptedRuntime.RowsMismatchException;
import org.deeplearning4j.nn.api.Model;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * Networks of a bank that compute the same mixes: one of which the others are copies, and what is known of all of them.
 */
final class NetworkKind {

    /** Whose rows a layer's are that has several for an example. */
    enum RowOrder {
        /** Nobody has looked yet, or what was looked at did not tell. */
        UNKNOWN,
        /** The first example's, then the second's, and so on. */
        BY_EXAMPLE,
        /** Another, or none. */
        OTHER
    }

    /** A pass with routes. */
    interface Pass {

        /**
         * @param routes by matrix
         * @param inOrder as {@link io.github.dl4jlora.internal.run.AdaptedRuntime#route} has it
         */
        INDArray[] of(Map<String, List<Route>> routes, long examples, boolean inOrder, INDArray... inputs);
    }

    private static final double SAME = 1e-3;
    private static final double DIFFERENT = 1e-6;
    private static final int MOST_ATTEMPTS = 5;

    private final Model prototype;
    private final AdaptedView view;
    private final boolean ofOneAdapter;
    private final Set<String> whole;
    private volatile RowOrder rowOrder = RowOrder.UNKNOWN;
    private final Object learning = new Object();
    private int attempts;

    /** @param ofOneAdapter whether its networks are given the values of one adapter before they compute */
    NetworkKind(Model prototype, boolean ofOneAdapter) {
        this.prototype = prototype;
        this.view = AdaptedView.of(prototype);
        this.ofOneAdapter = ofOneAdapter;
        this.whole = view.adaptedMatrices().entrySet().stream().filter(matrix -> !matrix.getValue().tellsExamplesApart())
                .map(Map.Entry::getKey).collect(Collectors.toUnmodifiableSet());
    }

    /** Of the network that others are copies of: to be looked at, not used. */
    AdaptedView view() {
        return view;
    }

    boolean isOfOneAdapter() {
        return ofOneAdapter;
    }

    /** Matrices that are the same for all examples of a batch. */
    Set<String> wholeMatrices() {
        return whole;
    }

    Set<String> matrices() {
        return view.adaptedMatrices().keySet();
    }

    RowOrder rowOrder() {
        return rowOrder;
    }

    /** A network of the kind. DL4J does not promise that one can be copied by two threads at once. */
    synchronized Model copy() {
        return Adaptation.copy(prototype);
    }

    /**
     * Finds out by trying: two examples with two different adapters, in one pass and by themselves. Adapters for the purpose,
     * which change much, so that an order that is not there cannot pass for one that is.
     *
     * @param inputs of at least two examples; what is found out is about networks whose layers have several rows for each
     */
    RowOrder learnRowOrder(INDArray[] inputs, Pass pass) {
        // Not the lock that copies take: those who make one hold what the pass may wait for.
        synchronized (learning) {
            if (rowOrder == RowOrder.UNKNOWN) {
                try {
                    rowOrder = tried(inputs, pass);
                } catch (RowsMismatchException rowsAreNoMultiple) {
                    rowOrder = RowOrder.OTHER;
                }
            }
            return rowOrder;
        }
    }

    private RowOrder tried(INDArray[] inputs, Pass pass) {
        Map<String, Route> first = strangers(1);
        Map<String, Route> second = strangers(2);
        INDArray[][] example = {examples(inputs, 0, 1), examples(inputs, 1, 2)};
        INDArray[] together = pass.of(join(first, second), 2, true, examples(inputs, 0, 2));
        boolean same = true;
        for (int i = 0; i < 2; i++) {
            INDArray[] own = pass.of(alone(i == 0 ? first : second), 0, true, example[i]);
            INDArray[] others = pass.of(alone(i == 0 ? second : first), 0, true, example[i]);
            for (int output = 0; output < own.length; output++) {
                double difference = own[output].distance2(others[output]);
                if (!(difference > DIFFERENT * own[output].norm2Number().doubleValue())) {
                    return undecided();
                }
                long rows = own[output].size(0);
                same &= together[output].size(0) == 2 * rows && MixedBatch.interval(together[output], i * rows, (i + 1) * rows)
                        .distance2(own[output]) <= SAME * difference;
            }
        }
        return same ? RowOrder.BY_EXAMPLE : RowOrder.OTHER;
    }

    private RowOrder undecided() {
        attempts++;
        return attempts == MOST_ATTEMPTS ? RowOrder.OTHER : RowOrder.UNKNOWN;
    }

    private static INDArray[] examples(INDArray[] inputs, long from, long to) {
        return Arrays.stream(inputs).map(input -> MixedBatch.interval(input, from, to).dup()).toArray(INDArray[]::new);
    }

    private Map<String, Route> strangers(long seed) {
        Random random = new Random(seed);
        Map<String, Route> strangers = new HashMap<>();
        view.adaptedMatrices().forEach((name, matrix) -> {
            if (matrix.tellsExamplesApart()) {
                strangers.put(name, new Route(0, 0, gaussian(random, matrix.a().dataType(), matrix.parameter().nIn(), 1)
                        .divi(Math.sqrt(matrix.parameter().nIn())),
                        gaussian(random, matrix.a().dataType(), 1, matrix.parameter().nOut()), 1));
            }
        });
        return strangers;
    }

    private static INDArray gaussian(Random random, DataType type, long... shape) {
        return Nd4j.createFromArray(random.doubles(shape[0] * shape[1]).map(value -> random.nextGaussian()).toArray())
                .castTo(type).reshape(shape);
    }

    private Map<String, List<Route>> alone(Map<String, Route> routes) {
        return routes.entrySet().stream().collect(Collectors.toMap(Map.Entry::getKey, entry -> List.of(entry.getValue())));
    }

    private Map<String, List<Route>> join(Map<String, Route> first, Map<String, Route> second) {
        return first.entrySet().stream().collect(Collectors.toMap(Map.Entry::getKey, entry ->
                List.of(entry.getValue().over(0, 1), second.get(entry.getKey()).over(1, 2))));
    }
}
