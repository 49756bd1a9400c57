package io.github.dl4jlora.internal.algebra;

import io.github.dl4jlora.internal.content.Delta;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.Arrays;

/**
 * The inner product of two ΔW by way of their slim factors, without forming either.
 *
 * <pre>
 * ⟨s·A·B, t·C·D⟩ = s·t·trace(Bᵀ·Aᵀ·C·D) = s·t·Σ (Aᵀ·C) ∘ (B·Dᵀ)
 * A [nIn, r]   B [r, nOut]   C [nIn, q]   D [q, nOut]   Aᵀ·C and B·Dᵀ [r, q]
 * </pre>
 */
final class InnerProduct {

    private InnerProduct() {
    }

    /**
     * @throws IllegalArgumentException if the two differ in shape
     * @throws IllegalStateException    if the product is not finite
     */
    static double of(String layer, Delta left, Delta right) {
        if (left.a().size(0) != right.a().size(0) || left.b().size(1) != right.b().size(1)) {
            throw new IllegalArgumentException("Layer \"" + layer + "\": one adapter is for " + shape(left) + ", the other for "
                    + shape(right) + ". Compare adapters of the same base");
        }
        double product;
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            INDArray inputs = inDouble(left.a()).transpose().mmul(inDouble(right.a()));
            INDArray outputs = inDouble(left.b()).mmul(inDouble(right.b()).transpose());
            product = left.factor() * right.factor() * inputs.muli(outputs).sumNumber().doubleValue();
        }
        if (!Double.isFinite(product)) {
            throw new IllegalStateException("Layer \"" + layer + "\": an adapter's A or B holds NaN, infinity or values too "
                    + "large to be squared. The adapter has diverged; go back to an earlier one");
        }
        return product;
    }

    /** From the product of two and the squared norms of each; 0 if one of them is zero. */
    static double cosine(double product, double leftSquared, double rightSquared) {
        double norms = Math.sqrt(Math.max(0, leftSquared)) * Math.sqrt(Math.max(0, rightSquared));
        return norms == 0 ? 0 : Math.max(-1, Math.min(1, product / norms));
    }

    private static INDArray inDouble(INDArray array) {
        return array.castTo(DataType.DOUBLE);
    }

    private static String shape(Delta delta) {
        return Arrays.toString(new long[] {delta.a().size(0), delta.b().size(1)});
    }
}
