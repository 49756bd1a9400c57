package io.github.dl4jlora.internal.engine;

import io.github.dl4jlora.internal.blas.Blas;
import io.github.dl4jlora.internal.blas.KeptArrays;
import io.github.dl4jlora.internal.blas.Scratch;
import io.github.dl4jlora.internal.kernel.OutlivingArrays;
import io.github.dl4jlora.variant.LowRankPath;
import io.github.dl4jlora.variant.Variant;
import org.deeplearning4j.nn.conf.dropout.Dropout;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.Map;
import java.util.Objects;

/**
 * The low-rank path in six slim matrix products, or five if nobody needs dx:
 *
 * <pre>
 * forward    u = x·A             z  += s·u·B
 * backward   v = dz·Bᵀ           dB  = s·uᵀ·dz      dA = s·xᵀ·v      dx += s·v·Aᵀ
 *
 * u, v  [minibatch, rank]
 * </pre>
 *
 * u is kept from the training forward pass. If A does not train, dA is not formed, and a dropped x is not kept. Every product
 * goes through {@code Blas.gemm}, which takes operands in any order; {@code mmul} copies some of them first.
 */
public final class FusedPath implements LowRankPath {

    private final DenseRuntime layer;
    private final double factor;
    private final boolean trainsA;
    private final @Nullable Dropout dropout;
    private final Scratch downs = new Scratch();
    private final Scratch ups = new Scratch();
    private @Nullable INDArray u;
    private @Nullable INDArray dropped;

    FusedPath(DenseRuntime layer) {
        this.layer = layer;
        this.factor = layer.factor();
        this.trainsA = layer.trains(Variant.A);
        double loraDropout = layer.lora().settings().loraDropout();
        this.dropout = loraDropout == 0 ? null : new Dropout(1 - loraDropout);
    }

    @Override
    public void forward(INDArray x, INDArray z, boolean training, LayerWorkspaceMgr workspaces) {
        INDArray a = parameter(Variant.A, training, workspaces);
        INDArray b = parameter(Variant.B, training, workspaces);
        INDArray input = x;
        if (training && dropout != null) {
            ArrayType lifetime = trainsA ? ArrayType.INPUT : ArrayType.FF_WORKING_MEM;
            LayerWorkspaceMgr outliving = OutlivingArrays.in(workspaces);
            input = dropout.applyDropout(x, outliving.createUninitialized(lifetime, x.dataType(), x.shape(), x.ordering()),
                    layer.getIterationCount(), layer.getEpochCount(), outliving);
            dropped = trainsA ? input : null;
        }
        INDArray down = downs.of(x.dataType(), x.size(0), a.size(1));
        Blas.gemm(input, a, down, false, false, 1, 0);
        Blas.gemm(down, b, z, false, false, factor, 1);
        u = training ? down : null;
    }

    private INDArray parameter(String key, boolean training, LayerWorkspaceMgr workspaces) {
        return Objects.requireNonNull(layer.parameter(key, training, workspaces));
    }

    @Override
    public void backward(INDArray x, INDArray dz, Map<String, INDArray> gradients, @Nullable INDArray dx,
                         LayerWorkspaceMgr workspaces) {
        INDArray a = parameter(Variant.A, true, workspaces);
        INDArray b = parameter(Variant.B, true, workspaces);
        INDArray down = Objects.requireNonNull(u);
        Blas.gemm(down, dz, Objects.requireNonNull(gradients.get(Variant.B)), true, false, factor, 0);
        if (!trainsA && dx == null) {
            return;
        }
        INDArray v = ups.of(dz.dataType(), down.size(0), down.size(1));
        Blas.gemm(dz, b, v, false, true, 1, 0);
        if (trainsA) {
            INDArray from = dropout == null ? x : Objects.requireNonNull(dropped);
            Blas.gemm(from, v, Objects.requireNonNull(gradients.get(Variant.A)), true, false, factor, 0);
        }
        if (dx == null) {
            return;
        }
        if (dropout == null) {
            Blas.gemm(v, a, dx, false, true, factor, 1);
        } else {
            INDArray share = workspaces.createUninitialized(ArrayType.BP_WORKING_MEM, dx.dataType(), dx.shape(), x.ordering());
            Blas.gemm(v, a, share, false, true, factor, 0);
            dropout.backprop(share, share, layer.getIterationCount(), layer.getEpochCount());
            dx.addi(share);
        }
    }

    @Override
    public boolean isReady() {
        return KeptArrays.isUsable(u) && (dropout == null || !trainsA || KeptArrays.isUsable(dropped));
    }

    @Override
    public void forget() {
        u = null;
        dropped = null;
        if (dropout != null) {
            dropout.clear();
        }
    }
}
