package io.github.dl4jlora;

import io.github.dl4jlora.internal.common.NamePattern;
import io.github.dl4jlora.internal.undo.Unadaptation;
import io.github.dl4jlora.report.LoRAMergeReport;
import org.deeplearning4j.nn.api.Model;
import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;

/**
 * A merge of some layers, or of a part of ΔW, and a report on what it does: {@link LoRA#merging(Model)}. Nothing happens before
 * {@link #report} or {@link #merge merge}, which may both be called, and more than once.
 *
 * <pre>{@code
 * LoRAMerge<ComputationGraph> merge = LoRA.merging(tuned).layers("fc.*").weight(0.7);
 * System.out.println(merge.report());
 * ComputationGraph stock = merge.merge();
 * }</pre>
 *
 * @param <M> the network type
 */
public final class LoRAMerge<M extends Model> {

    private final M adapted;
    private final List<Pattern> layers = new ArrayList<>();
    private double weight = 1;
    private @Nullable M original;

    LoRAMerge(M adapted) {
        this.adapted = adapted;
    }

    /**
     * Merges these layers only; default all. A layer is merged with all of its matrices and trained biases.
     *
     * @param patterns regular expressions, each of a whole layer or vertex name
     * @return this
     * @throws IllegalArgumentException if one is no regular expression
     */
    public LoRAMerge<M> layers(String... patterns) {
        for (String pattern : patterns) {
            layers.add(NamePattern.of("layers", pattern));
        }
        return this;
    }

    /**
     * Merges ΔW times a weight; default 1. The result computes what the network computes inside
     * {@link LoRA#rescaled(Model, double)}: DoRA's norm is that of W + weight·s·A·B; trained biases, and a LowRankLayer that
     * stands by itself, are merged as they are.
     *
     * @param weight finite; 0 leaves W, but for DoRA, which keeps its magnitudes; a negative weight takes away what was learned
     * @return this
     * @throws IllegalArgumentException if it is NaN or infinite
     */
    public LoRAMerge<M> weight(double weight) {
        if (!Double.isFinite(weight)) {
            throw new IllegalArgumentException("The weight is " + weight + ", but it must be a finite number; 1 merges the "
                    + "adapter as it is");
        }
        this.weight = weight;
        return this;
    }

    /**
     * Makes {@link #report} compare the weights that the network stands on with the base as it was, which shows what quantising
     * cost. The merge itself stays the same: it goes into the weights that the adapter was trained on.
     *
     * @param floatBase the network that was adapted, as a network of its own that is not adapted
     * @return this
     * @throws IllegalArgumentException if it is null
     */
    public LoRAMerge<M> against(M floatBase) {
        if (floatBase == null) {
            throw new IllegalArgumentException("against(null): give the network that was adapted, or do not call against(...)");
        }
        this.original = floatBase;
        return this;
    }

    /**
     * What the merge would do to each weight matrix, rounding included. Takes three copies of one layer at a time, in double
     * precision, and two more with {@link #against}. The content of every layer of that network is verified.
     *
     * @return a row for each matrix that would be merged
     * @throws IllegalArgumentException as {@link #merge merge}, and if the network given to {@link #against} lacks a layer that
     *                                  was adapted or frozen, or has other weights there
     * @throws IllegalStateException    as {@link #merge merge}
     */
    public LoRAMergeReport report() {
        return Unadaptation.report(adapted, layers, weight, original);
    }

    /**
     * Merges. Neither the adapted network nor the base changes. If all adapted layers are merged, the result is a stock
     * network, as from {@link LoRA#merge LoRA.merge}. Otherwise it is an adapted network: the merged layers are frozen with their
     * new weights, the others stay adapted, or trained in full. It starts at iteration 0 without updater state. Its base is no
     * longer the network that was adapted, but the one that {@link LoRA#unload LoRA.unload} makes from it: a JVM that restores it
     * with DL4J's ModelSerializer needs that base for {@code LoRA.attach}. An adapter taken from it has the layers that are still
     * adapted.
     *
     * @return a new network
     * @throws IllegalArgumentException if a pattern matches no adapted layer, or the network has none
     * @throws IllegalStateException    if the base has changed since it was adapted, a merged weight is NaN or infinite, the
     *                                  adapters are disabled, or a layer that would stay adapted is scaled
     */
    public M merge() {
        return Unadaptation.merge(adapted, layers, weight);
    }
}
