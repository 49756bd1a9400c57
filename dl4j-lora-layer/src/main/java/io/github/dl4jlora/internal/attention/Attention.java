package io.github.dl4jlora.internal.attention;

import io.github.dl4jlora.internal.blas.GrowingScratch;
import io.github.dl4jlora.internal.blas.KeptArrays;
import io.github.dl4jlora.internal.blas.Route;
import io.github.dl4jlora.internal.kernel.KernelWeights;
import io.github.dl4jlora.internal.run.AdaptedProduct;
import io.github.dl4jlora.internal.run.SlimGradients;
import io.github.dl4jlora.variant.Variant;
import org.deeplearning4j.nn.gradient.DefaultGradient;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.Consumer;

/**
 * Attention of several heads (Vaswani et al. 2017, arXiv:1706.03762), as DL4J computes it, on frozen weights, with low-rank paths
 * beside those that are adapted:
 *
 * <pre>
 * Q = x·Wq     K = y·Wk     V = v·Wv              [minibatch · steps, heads · size]
 * P = softmax(Q·Kᵀ / √size + (mask - 1) · 1e9)    [queries, keys], of each head of each example
 * z = (P·V)·Wo                                    [minibatch · queries, nOut]
 *
 * dV = Pᵀ·dO    dP = dO·Vᵀ    dS = P ⊙ (dP - rowsum(P ⊙ dP))    dQ = dS·K / √size    dK = dSᵀ·Q / √size
 * </pre>
 *
 * Q, K, V and P·V are kept for the backward pass. P is computed again, as by Dao et al. 2022 (arXiv:2205.14135): keeping it would
 * take steps / size times as much memory as Q.
 */
final class Attention {

    private static final List<String> PROJECTIONS = List.of("Wq", "Wk", "Wv");
    private static final String OUT = "Wo";

    private final AttentionForm form;
    private final DataType type;
    private @Nullable KernelWeights weights;
    private boolean stops;
    private Map<String, INDArray> gradients = Map.of();
    private @Nullable Pass pass;
    private final Softmax softmax = new Softmax();
    private final GrowingScratch slim = new GrowingScratch();
    private final GrowingScratch scores = new GrowingScratch();
    private final GrowingScratch scoreGradients = new GrowingScratch();

    /** What a pass in training keeps. */
    private record Pass(List<INDArray> projected, INDArray attended) {

        boolean isUsable() {
            return KeptArrays.isUsable(attended) && projected.stream().allMatch(KeptArrays::isUsable);
        }
    }

    Attention(AttentionForm form, DataType type) {
        this.form = form;
        this.type = type;
    }

    /**
     * To be called once, before the first pass.
     *
     * @param isLast whether no backward pass ever follows, so that nothing is kept for it
     */
    void attach(KernelWeights own, boolean isLast) {
        weights = own;
        stops = isLast;
    }

    KernelWeights weights() {
        return Objects.requireNonNull(weights);
    }

    void setGradients(Map<String, INDArray> views) {
        gradients = views;
    }

    /** Drops what the last pass kept: to be called if inputs, masks or weights are others. */
    void drop() {
        pass = null;
    }

    /** Whether a forward pass keeps what its backward pass needs. */
    boolean keeps(boolean training) {
        return training && !stops;
    }

    /** Whether a backward pass can follow. */
    boolean isReady() {
        return pass != null && pass.isUsable();
    }

    /** The inputs' size that a projection takes. */
    long nIn(int input) {
        return weights().matrix(PROJECTIONS.get(input)).rows();
    }

    private AdaptedProduct product(String key, INDArray x, long examples) {
        long steps = x.size(0) / examples;
        List<Route> paths = weights().paths(key, examples).stream().map(path -> path.times(steps)).toList();
        return new AdaptedProduct(weights().matrix(key), paths, slim);
    }

    private INDArray times(String key, INDArray x, long examples, ArrayType lifetime, LayerWorkspaceMgr workspaces) {
        AdaptedProduct product = product(key, x, examples);
        INDArray z = workspaces.createUninitialized(lifetime, type, new long[] {x.size(0), product.columns()}, 'c');
        product.times(x, z);
        return z;
    }

    /**
     * @param inputs   rows of queries, keys and values, {@link Sequences} all
     * @param examples in the batch
     * @param mask     for each example a factor for each key; null for none
     * @param keep     whether a backward pass may follow
     * @return rows of outputs
     */
    INDArray forward(List<INDArray> inputs, long examples, double @Nullable [][] mask, boolean keep,
                     LayerWorkspaceMgr workspaces) {
        pass = null;
        ArrayType lifetime = keep ? ArrayType.ACTIVATIONS : ArrayType.FF_WORKING_MEM;
        List<INDArray> projected = new ArrayList<>();
        for (int i = 0; i < PROJECTIONS.size(); i++) {
            projected.add(times(PROJECTIONS.get(i), inputs.get(i), examples, lifetime, workspaces));
        }
        INDArray q = projected.get(0);
        INDArray attended = workspaces.createUninitialized(lifetime, type, q.shape(), 'c');
        forEachHead(examples, head -> head.apply(probabilities(head, projected, mask), false, projected.get(2), attended, 1));
        INDArray output = times(OUT, attended, examples, ArrayType.ACTIVATIONS, workspaces);
        pass = keep ? new Pass(projected, attended) : null;
        return output;
    }

    private void forEachHead(long examples, Consumer<Head> action) {
        for (long example = 0; example < examples; example++) {
            for (int head = 0; head < form.heads(); head++) {
                action.accept(new Head(form, examples, example, head));
            }
        }
    }

    private INDArray probabilities(Head head, List<INDArray> projected, double @Nullable [][] mask) {
        INDArray p = room(scores, head, projected);
        head.outer(projected.get(0), projected.get(1), p, scale());
        softmax.forward(p, mask == null ? null : mask[(int) head.example()]);
        return p;
    }

    private INDArray room(GrowingScratch scratch, Head head, List<INDArray> projected) {
        return scratch.of(type, projected.get(0).size(0) / head.examples(), projected.get(1).size(0) / head.examples());
    }

    private double scale() {
        return 1 / Math.sqrt(form.size());
    }

    /**
     * Writes the gradients of the adapters.
     *
     * @param inputs   those of the forward pass, which has been kept
     * @param mask     as there
     * @param dOutput  dL/d(outputs), rows
     * @param dInputs  where dL/d(inputs) goes, rows; null where nobody needs it. An array that is there more than once gets the
     *                 sum
     * @return gradients of the adapters
     */
    Gradient backward(List<INDArray> inputs, long examples, double @Nullable [][] mask, INDArray dOutput,
                      List<@Nullable INDArray> dInputs, LayerWorkspaceMgr workspaces) {
        Pass kept = Objects.requireNonNull(pass);
        List<INDArray> projected = kept.projected();
        INDArray dAttended = room(kept.attended(), workspaces);
        AdaptedProduct out = product(OUT, kept.attended(), examples);
        gradients(OUT, out, kept.attended(), dOutput);
        out.timesTransposed(dOutput, dAttended);
        List<INDArray> dProjected = projected.stream().map(like -> room(like, workspaces)).toList();
        forEachHead(examples, head -> {
            INDArray p = probabilities(head, projected, mask);
            INDArray dScores = room(scoreGradients, head, projected);
            head.outer(dAttended, projected.get(2), dScores, 1);
            head.apply(p, true, dAttended, dProjected.get(2), 1);
            softmax.backward(p, dScores);
            head.apply(dScores, false, projected.get(1), dProjected.get(0), scale());
            head.apply(dScores, true, projected.get(0), dProjected.get(1), scale());
        });
        for (int i = 0; i < PROJECTIONS.size(); i++) {
            AdaptedProduct product = product(PROJECTIONS.get(i), inputs.get(i), examples);
            gradients(PROJECTIONS.get(i), product, inputs.get(i), dProjected.get(i));
            INDArray dInput = dInputs.get(i);
            if (dInput != null && !isAmong(dInput, dInputs.subList(0, i))) {
                product.timesTransposed(dProjected.get(i), dInput);
            } else if (dInput != null) {
                INDArray share = room(dInput, workspaces);
                product.timesTransposed(dProjected.get(i), share);
                dInput.addi(share);
            }
        }
        pass = null;
        Gradient gradient = new DefaultGradient();
        gradients.forEach(gradient::setGradientFor);
        return gradient;
    }

    private INDArray room(INDArray like, LayerWorkspaceMgr workspaces) {
        return workspaces.createUninitialized(ArrayType.BP_WORKING_MEM, type, like.shape(), 'c');
    }

    @SuppressWarnings("ReferenceEquality")
    private static boolean isAmong(INDArray array, List<@Nullable INDArray> others) {
        return others.stream().anyMatch(other -> other == array);
    }

    private void gradients(String key, AdaptedProduct product, INDArray x, INDArray dz) {
        INDArray dA = weights().gradient(gradients, key, Variant.A);
        INDArray dB = weights().gradient(gradients, key, Variant.B);
        if (dA != null || dB != null) {
            SlimGradients.compute(List.of(product.gradients(x, dA, dB)), dz);
        }
    }
}
