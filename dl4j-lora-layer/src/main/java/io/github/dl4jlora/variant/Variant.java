package io.github.dl4jlora.variant;

import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.shade.jackson.annotation.JsonIgnore;
import org.nd4j.shade.jackson.annotation.JsonTypeInfo;
import org.nd4j.shade.jackson.databind.annotation.JsonTypeIdResolver;

import java.io.Serializable;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;

/**
 * A variant of LoRA on a layer's weight matrix: which parameters it has, how they start, what it computes and what a merge
 * writes. Immutable; two variants of one class are equal. Parameters go by these keys:
 *
 * <pre>
 * A   [nIn, rank]     B   [rank, nOut]     of every variant
 * A0  [nIn, rank]     B0  [rank, nOut]     the start, where it was taken from W (PiSSA, OLoRA): W stands for W − s·A0·B0
 * m   [1, nOut]       DoRA's magnitude
 * </pre>
 *
 * <pre>{@code
 * record OnlyB() implements Variant {
 *     public String name() {
 *         return "only-B";
 *     }
 *
 *     public List<Parameter> parameters(long nIn, long nOut, int rank) {
 *         return List.of(new Parameter(A, nIn, rank, Parameter.Role.FROZEN),
 *                 new Parameter(B, rank, nOut, Parameter.Role.WEIGHT));
 *     }
 * }
 *
 * LoRAConfig config = LoRAConfig.builder().rank(8).variant(new OnlyB()).build();
 * }</pre>
 */
@JsonTypeInfo(use = JsonTypeInfo.Id.CUSTOM, include = JsonTypeInfo.As.PROPERTY, property = "@class")
@JsonTypeIdResolver(VariantIds.class)
public interface Variant extends Serializable {

    /** Key of A. */
    String A = "A";
    /** Key of B. */
    String B = "B";
    /** Key of A's start, where that was taken from W. */
    String START_A = "A0";
    /** Key of B's start, likewise. */
    String START_B = "B0";

    /** {@return the name, as PEFT and papers write it} */
    String name();

    /**
     * {@return A, B and the variant's own, in the order of the parameter vector}
     *
     * @param nIn  number of inputs
     * @param nOut number of outputs
     * @param rank at least 1
     */
    List<Parameter> parameters(long nIn, long nOut, int rank);

    /**
     * Adds the start of the variant's own parameters to those of A and B, such that a fresh layer computes what its
     * stock layer computes.
     *
     * @param parameters A, B and, where the start was taken from W, A0 and B0
     * @param w          {@code [nIn, nOut]}, not written to; null where the variant is {@linkplain #isAdditive additive} and the
     *                   start of A and B is not taken from W
     * @param factor     s
     */
    default void start(Map<String, INDArray> parameters, @Nullable INDArray w, double factor) {
        // A and B are all there is.
    }

    /**
     * {@return the path that runs in a dense layer}
     *
     * @param layer the layer that it may ask
     */
    default LowRankPath path(Host layer) {
        return layer.lowRank();
    }

    /**
     * What each output of x·W + s·x·A·B is multiplied by, in a layer of any kind.
     *
     * @param layer the layer that it may ask
     * @return the scale; null: outputs are left as they are
     */
    default @Nullable OutputScale scale(LayerWeights layer) {
        return null;
    }

    /**
     * Writes into W what a stock layer needs to compute the same.
     *
     * @param w          {@code [nIn, nOut]}, to be overwritten
     * @param parameters of this variant
     * @param factor     s
     */
    default void merge(INDArray w, Map<String, INDArray> parameters, double factor) {
        LowRankProduct.addTo(w, parameters, factor);
    }

    /**
     * The backward pass of {@link #merge merge}: makes the parameters' gradients from the gradient of the merged weights.
     *
     * @param w          gives W {@code [nIn, nOut]} as it is without an adapter, not written to
     * @param parameters of this variant
     * @param factor     s
     * @param dw         dL/d(what a merge writes) {@code [nIn, nOut]}, not written to
     * @param gradients  views to write, by parameter key
     */
    default void project(Supplier<INDArray> w, Map<String, INDArray> parameters, double factor, INDArray dw,
                         Map<String, INDArray> gradients) {
        LowRankProduct.project(dw, parameters, factor, gradients);
    }

    /**
     * Whether convolutions and embeddings can have this variant. Their kernels compute x·W + s·x·A·B by themselves, with both A
     * and B trained. They ask for {@link #scale scale}, not for {@link #path path}; effective weights ask for
     * {@link #merge merge} and {@link #project project}.
     *
     * @return false unless the variant says otherwise: it is for dense and output layers
     */
    @JsonIgnore
    default boolean isForConvolutionsAndEmbeddings() {
        return false;
    }

    /** {@return whether a merge and a pass only add ΔW = s·A·B − s·A0·B0, so that adapters can be added up} */
    @JsonIgnore
    default boolean isAdditive() {
        return true;
    }
}
