package io.github.dl4jlora.internal.run;

import io.github.dl4jlora.conf.FrozenStorage;
import io.github.dl4jlora.exception.FrozenWeightsMissingException;
import io.github.dl4jlora.internal.adapted.AdaptedConfiguration;
import io.github.dl4jlora.internal.adapted.AdaptedParameter;
import io.github.dl4jlora.internal.adapted.AdapterLayout;
import io.github.dl4jlora.internal.base.FrozenReference;
import io.github.dl4jlora.internal.base.FrozenWeights;
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
 * The parts of a layer's adapters that do not train. They are in the vector, or outside it under a content id; those outside are
 * computed again from W and a seed if nobody has them.
 */
public final class AdapterConstants {

    private final Supplier<? extends AdaptedConfiguration> conf;
    private final Supplier<Map<String, INDArray>> table;
    private final StockValues stock;
    private final DataType type;
    private @Nullable Map<String, INDArray> values;

    AdapterConstants(Supplier<? extends AdaptedConfiguration> conf, Supplier<Map<String, INDArray>> table, StockValues stock,
            DataType type) {
        this.conf = conf;
        this.table = table;
        this.stock = stock;
        this.type = type;
    }

    /** The values by key of the parameter table; if they are in the vector, the whole table. */
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
        boolean found = reference.bindOr(() -> {
            AdapterStart.requireComputable(lora);
            // Computed in the type in which they were made.
            DataType original = Objects.requireNonNull(lora.getFrozen()).require(lora.getLayerName()).dataType();
            return byContent(lora, started(original, lora.getStartSeed()));
        });
        if (!found) {
            throw AdapterStart.isMissing(lora, "is another one than W and the seed give here: it came with an adapter's files, "
                    + "or W was kept in other bits");
        }
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
            DataType type = Objects.requireNonNull(values.get(layout.constants().get(0).key())).dataType();
            INDArray flat = Nd4j.create(type, layout.constantParams());
            Map<String, INDArray> views = layout.constantViews(flat);
            views.forEach((key, view) -> view.assign(values.get(key)));
            return FrozenWeights.ofOwn(flat, views);
        }
    }

    /** The constants of one adapted parameter, by part. */
    Map<String, INDArray> of(AdaptedParameter matrix) {
        Map<String, INDArray> known = new HashMap<>();
        conf.get().layout().constants().stream().filter(slot -> matrix.equals(slot.matrix()))
                .forEach(slot -> known.put(slot.parameter().key(), values().get(slot.key())));
        return known;
    }

    /** Replaces some that are outside the vector, by key of the parameter table; all of them together get another content id. */
    void replace(Map<String, INDArray> some) {
        AdaptedConfiguration lora = conf.get();
        Map<String, INDArray> all = new HashMap<>(lora.getConstants() == null ? Map.of() : values());
        all.putAll(some);
        keep(all, lora.getStartSeed());
    }

    /**
     * Keeps other constants outside the vector.
     *
     * @param all  by key of the parameter table; may have more than constants
     * @param seed from which they can be computed again
     */
    void keep(Map<String, INDArray> all, long seed) {
        AdaptedConfiguration lora = conf.get();
        FrozenWeights kept = byContent(lora, all);
        lora.setConstants(FrozenReference.to(kept, null));
        lora.setStartSeed(seed);
        forget();
    }

    /** To be called when others have been attached. */
    void forget() {
        values = null;
    }

    /** Refuses a start that is not here and cannot be computed from W. */
    public void requireStart() {
        if (conf.get().getConstants() != null && !conf.get().getConstants().isHere()) {
            AdapterStart.requireComputable(conf.get());
        }
    }

    /** The constants outside the vector; null if there are none. */
    public @Nullable FrozenWeights outside() {
        AdaptedConfiguration lora = conf.get();
        if (lora.getConstants() == null) {
            return null;
        }
        values();
        return lora.getConstants().require(lora.getLayerName());
    }
}
