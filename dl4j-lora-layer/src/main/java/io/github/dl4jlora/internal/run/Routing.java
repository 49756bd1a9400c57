package io.github.dl4jlora.internal.run;

import io.github.dl4jlora.internal.blas.Route;
import io.github.dl4jlora.internal.common.Named;
import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;
import java.util.function.BooleanSupplier;
import java.util.function.UnaryOperator;
import java.util.stream.IntStream;

/**
 * What runs in place of an adapted parameter's own adapter, while a network serves several adapters.
 *
 * @param layer    the layer's name, for messages; null for an unnamed layer
 * @param examples how many there are in the batch; 0: any number, and each route is for all of them
 * @param inOrder  asked if the layer has several rows for an example: whether these are known to be the first example's,
 *                 then the second's, and so on
 * @param routes   by examples
 */
public record Routing(@Nullable String layer, long examples, BooleanSupplier inOrder, List<Route> routes) {

    /**
     * The routes by rows of an input.
     *
     * @param rows how many the input has
     * @throws RowsMismatchException if nobody knows which example a row belongs to
     */
    public List<Route> forRows(long rows) {
        if (examples == 0) {
            return each(route -> route.over(0, rows));
        }
        if (routes.isEmpty()) {
            return routes;
        }
        long each = rows / examples;
        if (rows % examples != 0 || each > 1 && !inOrder.getAsBoolean()) {
            throw new RowsMismatchException(Named.layer(layer) + " gets " + rows + " rows for a batch of "
                    + examples + " examples, so its rows cannot be assigned to examples");
        }
        return each == 1 ? routes : each(route -> route.times(each));
    }

    /** Not a stream, since it is called for each of thousands of routes a second. */
    private List<Route> each(UnaryOperator<Route> change) {
        List<Route> changed = new ArrayList<>(routes.size());
        for (Route route : routes) {
            changed.add(change.apply(route));
        }
        return changed;
    }

    /** Whether some route does more than add a product. */
    public boolean doesMoreThanAdding() {
        for (Route route : routes) {
            if (route.scale() != null || route.bias() != null) {
                return true;
            }
        }
        return false;
    }

    /**
     * The routes of a layer that cannot tell rows apart.
     *
     * @throws RowsMismatchException if not all routes are for all rows
     */
    public List<Route> forAll() {
        if (!routes.isEmpty() && examples != 0) {
            throw new RowsMismatchException(Named.layer(layer) + " runs on W + s·A·B, one set of weights for all rows");
        }
        return routes;
    }

    /**
     * Whether both compute the same in a layer that cannot tell rows apart, by the identity of the matrices.
     *
     * @throws RowsMismatchException as {@link #forAll}
     */
    public boolean isSameForAll(@Nullable Routing other) {
        List<Route> now = forAll();
        return other != null && now.size() == other.routes.size()
                && IntStream.range(0, now.size()).allMatch(i -> now.get(i).isSameAs(other.routes.get(i)));
    }

    /** The rows of a layer's input are not the rows of the network's. */
    public static final class RowsMismatchException extends IllegalStateException {

        private static final long serialVersionUID = 1L;

        RowsMismatchException(String message) {
            super(message);
        }
    }
}
