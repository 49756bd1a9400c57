package io.github.dl4jlora.variant;

import io.github.dl4jlora.variant.Parameter.Role;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.Supplier;

/**
 * Trains magnitude and direction apart:
 *
 * <pre>
 * W' = m ⊙ V / ‖V‖     V = W + s·A·B
 *
 * m    magnitude  [1, nOut]   trained; ‖W‖ at the start
 * ‖V‖  norm of each column of V, one for each output; a constant for the backward pass
 * </pre>
 *
 * Columns are outputs in every type of layer. In a convolution V is {@code [nIn·kernel, nOut]}, and so the norm is that of one
 * output's whole kernel; in an embedding V is {@code [vocabulary, nOut]}, and the norm is that of one feature over all words.
 *
 * <p>Liu et al. 2024, "DoRA: Weight-Decomposed Low-Rank Adaptation", arXiv:2402.09353, equation 5 and section 4.3; PEFT's
 * {@code use_dora}. With loraDropout, inputs of s·x·A·B alone are dropped; PEFT drops those of x·W in the magnitude's term too,
 * at the price of another product with W.
 *
 * <pre>{@code
 * LoRAConfig config = LoRAConfig.builder().rank(4).variant(new DoRA()).build();
 * }</pre>
 */
public final class DoRA extends NamedVariant {

    private static final long serialVersionUID = 1L;

    /** The variant, which has no settings. */
    public DoRA() {
    }

    /** Key of the magnitude. */
    public static final String MAGNITUDE = "m";

    @Override
    public String name() {
        return "DoRA";
    }

    @Override
    public List<Parameter> parameters(long nIn, long nOut, int rank) {
        return List.of(new Parameter(A, nIn, rank, Role.WEIGHT), new Parameter(B, rank, nOut, Role.WEIGHT),
                new Parameter(MAGNITUDE, 1, nOut, Role.MAGNITUDE));
    }

    @Override
    public void start(Map<String, INDArray> parameters, @Nullable INDArray w, double factor) {
        Objects.requireNonNull(w);
        INDArray norms = ColumnNorms.ofSum(w, ColumnNorms.squares(w), parameters, factor);
        parameters.put(MAGNITUDE, ColumnNorms.rounded(norms, w.dataType()).castTo(w.dataType()));
    }

    @Override
    public OutputScale scale(LayerWeights layer) {
        return new DoRAScale(layer);
    }

    /** Forms V, so that the merged weights do not depend on the shortcut by which the running layer finds its norms. */
    @Override
    public void merge(INDArray w, Map<String, INDArray> parameters, double factor) {
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            LowRankProduct.addTo(w, parameters, factor);
            w.muliRowVector(scale(norms(w, parameters), parameters).castTo(w.dataType()));
        }
    }

    /** dV = c ⊙ dW' and dm = Σ dW' ⊙ V / ‖V‖, sum over each column. Forms V, too. */
    @Override
    public void project(Supplier<INDArray> w, Map<String, INDArray> parameters, double factor, INDArray dw,
                        Map<String, INDArray> gradients) {
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            INDArray v = w.get().dup('f');
            LowRankProduct.addTo(v, parameters, factor);
            INDArray norms = norms(v, parameters);
            INDArray scale = scale(norms, parameters).castTo(v.dataType());
            Objects.requireNonNull(gradients.get(MAGNITUDE)).assign(v.muli(dw).sum(true, 0).divi(norms.castTo(v.dataType())));
            LowRankProduct.project(dw.mulRowVector(scale), parameters, factor, gradients);
        }
    }

    private static INDArray norms(INDArray v, Map<String, INDArray> parameters) {
        return ColumnNorms.rounded(ColumnNorms.of(v), magnitude(parameters).dataType());
    }

    private static INDArray scale(INDArray norms, Map<String, INDArray> parameters) {
        return magnitude(parameters).castTo(norms.dataType()).div(norms);
    }

    private static INDArray magnitude(Map<String, INDArray> parameters) {
        return Objects.requireNonNull(parameters.get(MAGNITUDE));
    }

    @Override
    public boolean isForConvolutionsAndEmbeddings() {
        return true;
    }

    @Override
    public boolean isAdditive() {
        return false;
    }
}
