package io.github.dl4jlora.internal.frozen;

import io.github.dl4jlora.internal.base.FrozenWeights;
import io.github.dl4jlora.internal.kernel.Disableable;
import io.github.dl4jlora.internal.kernel.OwnArithmetic;
import io.github.dl4jlora.internal.stock.Hollow;
import io.github.dl4jlora.internal.stock.SameDiffBackprop;
import org.deeplearning4j.nn.api.Trainable;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.Map;
import java.util.function.BiConsumer;
import java.util.function.Consumer;
import java.util.function.Function;

/**
 * The life of a frozen part of a network, written once for layers and vertices. The stock part is built on its values, or on
 * zeros until those are here. This class also decides what DL4J sees of its parameters, and runs its backward pass, with an array
 * for gradients that nobody reads; if SameDiff computes that pass, it is corrected.
 *
 * @param <T> DL4J's Layer or GraphVertex
 */
public final class FrozenPart<T extends Trainable> implements Disableable {

    /** Makes the stock layer or vertex on the given parameters. */
    @FunctionalInterface
    public interface Builder<T> {

        /**
         * @param values     flat; null for a part without parameters
         * @param initialize whether to fill them with a fresh start
         */
        T build(@Nullable INDArray values, boolean initialize);
    }

    private final FrozenParameters parameters;
    private final Builder<T> builder;
    private T stock;
    /** Null if there are none, or they are kept in fewer bits. */
    private @Nullable INDArray values;
    /** Null if the values are inside the vector, or not here yet. */
    private @Nullable FrozenWeights source;
    private boolean bound;
    private int disabled;
    private SameDiffBackprop sameDiff = new SameDiffBackprop();

    /**
     * @param initialize whether values inside the vector get a fresh start
     */
    public FrozenPart(FrozenParameters parameters, Builder<T> builder, boolean initialize) {
        this.parameters = parameters;
        this.builder = builder;
        this.bound = parameters.arePresent();
        this.source = parameters.source();
        this.stock = built(bound, initialize && parameters.isEmbedded());
    }

    private T built(boolean here, boolean fresh) {
        if (parameters.areQuantized()) {
            return Hollow.part(parameters.type(), parameters.length(), zeros -> builder.build(zeros, false));
        }
        values = here ? parameters.values() : parameters.standIn();
        return builder.build(values, fresh);
    }

    /** The stock part, which stands on zeros as long as its values are missing. */
    T stock() {
        return stock;
    }

    String name() {
        return parameters.layer();
    }

    boolean isEmbedded() {
        return parameters.isEmbedded();
    }

    /**
     * The stock part on its values. The first call looks the values up, since weights may be attached before it; a later call
     * does so if others have been attached since.
     *
     * @param handOver tells the part that replaces the stand-in (second) what the stand-in (first) was told
     * @throws io.github.dl4jlora.exception.FrozenWeightsMissingException if the values cannot be found
     * @throws IllegalStateException                                   if they were closed
     */
    T bound(BiConsumer<T, T> handOver) {
        if (!bound || parameters.wereReplaced(source)) {
            parameters.require();
            source = parameters.source();
            T found;
            try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
                found = built(true, false);
            }
            handOver.accept(stock, found);
            stock = found;
            tellArithmetic();
            sameDiff = new SameDiffBackprop();
            bound = true;
        }
        if (values != null) {
            parameters.requireOpen(values);
        }
        return stock;
    }

    @Override
    public void disable() {
        disabled++;
        tellArithmetic();
    }

    @Override
    public void enable() {
        disabled--;
        tellArithmetic();
    }

    /** What computes in place of the stock part; null if nothing does. */
    @Nullable OwnArithmetic arithmetic() {
        return OwnArithmetic.in(stock);
    }

    private void tellArithmetic() {
        OwnArithmetic arithmetic = arithmetic();
        if (arithmetic != null) {
            arithmetic.setStock(disabled > 0);
        }
    }

    /**
     * Checks with a quick look, for training, that the values have not changed.
     *
     * @throws IllegalStateException if they have
     */
    void requireUnmoved() {
        parameters.requireUnmoved();
    }

    /**
     * The stock part's own backward pass.
     *
     * @param epsilon      null for an output layer
     * @param setGradients tells the stock part where to write its weight gradients, which nobody reads
     */
    <R> R backward(@Nullable INDArray epsilon, LayerWorkspaceMgr workspaces, Consumer<INDArray> setGradients,
                   Function<@Nullable INDArray, R> backprop) {
        if (arithmetic() == null) {
            INDArray scratch = parameters.scratchGradient(workspaces);
            if (scratch != null) {
                setGradients.accept(scratch);
            }
        }
        return sameDiff.of(stock, epsilon, backprop);
    }

    /** The number that DL4J sees: parameters outside its vector do not count. */
    long numParams() {
        return isEmbedded() ? stock.numParams() : 0;
    }

    /** As {@link #numParams}. */
    @Nullable INDArray params() {
        return isEmbedded() ? stock.params() : null;
    }

    /** As {@link #numParams}. */
    Map<String, INDArray> paramTable(boolean backpropOnly) {
        Map<String, INDArray> table = isEmbedded() ? stock.paramTable(backpropOnly) : null;
        return table == null ? Map.of() : table;
    }
}
