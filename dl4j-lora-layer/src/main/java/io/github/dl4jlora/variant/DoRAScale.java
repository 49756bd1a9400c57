package io.github.dl4jlora.variant;

import io.github.dl4jlora.internal.blas.KeptArrays;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Broadcast;
import org.nd4j.linalg.factory.Nd4j;

import java.util.HashMap;
import java.util.Map;
import java.util.Objects;
import java.util.function.Function;
import java.util.stream.IntStream;

/**
 * Magnitudes divided by norms, output by output:
 *
 * <pre>
 * forward    c = m / ‖V‖            z  = c ⊙ p
 * backward   dm = Σ dz ⊙ p / ‖V‖    dp = c ⊙ dz     sum over all but the outputs; ‖V‖ is a constant
 * </pre>
 *
 * In inference, c is kept from one pass to the next while the layer's state is the same.
 */
final class DoRAScale implements OutputScale {

    private static final String[] KEYS = {Variant.A, Variant.B, Variant.START_A, Variant.START_B};

    private final LayerWeights layer;
    private @Nullable INDArray squares;
    private @Nullable INDArray p;
    private @Nullable INDArray norms;
    private @Nullable INDArray c;
    private @Nullable Object servedState;
    private @Nullable INDArray served;

    DoRAScale(LayerWeights layer) {
        this.layer = layer;
    }

    @Override
    public void forward(INDArray product, boolean training, LayerWorkspaceMgr workspaces) {
        if (!training) {
            multiply(product, served(workspaces));
            return;
        }
        INDArray v = norms(true, workspaces);
        p = workspaces.dup(ArrayType.ACTIVATIONS, product, product.ordering());
        norms = workspaces.dup(ArrayType.ACTIVATIONS, v.castTo(product.dataType()));
        c = workspaces.dup(ArrayType.ACTIVATIONS, scale(v, true, workspaces));
        multiply(product, c);
    }

    private static void multiply(INDArray product, INDArray scale) {
        if (product.rank() == 2) {
            product.muliRowVector(scale);
        } else {
            Broadcast.mul(product, scale.reshape(scale.length()), product, 1);
        }
    }

    private INDArray served(LayerWorkspaceMgr workspaces) {
        Object state = layer.state();
        if (state == null) {
            return scale(norms(false, workspaces), false, workspaces);
        }
        if (served == null || state != servedState) {
            try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
                served = scale(norms(false, workspaces), false, workspaces);
            }
            servedState = state;
        }
        return served;
    }

    private INDArray scale(INDArray v, boolean training, LayerWorkspaceMgr workspaces) {
        INDArray m = Objects.requireNonNull(layer.parameter(DoRA.MAGNITUDE, training, workspaces));
        return m.castTo(v.dataType()).div(v).castTo(m.dataType());
    }

    private INDArray norms(boolean training, LayerWorkspaceMgr workspaces) {
        Map<String, INDArray> parameters = new HashMap<>();
        for (String key : KEYS) {
            INDArray parameter = layer.parameter(key, training, workspaces);
            if (parameter != null) {
                parameters.put(key, parameter);
            }
        }
        INDArray w = layer.weights();
        return ColumnNorms.rounded(ColumnNorms.ofSum(w, squares(w), parameters, layer.factor()), w.dataType());
    }

    private INDArray squares(INDArray w) {
        if (!layer.hasFixedWeights()) {
            return ColumnNorms.squares(w);
        }
        if (squares == null) {
            try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
                squares = ColumnNorms.squares(w);
            }
        }
        return squares;
    }

    @Override
    public INDArray backward(INDArray dz, Function<String, INDArray> gradients) {
        int[] others = IntStream.range(0, dz.rank()).filter(dimension -> dimension != 1).toArray();
        INDArray dm = gradients.apply(DoRA.MAGNITUDE);
        dm.assign(Objects.requireNonNull(p).muli(dz).sum(others).reshape(dm.shape()).divi(norms));
        multiply(dz, Objects.requireNonNull(c));
        return dz;
    }

    @Override
    public boolean isReady() {
        return KeptArrays.isUsable(p);
    }

    @Override
    public void forget() {
        p = null;
        norms = null;
        c = null;
    }
}
