package io.github.dl4jlora.internal.engine;

import io.github.dl4jlora.internal.blas.Route;
import io.github.dl4jlora.internal.run.Routing;
import io.github.dl4jlora.variant.LayerWeights;
import io.github.dl4jlora.variant.OutputScale;
import io.github.dl4jlora.variant.Variant;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Broadcast;
import org.nd4j.linalg.factory.Nd4j;

import java.util.List;
import java.util.Map;

/**
 * What happens to a layer's outputs besides adding products: the layer's variant, or routes, may multiply them, and routes may
 * have biases of their own.
 */
final class LayerOutputs {

    private final KernelRuntime layer;
    private @Nullable OutputScale own;

    LayerOutputs(KernelRuntime layer) {
        this.layer = layer;
    }

    /**
     * Multiplies outputs, in place, by what the variant says or, if other adapters run here, by what their routes say.
     *
     * @param product {@code [rows, nOut, …]}, with as many rows as the layer's input, or a multiple of them
     */
    void scale(INDArray product, boolean training, LayerWorkspaceMgr workspaces) {
        if (own == null) {
            own = layer.lora().settings().variant().scale(layer);
        }
        if (layer.routing() != null) {
            scaleRouted(product);
        } else if (own != null) {
            own.forward(product, training, workspaces);
        }
    }

    private void scaleRouted(INDArray product) {
        for (Route route : routes(product)) {
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
     * The backward pass of {@link #scale}.
     *
     * @param dz may be overwritten
     */
    INDArray unscaled(INDArray dz) {
        return own == null ? dz : own.backward(dz, layer::gradientOf);
    }

    /** Whether what {@link #scale} kept is still there. */
    boolean isReady() {
        return own == null || own.isReady();
    }

    /** Drops what {@link #scale} kept. */
    void forget() {
        if (own != null) {
            own.forget();
        }
    }

    /** To be called when the layer's variant, or what it was made of, has been replaced. */
    void rebuild() {
        own = null;
    }

    /**
     * Replaces the layer's bias, in place, by that of each route that has one.
     *
     * @param z    as for {@link #scale}, to which the layer's bias has been added
     * @param bias the layer's; null if it has none
     */
    void replaceBias(INDArray z, @Nullable INDArray bias) {
        for (Route route : routes(z)) {
            if (route.bias() != null) {
                INDArray more = bias == null ? route.bias() : route.bias().sub(bias.reshape(route.bias().shape()));
                INDArray rows = route.rowsOf(z);
                if (rows.rank() == 2) {
                    rows.addiRowVector(more);
                } else {
                    Broadcast.add(rows, more.reshape(more.length()), rows, 1);
                }
            }
        }
    }

    private List<Route> routes(INDArray outputs) {
        Routing routing = layer.routing();
        if (routing == null || !routing.doesMoreThanAdding()) {
            return List.of();
        }
        long rows = layer.input().size(0);
        long each = outputs.size(0) / rows;
        return layer.paths(rows).stream().map(route -> route.times(each)).toList();
    }

    /**
     * The factors by which an adapter of a layer multiplies outputs.
     *
     * @param layer on whose W the adapter is
     * @param type  the network's
     * @param nOut  the layer's
     * @return {@code [1, nOut]}; null for an adapter that only adds
     */
    static @Nullable INDArray scaleOf(LayerWeights layer, Variant variant, Map<String, INDArray> parts, double factor,
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
        public @Nullable INDArray parameter(String part, boolean training, LayerWorkspaceMgr workspaces) {
            return parts.get(part);
        }
    }
}
