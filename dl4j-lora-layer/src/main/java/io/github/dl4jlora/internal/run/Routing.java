package io.github.dl4jlora.internal.run;

import io.github.dl4jlora.internal.kernel.Route;

import java.util.List;
import java.util.function.BooleanSupplier;
import java.util.stream.IntStream;

/**
 * What runs in place of an adapted parameter's own adapter, while a network serves several.
 *
 * @param layer    its name, for messages
 * @param examples how many there are in the batch; 0: any number, and each route is for all of them
 * @param inOrder  asked where the layer has several rows for an example: whether these are known to be the first example's,
 *                 then the second's, and so on
 * @param routes   by examples
 */
record Routing(String layer, long examples, BooleanSupplier inOrder, List<Route> routes) {

    /**
     * The routes by rows of an input.
     *
     * @param rows how many it has
     * @throws AdaptedRuntime.RowsMismatchException if nobody knows which example a row belongs to
     */
    List<Route> forRows(long rows) {
        if (examples == 0) {
            return routes.stream().map(route -> route.over(0, rows)).toList();
        }
        if (routes.isEmpty()) {
            return routes;
        }
        long each = rows / examples;
        if (rows % examples != 0 || each > 1 && !inOrder.getAsBoolean()) {
            throw new AdaptedRuntime.RowsMismatchException(Named.layer(layer) + " gets " + rows + " rows for a batch of "
                    + examples + ", so that a row is no example");
        }
        return routes.stream().map(route -> route.times(each)).toList();
    }

    /**
     * The routes of a layer that cannot tell rows apart.
     *
     * @throws AdaptedRuntime.RowsMismatchException if not all are for all rows
     */
    List<Route> forAll() {
        if (!routes.isEmpty() && examples != 0) {
            throw new AdaptedRuntime.RowsMismatchException(Named.layer(layer)
                    + " runs on W + s·A·B, one set of weights for all rows");
        }
        return routes;
    }

    /** Whether two of them compute the same, by the identity of the matrices. */
    boolean isSameAs(Routing other) {
        return other != null && routes.size() == other.routes.size()
                && IntStream.range(0, routes.size()).allMatch(i -> routes.get(i).isSameAs(other.routes.get(i)));
    }
}
