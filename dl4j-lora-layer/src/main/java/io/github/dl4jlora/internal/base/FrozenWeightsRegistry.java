package io.github.dl4jlora.internal.base;

import org.jspecify.annotations.Nullable;

import java.lang.ref.WeakReference;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Stream;

/**
 * Frozen weights of this JVM by content id. It holds them weakly: a live network, or the code that registered them, keeps them
 * alive. Replicas that DL4J rebuilds from JSON (ParallelWrapper, checkpoints, type conversion) find their base here.
 */
public final class FrozenWeightsRegistry {

    private static final Map<String, List<WeakReference<FrozenWeights>>> BY_ID = new ConcurrentHashMap<>();

    private FrozenWeightsRegistry() {
    }

    /**
     * Makes weights findable by their id. They share packed copies with those of another network on the same base.
     *
     * @return the argument
     */
    public static FrozenWeights register(FrozenWeights weights) {
        BY_ID.keySet().forEach(id -> BY_ID.computeIfPresent(id, (key, holders) -> living(holders)));
        BY_ID.getOrDefault(weights.id(), List.of()).stream().map(WeakReference::get).filter(Objects::nonNull)
                .forEach(weights::sharePacked);
        BY_ID.merge(weights.id(), List.of(new WeakReference<>(weights)), (present, added) ->
                Stream.concat(present.stream(), added.stream()).toList());
        return weights;
    }

    /** Null, which removes the entry, if nothing is alive. */
    private static @Nullable List<WeakReference<FrozenWeights>> living(List<WeakReference<FrozenWeights>> holders) {
        List<WeakReference<FrozenWeights>> living = holders.stream().filter(holder -> holder.get() != null).toList();
        return living.isEmpty() ? null : living;
    }

    /**
     * The weights with this id, if anything alive in this JVM has them. Weights that no longer hash to their id
     * (their base network was trained meanwhile) are not given out. Weights that no network trains or closes come first: a
     * network on them works even if the base is trained or closed.
     */
    public static Optional<FrozenWeights> find(String id) {
        return findOwn(id).or(() -> intact(id, false));
    }

    /** As {@link #find}, but only weights that no network trains or closes. */
    static Optional<FrozenWeights> findOwn(String id) {
        return intact(id, true);
    }

    private static Optional<FrozenWeights> intact(String id, boolean own) {
        return BY_ID.getOrDefault(id, List.of()).stream().map(WeakReference::get).filter(Objects::nonNull)
                .filter(weights -> weights.isOwn() == own && weights.isIntact()).findFirst();
    }
}
