package io.github.dl4jlora.internal.engine;

import io.github.dl4jlora.internal.blas.Blas;
import io.github.dl4jlora.internal.blas.IndexedRows;
import io.github.dl4jlora.internal.blas.Route;
import io.github.dl4jlora.internal.engine.KeptPass.Kept;
import io.github.dl4jlora.internal.kernel.EmbeddingLayout;
import io.github.dl4jlora.internal.onednn.Copies;
import io.github.dl4jlora.variant.Variant;
import org.deeplearning4j.nn.api.MaskState;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.EmbeddingSequenceLayer;
import org.deeplearning4j.nn.conf.layers.FeedForwardLayer;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.jspecify.annotations.Nullable;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.Arrays;
import java.util.List;
import java.util.Objects;

/**
 * Runs an adapted EmbeddingLayer or EmbeddingSequenceLayer. Rows of W and rows of A are looked up, and only A's rows are
 * multiplied, so that the cost of a step depends on its words and not on the vocabulary.
 *
 * <pre>
 * forward    z = W[words] + s·u·B        u = A[words]
 * backward   dB = s·uᵀ·dz                dA[words] += s·dz·Bᵀ
 *
 * words  [n]              n = minibatch, or minibatch · steps
 * W      [nIn, nOut]      frozen
 * A      [nIn, rank]
 * B      [rank, nOut]
 * u      [n, rank]
 * </pre>
 *
 * As in PEFT, the path has no dropout.
 */
final class EmbeddingRuntime extends KernelRuntime {

    private int[] words = {};

    EmbeddingRuntime(NeuralNetConfiguration conf, DataType type) {
        super(conf, type);
    }

    @Override
    KernelRuntime copy(NeuralNetConfiguration copiedConf) {
        return new EmbeddingRuntime(copiedConf, dataType);
    }

    private EmbeddingLayout layout() {
        return new EmbeddingLayout((FeedForwardLayer) Objects.requireNonNull(lora().stockLayer()));
    }

    @Override
    public Type type() {
        return layout().isSequence() ? Type.RECURRENT : Type.FEED_FORWARD;
    }

    /** As DL4J's embeddings, which have no dropout even where a network sets one for all layers: it would change the words. */
    @Override
    protected void applyDropOutIfNecessary(boolean training, LayerWorkspaceMgr workspaces) {
        // The input stays as it is.
    }

    @Override
    INDArray forward(boolean training, boolean keep, LayerWorkspaceMgr workspaces) {
        List<Route> paths = paths(input.size(0));
        words = layout().words(input, layerId());
        INDArray rows = workspaces.createUninitialized(ArrayType.ACTIVATIONS, dataType,
                new long[] {words.length, matrix().columns()}, 'c');
        matrix().pull(words, rows);
        int steps = words.length / (int) input.size(0);
        for (Route path : paths) {
            int from = (int) path.from() * steps;
            int to = (int) Math.min(words.length, Math.min(path.to(), words.length) * steps);
            int[] own = Arrays.copyOfRange(words, from, to);
            INDArray down = workspaces.createUninitialized(keep ? ArrayType.ACTIVATIONS : ArrayType.FF_WORKING_MEM, dataType,
                    new long[] {own.length, path.a().size(1)}, 'c');
            IndexedRows.pull(path.a(), own, down);
            INDArray target = own.length == words.length ? rows
                    : Nd4j.create(rows.data(), new long[] {own.length, rows.size(1)}, rows.stride(),
                    rows.offset() + from * rows.size(1), 'c');
            Blas.gemm(down, path.b(), target, false, false, path.factor(), 1);
            kept().put(Kept.U, keep ? down : null);
        }
        outputs().scale(rows, training, workspaces);
        INDArray bias = bias(training, workspaces);
        if (bias != null) {
            rows.addiRowVector(bias);
        }
        outputs().replaceBias(rows, bias);
        return layout().asInLayer(rows, input.size(0));
    }

    @Override
    @Nullable INDArray backward(INDArray delta, boolean inputGradients, LayerWorkspaceMgr workspaces) {
        Route path = ownPath();
        INDArray rows = Copies.asPlain(delta.rank() == 2 || layout().isChannelsLast() ? delta : delta.permute(0, 2, 1),
                workspaces, ArrayType.BP_WORKING_MEM);
        INDArray dz = rows.reshape('c', words.length, path.b().size(1));
        sumBiasGradient(dz, 0);
        dz = outputs().unscaled(dz);
        INDArray u = kept().get(Kept.U);
        Blas.gemm(u, dz, Objects.requireNonNull(gradientOf(Variant.B)), true, false, path.factor(), 0);
        INDArray v = workspaces.createUninitialized(ArrayType.BP_WORKING_MEM, dataType,
                new long[] {words.length, u.size(1)}, 'c');
        Blas.gemm(dz, path.b(), v, false, true, path.factor(), 0);
        INDArray gradientA = Objects.requireNonNull(gradientOf(Variant.A)).assign(0);
        IndexedRows.add(v, words, gradientA);
        return null;
    }

    @Override
    public @Nullable Pair<INDArray, MaskState> feedForwardMaskArray(@Nullable INDArray mask, MaskState state, int minibatch) {
        return feedForwardStockMask(mask, state, minibatch);
    }

    @Override
    void mask(INDArray output) {
        layout().mask(output, maskArray);
    }
}
