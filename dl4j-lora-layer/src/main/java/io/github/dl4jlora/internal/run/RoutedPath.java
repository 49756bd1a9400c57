package io.github.dl4jlora.internal.run;

import io.github.dl4jlora.variant.LowRankPath;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

import java.util.List;
import java.util.Map;

/**
 * Low-rank paths of several adapters, each for an interval of rows; the product with W around it is one for all.
 */
public final class RoutedPath implements LowRankPath {

    private final String layer;
    private final long rows;
    private final List<AdaptedRuntime.Route> routes;

    RoutedPath(String layer, long rows, List<AdaptedRuntime.Route> routes) {
        this.layer = layer;
        this.rows = rows;
        this.routes = routes;
    }

    @Override
    public void forward(INDArray x, INDArray z, boolean training, LayerWorkspaceMgr workspaces) {
        if (rows != 0 && x.size(0) != rows) {
            throw new AdaptedRuntime.RowsMismatchException("Layer " + LoRAParams.quoted(layer) + " gets " + x.size(0)
                    + " rows for a batch of " + rows + ", so that a row is no example");
        }
        for (AdaptedRuntime.Route route : routes) {
            boolean all = rows == 0 || route.to() - route.from() == rows;
            INDArray input = all ? x : x.get(NDArrayIndex.interval(route.from(), route.to()), NDArrayIndex.all());
            INDArray output = all ? z : z.get(NDArrayIndex.interval(route.from(), route.to()), NDArrayIndex.all());
            INDArray a = route.a().castTo(x.dataType());
            INDArray b = route.b().castTo(x.dataType());
            INDArray down = workspaces.createUninitialized(ArrayType.FF_WORKING_MEM, x.dataType(), input.size(0), a.size(1));
            Nd4j.gemm(input, a, down, false, false, 1, 0);
            if (all || z.ordering() == 'c') {
                Nd4j.gemm(down, b, output, false, false, route.factor(), 1);
            } else {
                // Rows of a column-major array are apart, which gemm's result must not be.
                INDArray share = workspaces.createUninitialized(ArrayType.FF_WORKING_MEM, z.dataType(), input.size(0), z.size(1));
                output.addi(Nd4j.gemm(down, b, share, false, false, route.factor(), 0));
            }
        }
    }

    @Override
    public void backward(INDArray x, INDArray dz, Map<String, INDArray> gradients, INDArray dx, LayerWorkspaceMgr workspaces) {
        throw new IllegalStateException("Layer " + LoRAParams.quoted(layer)
                + " serves the adapters of a bank and cannot be trained");
    }

    @Override
    public boolean isReady() {
        return false;
    }

    @Override
    public void forget() {
        // Keeps nothing.
    }
}
