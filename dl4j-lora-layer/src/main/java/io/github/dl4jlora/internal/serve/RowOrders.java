package io.github.dl4jlora.internal.serve;

import io.github.dl4jlora.internal.blas.Route;
import io.github.dl4jlora.internal.common.GuardedBy;
import io.github.dl4jlora.internal.common.Views;
import io.github.dl4jlora.internal.inspect.AdaptedView.AdaptedMatrix;
import io.github.dl4jlora.internal.run.Routing.RowsMismatchException;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Predicate;

/**
 * Finds out which rows are whose, where matrices or outputs have several rows for an example: whether those of the first example
 * come first, then those of the second, and so on. Each matrix is tried once, with two examples and an adapter for each, in one
 * pass and each by itself. The adapters are made for the trial and change much, so that another order cannot pass for this one.
 * One matrix is tried at a time, so that a strong one does not hide a weak one. Where that leaves the order of outputs open, as
 * where there is no adapter or a matrix has its rows in another order, the examples are compared without adapters.
 */
final class RowOrders {

    /** A pass with routes. */
    interface Pass {

        /**
         * @param routes  by matrix
         * @param inOrder is asked for each matrix that has several rows for an example
         */
        INDArray[] of(Map<String, List<Route>> routes, long examples, Predicate<String> inOrder, Features features);
    }

    private enum Order {
        UNKNOWN, BY_EXAMPLE, OTHER
    }

    /** The largest distance from what is expected, as a part of what another adapter changes. */
    private static final double SAME = 1e-3;
    /** Relative change that rounding may cause. */
    private static final double ROUNDING = 1e-6;
    /** Relative change that rounding cannot cause. */
    private static final double DIFFERENT = 1e-5;
    private static final int MOST_DOUBLINGS = 10;

    private final Map<String, Order> matrices = new ConcurrentHashMap<>();
    /** Volatile, since every pass asks for it, while a trial may hold the lock for long. */
    private volatile Order outputs = Order.UNKNOWN;
    /** How many trials in a row told nothing, as those with examples of zeros do. */
    @GuardedBy("this")
    private int inVain;
    /** For how many batches there is no further trial. */
    @GuardedBy("this")
    private int toSkip;

    /** Whether a matrix's rows are known to lie by example. */
    boolean isByExample(String matrix) {
        return matrices.get(matrix) == Order.BY_EXAMPLE;
    }

    /** Whether none of them is known to have its rows in another order. */
    boolean mayBeByExample(Collection<String> names) {
        return names.stream().noneMatch(name -> matrices.get(name) == Order.OTHER);
    }

    /** Whether the rows of outputs are known to lie by example. */
    boolean areOutputsByExample() {
        return outputs == Order.BY_EXAMPLE;
    }

    boolean areOutputsInAnotherOrder() {
        return outputs == Order.OTHER;
    }

    boolean areOutputsUnknown() {
        return outputs == Order.UNKNOWN;
    }

    /**
     * Tries the matrices of a kind that have several rows for an example of these inputs, and the outputs.
     *
     * @param inputs of at least two examples
     * @return whether anything was found out
     */
    synchronized boolean learn(NetworkKind kind, Features inputs, Pass pass) {
        if (toSkip > 0) {
            toSkip--;
            return false;
        }
        boolean learned = learnMatrices(kind, inputs, pass);
        if (outputs == Order.UNKNOWN) {
            learned |= triedOutputs(inputs, pass);
        }
        inVain = learned ? 0 : Math.min(inVain + 1, MOST_DOUBLINGS);
        toSkip = learned ? 0 : (1 << inVain) - 1;
        return learned;
    }

    private boolean learnMatrices(NetworkKind kind, Features inputs, Pass pass) {
        boolean learned = false;
        try {
            List<String> several = several(kind, examples(inputs, 0, 2), pass);
            for (String matrix : several.isEmpty() ? anyOf(kind) : several) {
                learned |= matrices.get(matrix) == null
                        && tried(matrix, Objects.requireNonNull(kind.view().adaptedMatrices().get(matrix)),
                        several.contains(matrix), inputs, pass);
            }
        } catch (RowsMismatchException rowsAreNoMultiple) {
            // So it is with these inputs, and may be different with others.
        }
        return learned;
    }

    /** Matrices with several rows for each of two examples. */
    private static List<String> several(NetworkKind kind, Features two, Pass pass) {
        Set<String> asked = new HashSet<>();
        Map<String, List<Route>> routes = new HashMap<>();
        kind.view().adaptedMatrices().forEach((name, matrix) -> {
            if (matrix.tellsExamplesApart()) {
                routes.put(name, List.of(stranger(matrix, 1).over(0, 2)));
            }
        });
        pass.of(routes, 2, matrix -> {
            asked.add(matrix);
            return true;
        }, two);
        return kind.matrices().stream().filter(asked::contains).toList();
    }

    private static List<String> anyOf(NetworkKind kind) {
        return kind.matrices().stream().filter(name -> !kind.wholeMatrices().contains(name)).limit(1).toList();
    }

    private boolean tried(String name, AdaptedMatrix matrix, boolean hasSeveral, Features inputs, Pass pass) {
        Route[] strangers = {stranger(matrix, 1), stranger(matrix, 2)};
        INDArray[] together = pass.of(Map.of(name, List.of(strangers[0].over(0, 1), strangers[1].over(1, 2))), 2, asked -> true,
                examples(inputs, 0, 2));
        boolean same = true;
        for (int i = 0; i < 2; i++) {
            Features example = examples(inputs, i, i + 1);
            INDArray[] own = pass.of(Map.of(name, List.of(strangers[i])), 0, asked -> true, example);
            INDArray[] others = pass.of(Map.of(name, List.of(strangers[1 - i])), 0, asked -> true, example);
            boolean tells = false;
            for (int output = 0; output < own.length; output++) {
                double difference = own[output].distance2(others[output]);
                double norm = own[output].norm2Number().doubleValue();
                if (!Double.isFinite(difference)) {
                    return false;
                }
                tells |= difference > DIFFERENT * norm;
                long rows = own[output].size(0);
                same &= together[output].size(0) == 2 * rows
                        && isSame(Views.rows(together[output], i * rows, (i + 1) * rows), own[output], difference, norm);
            }
            if (!tells) {
                return false;
            }
        }
        if (hasSeveral) {
            matrices.put(name, same ? Order.BY_EXAMPLE : Order.OTHER);
        }
        if (Arrays.stream(together).anyMatch(output -> output.size(0) != 2) && (same || !hasSeveral)) {
            outputs = same ? Order.BY_EXAMPLE : Order.OTHER;
        }
        return true;
    }

    /** As {@link #tried}, without adapters. Nothing is found out where a row of each example by turns would look the same. */
    private boolean triedOutputs(Features inputs, Pass pass) {
        INDArray[] together = pass.of(Map.of(), 2, asked -> true, examples(inputs, 0, 2));
        if (Arrays.stream(together).allMatch(output -> output.size(0) == 2)) {
            return false;
        }
        INDArray[] first = pass.of(Map.of(), 1, asked -> true, examples(inputs, 0, 1));
        INDArray[] second = pass.of(Map.of(), 1, asked -> true, examples(inputs, 1, 2));
        boolean same = true;
        for (int output = 0; output < together.length; output++) {
            if (together[output].size(0) != 2) {
                INDArray byExample = Nd4j.concat(0, first[output], second[output]);
                INDArray byTurns = Nd4j.stack(1, first[output], second[output]).reshape('c', byExample.shape());
                double difference = byExample.distance2(byTurns);
                double norm = byExample.norm2Number().doubleValue();
                if (!(difference > DIFFERENT * norm) || !Double.isFinite(difference)) {
                    return false;
                }
                same &= isSame(together[output], byExample, difference, norm);
            }
        }
        outputs = same ? Order.BY_EXAMPLE : Order.OTHER;
        return true;
    }

    /** @param difference that another order, or another adapter, would make */
    private static boolean isSame(INDArray rows, INDArray expected, double difference, double norm) {
        return rows.size(0) == expected.size(0)
                && rows.distance2(expected) <= Math.max(SAME * difference, ROUNDING * norm);
    }

    private static Features examples(Features inputs, long from, long to) {
        return inputs.rows(from, to).map(INDArray::dup);
    }

    /** An adapter of rank 1 that changes much. */
    private static Route stranger(AdaptedMatrix matrix, long seed) {
        Random random = new Random(seed);
        long nIn = matrix.parameter().nIn();
        DataType type = matrix.a().dataType();
        return new Route(0, 0, gaussian(random, type, nIn, 1).divi(Math.sqrt(nIn)),
                gaussian(random, type, 1, matrix.parameter().nOut()), 1);
    }

    private static INDArray gaussian(Random random, DataType type, long... shape) {
        double[] values = new double[(int) (shape[0] * shape[1])];
        Arrays.setAll(values, i -> random.nextGaussian());
        return Nd4j.createFromArray(values).castTo(type).reshape(shape);
    }
}
