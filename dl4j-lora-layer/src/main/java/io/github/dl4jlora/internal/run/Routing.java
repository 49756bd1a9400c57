package io.github.dl4jlora.internal.run;

import io.github.dl4jlora.internal.kernel.Route;
import org.nd4j.linalg.api.buffer.DataType;

import java.util.List;

/**
 * Which low-rank paths run in place of an adapted parameter's own, while a network serves several adapters.
 *
 * @param layer  its name, for messages
 * @param rows   how many rows the input must have; 0: any, and each route is for all of them
 * @param routes in the order of the rows
 */
record Routing(String layer, long rows, List<Route> routes) {

    /**
     * The routes for an input.
     *
     * @param actual how many rows it has
     * @param type   to cast A and B to
     * @throws AdaptedRuntime.RowsMismatchException for another number of rows than was announced
     */
    List<Route> forInput(long actual, DataType type) {
        if (rows != 0 && rows != actual) {
            throw new AdaptedRuntime.RowsMismatchException(Named.layer(layer) + " gets " + actual + " rows for a batch of " + rows
                    + ", so that a row is no example");
        }
        return routes.stream().map(route -> new Route(rows == 0 ? 0 : route.from(), rows == 0 ? actual : route.to(),
                route.a().castTo(type), route.b().castTo(type), route.factor())).toList();
    }

    /**
     * The one route of a layer that cannot tell rows apart.
     *
     * @throws AdaptedRuntime.RowsMismatchException if there are several
     */
    Route single() {
        if (routes.size() > 1) {
            throw new AdaptedRuntime.RowsMismatchException(Named.layer(layer)
                    + " runs on W + s·A·B, one set of weights for all rows");
        }
        return routes.get(0);
    }

    /** Whether two of them compute the same, by the identity of the matrices. */
    boolean isSameAs(Routing other) {
        return other != null && routes.size() == other.routes.size() && routes.get(0).a() == other.routes.get(0).a()
                && routes.get(0).b() == other.routes.get(0).b() && routes.get(0).factor() == other.routes.get(0).factor();
    }
}
