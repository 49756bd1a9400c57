package io.github.dl4jlora.internal.serve;

import io.github.dl4jlora.conf.BiasTraining;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.internal.base.FrozenWeights;
import io.github.dl4jlora.internal.build.Adaptation;
import io.github.dl4jlora.internal.common.GuardedBy;
import io.github.dl4jlora.internal.common.NamePattern;
import io.github.dl4jlora.internal.content.AdapterContent;
import io.github.dl4jlora.internal.inspect.AdaptedView;
import io.github.dl4jlora.internal.inspect.Packs;
import io.github.dl4jlora.internal.network.BaseValues;
import org.deeplearning4j.nn.api.Model;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.factory.Nd4j;

import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * The kinds of networks that a bank's adapters need. Adapters that are computed by routes alone have one in common, which adapts
 * every matrix that some of them changes. Adapters with values, layers trained in full or biases, which must be put into a
 * network first, have one for each set of these.
 */
public final class NetworkKinds {

    /** What adapters with values have in common if one kind computes them. */
    private record Layout(Set<String> adapted, Set<String> trained, Set<String> biases) {

        static Layout of(AdapterContent content) {
            return new Layout(Set.copyOf(content.deltas().keySet()), Set.copyOf(content.trained().keySet()),
                    Set.copyOf(content.biases().values().keySet()));
        }
    }

    /** An adapter that fits, and the kind that computes it, which may be a new one. */
    public record Candidate(NetworkKind kind, ServedAdapter served) {
    }

    private final Model frozen;
    private final Map<String, AdaptedView.Base> bases = new LinkedHashMap<>();
    private final NetworkKind bare;
    @GuardedBy("this")
    private final Map<Layout, NetworkKind> own = new HashMap<>();
    /** Null once all kinds are forgotten. */
    @GuardedBy("this")
    private @Nullable NetworkKind common;

    /**
     * @param pack whether products use packed copies of the base's matrices
     * @throws IllegalArgumentException if the base is adapted, closed, or has no parameters
     */
    public NetworkKinds(Model base, boolean pack) {
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            this.frozen = Adaptation.freeze(base, null, "A bank needs the base without adapters: give the network that was "
                    + "adapted, or the result of LoRA.unload");
            if (pack) {
                Packs.pack(frozen);
            }
            verified().forEach((layer, weights) -> bases.put(layer, AdaptedView.Base.of(weights)));
            this.bare = new NetworkKind(frozen, false);
        }
        this.common = bare;
    }

    private Map<String, FrozenWeights> verified() {
        return BaseValues.verified(frozen);
    }

    /** @throws IllegalStateException naming the layer, if the base has changed or was closed */
    public void verify() {
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            verified();
        }
    }

    /**
     * The kind for adapters without values that change these matrices. Where the common one lacks a matrix, since its adapter was
     * removed after it had been looked up, this makes one that is not installed.
     */
    NetworkKind common(Set<String> matrices) {
        NetworkKind present;
        synchronized (this) {
            present = common == null ? bare : common;
        }
        if (present.matrices().containsAll(matrices)) {
            return present;
        }
        Set<String> all = new LinkedHashSet<>(present.matrices());
        all.addAll(matrices);
        return adapting(all, List.of(), BiasTraining.NONE, false);
    }

    /**
     * Prepares an adapter for the kind that computes it, which is to be {@link #install}ed.
     *
     * @param name for the message
     * @throws IllegalArgumentException if it does not fit
     */
    public Candidate candidate(String name, AdapterContent adapter) {
        try {
            NetworkKind kind = of(adapter);
            return new Candidate(kind, ServedAdapter.of(adapter, kind, bases));
        } catch (IllegalArgumentException e) {
            throw new IllegalArgumentException("Adapter \"" + name + "\": " + e.getMessage(), e);
        }
    }

    private NetworkKind of(AdapterContent content) {
        boolean hasValues = !content.trained().isEmpty() || !content.biases().values().isEmpty();
        NetworkKind present;
        synchronized (this) {
            present = hasValues ? own.get(Layout.of(content)) : common;
        }
        Set<String> matrices = new LinkedHashSet<>(hasValues || present == null ? Set.of() : present.matrices());
        boolean lacksSome = matrices.addAll(content.layers());
        if (present != null && (hasValues || !lacksSome)) {
            return present;
        }
        return adapting(matrices, content.trainedLayers(), content.biases().values().isEmpty() ? BiasTraining.NONE
                : content.biases().training(), hasValues);
    }

    private NetworkKind adapting(Set<String> matrices, List<String> trained, BiasTraining biases, boolean hasValues) {
        LoRAConfig config = LoRAConfig.builder().rank(1).targets(NamePattern.quoted(matrices))
                .trainable(NamePattern.quoted(trained)).bias(biases).build();
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            return new NetworkKind(Adaptation.applyToVerified(frozen, config), hasValues);
        }
    }

    /** Has a kind found from now on: {@code adapter} needs it. */
    public synchronized void install(NetworkKind kind, AdapterContent adapter) {
        if (kind.isOfOneAdapter()) {
            own.put(Layout.of(adapter), kind);
        } else {
            common = kind;
        }
    }

    /** Forgets kinds that none of the adapters needs. */
    public synchronized void retain(Collection<ServedAdapter> adapters) {
        own.values().removeIf(kind -> adapters.stream().noneMatch(adapter -> adapter.ownKind() == kind));
        if (adapters.isEmpty()) {
            common = bare;
        }
    }

    /** Forgets all kinds. */
    public synchronized void clear() {
        own.clear();
        common = null;
    }

    /** Whether some adapter still needs a kind. */
    synchronized boolean isPresent(NetworkKind kind) {
        return kind == common || own.containsValue(kind);
    }
}
