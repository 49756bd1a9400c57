package io.github.dl4jlora.variant;

import io.github.dl4jlora.variant.Parameter.Role;

import java.util.List;

/**
 * ΔW = s·A·B with A frozen at its start: B alone trains, dL/dA is not formed, and of the path's values only x·A
 * {@code [minibatch, rank]} is kept for the backward pass. Zhang et al. 2023, "LoRA-FA: Memory-efficient Low-rank
 * Adaptation for Large Language Models Fine-tuning", arXiv:2308.03303.
 *
 * <pre>{@code
 * LoRAConfig config = LoRAConfig.builder().rank(8).variant(new FrozenALoRA()).build();
 * }</pre>
 */
public final class FrozenALoRA extends NamedVariant {

    private static final long serialVersionUID = 1L;

    /** The variant, which has no settings. */
    public FrozenALoRA() {
    }

    @Override
    public String name() {
        return "LoRA-FA";
    }

    @Override
    public List<Parameter> parameters(long nIn, long nOut, int rank) {
        return List.of(new Parameter(A, nIn, rank, Role.FROZEN), new Parameter(B, rank, nOut, Role.WEIGHT));
    }
}
