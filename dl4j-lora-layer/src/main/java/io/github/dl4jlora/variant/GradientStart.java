package io.github.dl4jlora.variant;

import io.github.dl4jlora.internal.blas.Decomposition;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

/**
 * LoRA-GA's start, from the gradient of the loss at W, read here as {@code [nIn, nOut]}:
 *
 * <pre>
 * dW = U·S·Vᵀ     A = c·U[:, 0:r]     B = c·V[:, r:2r]ᵀ     c = nOut^¼ / √γ
 * </pre>
 *
 * so that the first step of A and B moves W along the 2r strongest directions of dW, and by a size that does not depend on
 * width or rank. Wang et al. 2024, "LoRA-GA: Low-Rank Adaptation with Gradient Approximation", arXiv:2407.05000, theorems 3.1
 * and 3.2 and algorithm 1; the direction that PEFT calls ArB2r. PEFT's "stable" multiplies B by the singular values too, which
 * depend on how a loss is averaged; here, as in the paper and its authors' code, only directions are taken from dW. Where dW has
 * fewer than 2r directions B takes the last r, some of which are then A's too.
 *
 * <pre>{@code
 * LoRAConfig config = LoRAConfig.builder().rank(8).loraInit(LoRAInit.LORA_GA).build();
 * ComputationGraph tuned = LoRA.apply(base, config, examples);    // gradients of the first batches
 * }</pre>
 */
public final class GradientStart {

    /** γ: 16 in the paper's experiments, and PEFT's default. */
    private static final double STABLE_GAMMA = 16;

    private GradientStart() {
    }

    /**
     * Fills A and B.
     *
     * @param dw {@code [nIn, nOut]}, finite, not zero; not written to
     * @param a  {@code [nIn, rank]}, overwritten
     * @param b  {@code [rank, nOut]}, overwritten
     * @throws IllegalArgumentException for a rank above min(nIn, nOut)
     */
    public static void take(INDArray dw, INDArray a, INDArray b) {
        long rank = a.size(1);
        Matrices.requireRank("LoRAInit.LORA_GA", dw, rank);
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            Decomposition svd = Decomposition.leading(dw.castTo(DataType.DOUBLE), Math.toIntExact(2 * rank));
            double scale = Math.pow(dw.size(1), 0.25) / Math.sqrt(STABLE_GAMMA);
            long last = Math.min(2 * rank, svd.values().length);
            a.assign(columns(svd.u(), 0, rank).mul(scale));
            b.assign(columns(svd.v(), last - rank, last).transpose().mul(scale));
        }
    }

    private static INDArray columns(INDArray matrix, long from, long to) {
        return matrix.get(NDArrayIndex.all(), NDArrayIndex.interval(from, to));
    }
}
