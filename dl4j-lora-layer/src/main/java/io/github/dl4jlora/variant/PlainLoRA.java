package io.github.dl4jlora.variant;

import io.github.dl4jlora.variant.Parameter.Role;

import java.util.List;

/**
 * ΔW = s·A·B, both trained. Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models", arXiv:2106.09685.
 *
 * <pre>{@code
 * LoRAConfig config = LoRAConfig.builder().rank(8).variant(new PlainLoRA()).build();    // the default
 * }</pre>
 */
public final class PlainLoRA extends NamedVariant {

    private static final long serialVersionUID = 1L;

    /** The variant, which has no settings. */
    public PlainLoRA() {
    }

    @Override
    public String name() {
        return "LoRA";
    }

    @Override
    public List<Parameter> parameters(long nIn, long nOut, int rank) {
        return List.of(new Parameter(A, nIn, rank, Role.WEIGHT), new Parameter(B, rank, nOut, Role.WEIGHT));
    }

    @Override
    public boolean isForConvolutionsAndEmbeddings() {
        return true;
    }
}
