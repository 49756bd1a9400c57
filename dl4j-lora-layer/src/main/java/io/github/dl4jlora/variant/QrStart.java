package io.github.dl4jlora.variant;

import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.Arrays;

/**
 * OLoRA's start: with Wᵀ = Q·R, A = (the first rows of R)ᵀ and B = (the first columns of Q)ᵀ. Q's first columns depend on
 * Wᵀ's first columns alone, and R's first rows are their products with Wᵀ, so that no full decomposition is needed.
 *
 * <pre>{@code
 * LoRAConfig config = LoRAConfig.builder().rank(8).loraInit(LoRAInit.OLORA).build();
 * }</pre>
 */
public final class QrStart {

    private QrStart() {
    }

    /**
     * Fills A and B.
     *
     * @param w {@code [nIn, nOut]}, not written to
     * @param a {@code [nIn, rank]}, overwritten
     * @param b {@code [rank, nOut]}, overwritten
     * @throws IllegalArgumentException for a rank above min(nIn, nOut)
     */
    public static void take(INDArray w, INDArray a, INDArray b) {
        int rank = Math.toIntExact(a.size(1));
        Matrices.requireRank("LoRAInit.OLORA", w, rank);
        double[][] rows = Matrices.of(w);
        double[][] q = Matrices.orthonormal(Matrices.transpose(Arrays.copyOf(rows, rank)));
        a.assign(Matrices.of(Matrices.product(rows, q)));
        b.assign(Matrices.of(Matrices.transpose(q)));
    }
}
