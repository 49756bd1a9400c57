package io.github.dl4jlora.internal.engine;

import io.github.dl4jlora.internal.blas.Blas;
import io.github.dl4jlora.internal.blas.Route;
import io.github.dl4jlora.internal.common.Named;
import io.github.dl4jlora.internal.run.Routing;
import io.github.dl4jlora.variant.LowRankPath;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.List;
import java.util.Map;

/**
 * Low-rank paths of several adapters, each for an interval of rows; all rows share one product with W.
 */
public final class RoutedPath implements LowRankPath {

    private final Routing routing;

    RoutedPath(Routing routing) {
        this.routing = routing;
    }

    @Override
    public void forward(INDArray x, INDArray z, boolean training, LayerWorkspaceMgr workspaces) {
        List<Route> routes = routing.forRows(x.size(0));
        if (Blas.addLowRank(x, z, routes)) {
            return;
        }
        for (Route route : routes) {
            boolean all = route.to() - route.from() == x.size(0);
            INDArray input = all ? x : route.rowsOf(x);
            INDArray output = all ? z : route.rowsOf(z);
            INDArray b = route.b();
            INDArray down = workspaces.createUninitialized(ArrayType.FF_WORKING_MEM, x.dataType(), input.size(0),
                    route.a().size(1));
            Blas.gemm(input, route.a(), down, false, false, 1, 0);
            if (all || z.ordering() == 'c') {
                Blas.gemm(down, b, output, false, false, route.factor(), 1);
            } else {
                // A route's rows of a column-major array have gaps between columns, which gemm's result must not have.
                INDArray share = workspaces.createUninitialized(ArrayType.FF_WORKING_MEM, z.dataType(), input.size(0), z.size(1));
                output.addi(Blas.gemm(down, b, share, false, false, route.factor(), 0));
            }
        }
    }

    @Override
    public void backward(INDArray x, INDArray dz, Map<String, INDArray> gradients, @Nullable INDArray dx,
                         LayerWorkspaceMgr workspaces) {
        throw new IllegalStateException(Named.layer(routing.layer())
                + " serves the adapters of a bank and cannot be trained");
    }

    @Override
    public boolean isReady() {
        return false;
    }

    @Override
    public void forget() {
        // Nothing is kept.
    }
}
