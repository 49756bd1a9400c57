package io.github.dl4jlora.internal.run;

import io.github.dl4jlora.layer.LoRADenseLayer;
import io.github.dl4jlora.layer.LowRankLayer;
import io.github.dl4jlora.internal.kernel.KeptArrays;
import io.github.dl4jlora.variant.LowRankPath;
import io.github.dl4jlora.variant.Variant;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.HashMap;
import java.util.Map;

/**
 * The low-rank path computed by the DL4J runtime of {@link LowRankLayer} on the same A and B.
 */
public final class SameDiffPath implements LowRankPath {

    private final LoRADenseRuntime layer;
    private final LowRankRuntime path;

    SameDiffPath(LoRADenseRuntime layer, LoRADenseLayer conf) {
        this.layer = layer;
        LowRankLayer pathConf = new LowRankLayer.Builder().name(conf.getLayerName()).nIn(conf.getNIn()).nOut(conf.getNOut())
                .rank(conf.getRank()).alpha(conf.getAlpha()).scaling(conf.getScaling())
                .loraDropout(conf.getLoraDropout()).build();
        NeuralNetConfiguration inner = layer.conf().clone();
        inner.setLayer(pathConf);
        this.path = new LowRankRuntime(inner, layer.getDataType());
        path.setParamTable(Map.of(Variant.A, layer.value(Variant.A), Variant.B, layer.value(Variant.B)));
    }

    @Override
    public void forward(INDArray x, INDArray z, boolean training, LayerWorkspaceMgr workspaces) {
        path.setIterationCount(layer.getIterationCount());
        path.setEpochCount(layer.getEpochCount());
        path.setInput(x, workspaces);
        z.addi(path.activate(training, workspaces));
    }

    @Override
    public void backward(INDArray x, INDArray dz, Map<String, INDArray> gradients, INDArray dx, LayerWorkspaceMgr workspaces) {
        Map<String, INDArray> lent = new HashMap<>(gradients);
        // Autodiff computes both, wanted or not.
        lent.computeIfAbsent(Variant.A, key -> layer.value(key).ulike());
        path.lendGradients(lent);
        INDArray share = path.backpropGradient(dz, workspaces).getSecond();
        if (dx != null) {
            dx.addi(share);
        }
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
