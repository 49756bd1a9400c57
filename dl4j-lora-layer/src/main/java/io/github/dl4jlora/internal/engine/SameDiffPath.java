package io.github.dl4jlora.internal.engine;

import io.github.dl4jlora.internal.blas.KeptArrays;
import io.github.dl4jlora.variant.LowRankPath;
import io.github.dl4jlora.variant.Variant;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.HashMap;
import java.util.Map;

/**
 * The low-rank path computed by the DL4J runtime of LowRankLayer on the same A and B.
 */
public final class SameDiffPath implements LowRankPath {

    private final DenseRuntime layer;
    private final LowRankRuntime path;
    private final double scale;

    SameDiffPath(DenseRuntime layer) {
        this.layer = layer;
        this.scale = layer.adapter().switches().scale(layer.adapted().key());
        NeuralNetConfiguration inner = layer.conf().clone();
        inner.setLayer(layer.lora().lowRankLayer());
        this.path = new LowRankRuntime(inner, layer.getDataType());
        path.setParamTable(Map.of(Variant.A, layer.part(Variant.A), Variant.B, layer.part(Variant.B)));
    }

    @Override
    public void forward(INDArray x, INDArray z, boolean training, LayerWorkspaceMgr workspaces) {
        path.setIterationCount(layer.getIterationCount());
        path.setEpochCount(layer.getEpochCount());
        path.lendInput(x);
        z.addi(scaled(path.activate(training, workspaces)));
    }

    @Override
    public void backward(INDArray x, INDArray dz, Map<String, INDArray> gradients, @Nullable INDArray dx,
                         LayerWorkspaceMgr workspaces) {
        Map<String, INDArray> lent = new HashMap<>(gradients);
        // Autodiff computes both gradients, wanted or not.
        lent.computeIfAbsent(Variant.A, key -> layer.part(key).ulike());
        path.lendGradients(lent);
        INDArray share = path.backpropGradient(scaled(dz), workspaces).getSecond();
        if (dx != null) {
            dx.addi(share);
        }
    }

    /** The layer's scale is not part of the graph, in which the factor is a constant. */
    private INDArray scaled(INDArray array) {
        return scale == 1 ? array : array.mul(scale);
    }

    @Override
    public boolean isReady() {
        return KeptArrays.isUsable(path.input());
    }

    @Override
    public void forget() {
        path.clear();
    }
}
