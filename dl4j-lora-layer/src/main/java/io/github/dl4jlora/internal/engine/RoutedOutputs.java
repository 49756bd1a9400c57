package io.github.dl4jlora.internal.engine;

import io.github.dl4jlora.internal.blas.Route;
import io.github.dl4jlora.internal.run.Routing;
import io.github.dl4jlora.variant.LayerWeights;
import io.github.dl4jlora.variant.OutputScale;
import io.github.dl4jlora.variant.Variant;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Broadcast;
import org.nd4j.linalg.factory.Nd4j;

import java.util.List;
import java.util.Map;

/** What routes do to a layer's outputs beside adding a product: they multiply, and have biases of their own. */
final class RoutedOutputs {

    private RoutedOutputs() {
    }

    /**
     * Multiplies the outputs of those rows whose route says so, in place.
     *
     * @param product {@code [rows, nOut, …]}, with as many rows as the layer's input, or a multiple of them
     */
    static void scale(KernelRuntime layer, INDArray product) {
        for (Route route : routes(layer, product)) {
            if (route.scale() != null) {
                INDArray rows = route.rowsOf(product);
                if (rows.rank() == 2) {
                    rows.muliRowVector(route.scale());
                } else {
                    Broadcast.mul(rows, route.scale().reshape(route.scale().length()), rows, 1);
                }
            }
        }
    }

    /**
     * Replaces the layer's bias by that of the routes which have one, in place.
     *
     * @param z   as for {@link #scale}, to which the layer's bias has been added
     * @param own the layer's; null if it has none
     */
    static void replaceBias(KernelRuntime layer, INDArray z, INDArray own) {
        for (Route route : routes(layer, z)) {
            if (route.bias() != null) {
                INDArray more = own == null ? route.bias() : route.bias().sub(own.reshape(route.bias().shape()));
                INDArray rows = route.rowsOf(z);
                if (rows.rank() == 2) {
                    rows.addiRowVector(more);
                } else {
                    Broadcast.add(rows, more.reshape(more.length()), rows, 1);
                }
            }
        }
    }

    private static List<Route> routes(KernelRuntime layer, INDArray outputs) {
        Routing routing = layer.routing();
        if (routing == null || !routing.doesMoreThanAdding()) {
            return List.of();
        }
        long rows = layer.input().size(0);
        long each = outputs.size(0) / rows;
        return layer.paths(rows).stream().map(route -> route.times(each)).toList();
    }

    /**
     * What an adapter of a layer multiplies by.
     *
     * @param layer on whose W the adapter is
     * @param type  the network's
     * @param nOut  the layer's
     * @return {@code [1, nOut]}; null for one that only adds
     */
    static INDArray scaleOf(LayerWeights layer, Variant variant, Map<String, INDArray> parts, double factor,
            DataType type, long nOut) {
        OutputScale scale = variant.scale(new StandingIn(layer, parts, factor));
        if (scale == null) {
            return null;
        }
        INDArray ones = Nd4j.ones(type, 1, nOut);
        scale.forward(ones, false, LayerWorkspaceMgr.noWorkspaces());
        return ones;
    }

    /** A layer with another adapter. */
    private record StandingIn(LayerWeights layer, Map<String, INDArray> parts, double factor) implements LayerWeights {

        @Override
        public INDArray weights() {
            return layer.weights();
        }

        @Override
        public boolean hasFixedWeights() {
            return layer.hasFixedWeights();
        }

        @Override
        public INDArray parameter(String part, boolean training, LayerWorkspaceMgr workspaces) {
            return parts.get(part);
        }
    }
}
