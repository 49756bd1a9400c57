package io.github.dl4jlora.internal.run;

import io.github.dl4jlora.exception.FrozenWeightsMissingException;
import io.github.dl4jlora.internal.adapted.AdaptedConfiguration;
import io.github.dl4jlora.internal.base.FrozenReference;
import io.github.dl4jlora.internal.base.FrozenWeights;
import io.github.dl4jlora.internal.kernel.FrozenMatrix;
import io.github.dl4jlora.internal.stock.Hollow;
import io.github.dl4jlora.internal.stock.StockLayers;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.HashMap;
import java.util.Map;
import java.util.Objects;
import java.util.function.Supplier;

/**
 * The frozen parameters of an adapted layer, under its stock layer's keys. They are looked up when they are first asked for, not
 * earlier: a restored network's weights are attached in between.
 */
public final class StockValues {

    private final Supplier<? extends AdaptedConfiguration> conf;
    private final Supplier<INDArray> view;
    private final DataType type;
    private final Map<String, FrozenMatrix> matrices = new HashMap<>();
    private @Nullable Map<String, INDArray> arrays;
    /** Never read, only held: a cast of the frozen values lasts as long as somebody holds it. */
    @SuppressWarnings("UnusedVariable")
    private @Nullable INDArray held;

    StockValues(Supplier<? extends AdaptedConfiguration> conf, Supplier<INDArray> view, DataType type) {
        this.conf = conf;
        this.view = view;
        this.type = type;
    }

    /** To be called when others have been attached. */
    void forget() {
        matrices.clear();
        arrays = null;
        held = null;
    }

    /**
     * All values, flat; if they are quantised, a copy that is not kept.
     *
     * @throws FrozenWeightsMissingException if they cannot be found
     */
    public INDArray flat() {
        INDArray values = flat(type);
        held = isQuantized() ? null : values;
        return values;
    }

    /** As {@link #flat()}, in another type. */
    INDArray flat(DataType otherType) {
        return conf.get().frozenValues(view.get(), otherType);
    }

    /** The parameters that are arrays: all but the matrices that are kept in fewer bits. */
    public Map<String, INDArray> arrays() {
        if (arrays == null) {
            arrays = isQuantized() ? Objects.requireNonNull(weights().rest(type)) : all();
        }
        return arrays;
    }

    /** All parameters as arrays, views of {@link #flat()}. */
    Map<String, INDArray> all() {
        return conf.get().stockTable(flat(), false);
    }

    /** A parameter that is a matrix, read as one, however it is stored. */
    public FrozenMatrix matrix(String key) {
        return matrices.computeIfAbsent(key, this::newMatrix);
    }

    private FrozenMatrix newMatrix(String key) {
        FrozenReference reference = conf.get().getFrozen();
        FrozenWeights kept = reference == null ? null : weights();
        long[] shape = kept == null ? array(key).shape() : Objects.requireNonNull(kept.shapes().get(key));
        return conf.get().matrices().frozen(key, type, shape, kept, () -> reference != null && reference.isPacked(),
                () -> array(key));
    }

    /** A parameter as an array, in its stock layer's shape; of a matrix in fewer bits a copy that is not kept. */
    public INDArray array(String key) {
        INDArray array = arrays().get(key);
        return array != null ? array : Objects.requireNonNull(all().get(key));
    }

    /**
     * The stock layer itself, without the rules for its weights.
     *
     * @param like   the network's configuration of the adapted layer
     * @param hollow whether to make it without weights, so that any use of them fails
     */
    public Layer layer(NeuralNetConfiguration like, int index, boolean hollow) {
        org.deeplearning4j.nn.conf.layers.Layer own = Objects.requireNonNull(conf.get().stockLayer());
        NeuralNetConfiguration stock = StockLayers.confOf(StockLayers.withoutWeightRules(own), like);
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            return hollow ? Hollow.part(type, conf.get().frozenParams(), zeros -> on(zeros, stock, index))
                    : on(flat(), stock, index);
        }
    }

    private Layer on(INDArray values, NeuralNetConfiguration stock, int index) {
        return StockLayers.running(stock, null, index, values, false, type);
    }

    public boolean isQuantized() {
        return conf.get().scheme() != null;
    }

    private FrozenWeights weights() {
        return Objects.requireNonNull(conf.get().getFrozen()).weights(conf.get().getLayerName(), conf.get().frozenParams());
    }
}
