package io.github.dl4jlora.internal.run;

import io.github.dl4jlora.conf.FrozenStorage;
import io.github.dl4jlora.exception.FrozenWeightsMissingException;
import io.github.dl4jlora.internal.adapted.AdaptedConfiguration;
import io.github.dl4jlora.internal.adapted.AdaptedParameter;
import io.github.dl4jlora.internal.adapted.AdapterLayout;
import io.github.dl4jlora.internal.base.FrozenReference;
import io.github.dl4jlora.internal.base.FrozenWeights;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.HashMap;
import java.util.Map;
import java.util.function.Supplier;

/**
 * What the adapters of a layer hold that does not train: in the vector or, outside it, known by its content, and computed
 * again from W and a seed where nobody has it.
 */
public final class AdapterConstants {

    private final Supplier<? extends AdaptedConfiguration> conf;
    private final Supplier<Map<String, INDArray>> table;
    private final StockValues stock;
    private final DataType type;
    private Map<String, INDArray> values;

    AdapterConstants(Supplier<? extends AdaptedConfiguration> conf, Supplier<Map<String, INDArray>> table, StockValues stock,
            DataType type) {
        this.conf = conf;
        this.table = table;
        this.stock = stock;
        this.type = type;
    }

    /** By key of the parameter table; where they are in the vector, among what else is there. */
    Map<String, INDArray> values() {
        if (values == null) {
            AdapterLayout layout = conf.get().layout();
            values = layout.constants().isEmpty() ? Map.of()
                    : conf.get().getStorage() == FrozenStorage.EMBEDDED ? table.get() : shared(layout);
        }
        return values;
    }

    private Map<String, INDArray> shared(AdapterLayout layout) {
        AdaptedConfiguration lora = conf.get();
        FrozenReference reference = lora.getConstants();
        if (reference == null) {
            throw new FrozenWeightsMissingException(lora.getLayerName(), "(none recorded)");
        }
        reference.bindOr(lora.getLayerName(), () -> {
            AdapterStart.requireComputable(lora);
            // In the type in which they were made.
            DataType original = lora.getFrozen().require(lora.getLayerName()).dataType();
            return byContent(lora, started(original, lora.getStartSeed()));
        });
        return layout.constantViews(reference.values(lora.getLayerName(), type, layout.constantParams()));
    }

    /** A whole start by key of the parameter table. */
    private Map<String, INDArray> started(DataType startType, long seed) {
        AdaptedConfiguration lora = conf.get();
        Map<String, INDArray> stockOfType = AdapterStart.needsStock(lora)
                ? lora.stockTable(stock.flat(startType), false) : Map.of();
        Map<String, INDArray> start = new HashMap<>();
        for (AdaptedParameter matrix : lora.adapted()) {
            AdapterStart.of(lora, matrix, stockOfType, Map.of(), startType, seed)
                    .forEach((part, value) -> start.put(lora.key(matrix, part), value));
        }
        return start;
    }

    private static FrozenWeights byContent(AdaptedConfiguration lora, Map<String, INDArray> values) {
        AdapterLayout layout = lora.layout();
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            DataType type = values.get(layout.constants().get(0).key()).dataType();
            INDArray flat = Nd4j.create(type, layout.constantParams());
            Map<String, INDArray> views = layout.constantViews(flat);
            views.forEach((key, view) -> view.assign(values.get(key)));
            return FrozenWeights.ofOwn(flat, views);
        }
    }

    /** Those of one adapted parameter, by part. */
    Map<String, INDArray> of(AdaptedParameter matrix) {
        Map<String, INDArray> known = new HashMap<>();
        conf.get().layout().constants().stream().filter(slot -> slot.matrix().equals(matrix))
                .forEach(slot -> known.put(slot.parameter().key(), values().get(slot.key())));
        return known;
    }

    /** Replaces some, by key of the parameter table, that are outside the vector: all are then known by another content. */
    void replace(Map<String, INDArray> some) {
        AdaptedConfiguration lora = conf.get();
        Map<String, INDArray> all = new HashMap<>(lora.getConstants() == null ? Map.of() : values());
        all.putAll(some);
        keep(all, lora.getStartSeed());
    }

    /**
     * Keeps others outside the vector.
     *
     * @param all  by key of the parameter table; may have more
     * @param seed from which they can be computed again
     */
    void keep(Map<String, INDArray> all, long seed) {
        AdaptedConfiguration lora = conf.get();
        FrozenWeights kept = byContent(lora, all);
        lora.setConstants(FrozenReference.to(kept, null));
        lora.setStartSeed(seed);
        forget();
    }

    /** Others have been attached. */
    void forget() {
        values = null;
    }

    /** Refuses a start that is not here and that W does not tell. */
    public void requireStart() {
        if (conf.get().getConstants() != null && !conf.get().getConstants().isHere()) {
            AdapterStart.requireComputable(conf.get());
        }
    }

    /** Those that are outside the vector; null where there is nothing of the kind. */
    public FrozenWeights outside() {
        AdaptedConfiguration lora = conf.get();
        if (lora.getConstants() == null) {
            return null;
        }
        values();
        return lora.getConstants().require(lora.getLayerName());
    }
}
