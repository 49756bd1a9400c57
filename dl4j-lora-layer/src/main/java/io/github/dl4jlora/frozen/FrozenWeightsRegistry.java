package io.github.dl4jlora.frozen;

import java.lang.ref.WeakReference;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;

/**
 * Frozen weights of this JVM by content id. It holds them weakly: a live network, or whoever registered them, keeps
 * them alive. Replicas that DL4J rebuilds from JSON (ParallelWrapper, checkpoints, type conversion) find their base here.
 */
public final class FrozenWeightsRegistry {

    private static final Map<String, List<WeakReference<FrozenWeights>>> BY_ID = new ConcurrentHashMap<>();

    private FrozenWeightsRegistry() {
    }

    /**
     * Makes weights findable by their id.
     *
     * @return the argument
     */
    public static FrozenWeights register(FrozenWeights weights) {
        BY_ID.values().removeIf(holders -> holders.stream().allMatch(holder -> holder.get() == null));
        BY_ID.compute(weights.id(), (id, holders) -> {
            List<WeakReference<FrozenWeights>> kept = holders == null ? new CopyOnWriteArrayList<>() : holders;
            kept.removeIf(holder -> holder.get() == null);
            kept.add(new WeakReference<>(weights));
            return kept;
        });
        return weights;
    }

    /**
     * The weights with this id, if anything alive in this JVM has them. Weights that no longer hash to their id
     * (their base network was trained meanwhile) are not given out.
     */
    public static Optional<FrozenWeights> find(String id) {
        List<WeakReference<FrozenWeights>> holders = BY_ID.getOrDefault(id, List.of());
        return holders.stream().map(WeakReference::get).filter(Objects::nonNull).filter(FrozenWeights::isIntact).findFirst();
    }
}
