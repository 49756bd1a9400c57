package io.github.dl4jlora.variant;

import io.github.dl4jlora.variant.Parameter.Role;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.List;
import java.util.Map;

/**
 * Magnitude and direction apart:
 *
 * <pre>
 * W' = m ⊙ V / ‖V‖     V = W + s·A·B
 *
 * m    magnitude  [1, nOut]   trained; ‖W‖ at the start
 * ‖V‖  norm of each column of V, one for each output; a constant for the backward pass
 * </pre>
 *
 * Liu et al. 2024, "DoRA: Weight-Decomposed Low-Rank Adaptation", arXiv:2402.09353, equation 5 and section 4.3; PEFT's
 * {@code use_dora}. With loraDropout the dropped inputs concern s·x·A·B alone; PEFT drops those of x·W in the
 * magnitude's term too, at the price of another product with W.
 */
public final class DoRA extends NamedVariant {

    private static final long serialVersionUID = 1L;

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
    public void start(Map<String, INDArray> parameters, INDArray w, double factor) {
        parameters.put(MAGNITUDE, ColumnNorms.ofSum(w, ColumnNorms.squares(w), parameters, factor).castTo(w.dataType()));
    }

    @Override
    public LowRankPath path(Host layer) {
        return new DoRAPath(layer);
    }

    /** Forms V, so that the merged weights owe nothing to the shortcut by which the running layer finds its norms. */
    @Override
    public void merge(INDArray w, Map<String, INDArray> parameters, double factor) {
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            LowRankProduct.addTo(w, parameters, factor);
            INDArray magnitude = parameters.get(MAGNITUDE);
            INDArray norms = ColumnNorms.of(w);
            norms = norms.castTo(magnitude.dataType()).castTo(norms.dataType());
            INDArray scale = magnitude.castTo(norms.dataType()).div(norms);
            w.muliRowVector(scale.castTo(w.dataType()));
        }
    }

    @Override
    public boolean isAdditive() {
        return false;
    }
}
