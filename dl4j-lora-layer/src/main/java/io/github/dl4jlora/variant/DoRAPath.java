package io.github.dl4jlora.variant;

import io.github.dl4jlora.internal.kernel.KeptArrays;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.HashMap;
import java.util.Map;

/**
 * Scales what the plain path computes, column by column:
 *
 * <pre>
 * forward    p = x·W + s·x·A·B     c = m / ‖V‖     z = c ⊙ p
 * backward   dm = Σ dz ⊙ p / ‖V‖                   dp = c ⊙ dz     sum over the minibatch; ‖V‖ is a constant
 * </pre>
 */
final class DoRAPath implements LowRankPath {

    private static final String[] KEYS = {Variant.A, Variant.B, Variant.START_A, Variant.START_B};

    private final Host layer;
    private final LowRankPath plain;
    private INDArray squares;
    private INDArray p;
    private INDArray norms;
    private INDArray c;

    DoRAPath(Host layer) {
        this.layer = layer;
        this.plain = layer.lowRank();
    }

    @Override
    public void forward(INDArray x, INDArray z, boolean training, LayerWorkspaceMgr workspaces) {
        plain.forward(x, z, training, workspaces);
        Map<String, INDArray> parameters = new HashMap<>();
        for (String key : KEYS) {
            parameters.put(key, layer.parameter(key, training, workspaces));
        }
        INDArray m = layer.parameter(DoRA.MAGNITUDE, training, workspaces);
        // As coarse as the magnitude, so that their ratio is 1 at the start in any type.
        INDArray v = ColumnNorms.ofSum(layer.weights(), squares(), parameters, layer.factor());
        v = v.castTo(m.dataType()).castTo(v.dataType());
        INDArray scale = m.castTo(v.dataType()).div(v).castTo(z.dataType());
        if (training) {
            p = workspaces.dup(ArrayType.ACTIVATIONS, z, z.ordering());
            norms = workspaces.dup(ArrayType.ACTIVATIONS, v.castTo(z.dataType()));
            c = workspaces.dup(ArrayType.ACTIVATIONS, scale);
        }
        z.muliRowVector(scale);
    }

    private INDArray squares() {
        if (!layer.hasFixedWeights()) {
            return ColumnNorms.squares(layer.weights());
        }
        if (squares == null) {
            try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
                squares = ColumnNorms.squares(layer.weights());
            }
        }
        return squares;
    }

    @Override
    public INDArray toProduct(INDArray dz, Map<String, INDArray> gradients) {
        gradients.get(DoRA.MAGNITUDE).assign(p.muli(dz).sum(true, 0).divi(norms));
        return dz.muliRowVector(c);
    }

    @Override
    public void backward(INDArray x, INDArray dz, Map<String, INDArray> gradients, INDArray dx, LayerWorkspaceMgr workspaces) {
        plain.backward(x, dz, gradients, dx, workspaces);
    }

    @Override
    public boolean isReady() {
        return KeptArrays.isUsable(p) && plain.isReady();
    }

    @Override
    public void forget() {
        p = null;
        norms = null;
        c = null;
        plain.forget();
    }
}
