package io.github.dl4jlora.internal.serve;

import io.github.dl4jlora.internal.blas.Route;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;

import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.Supplier;
import java.util.stream.Collectors;

/**
 * The adapters of a mix, with their weights, and the kind of network that computes it. Adapters and kinds are compared by
 * identity.
 *
 * @param shares none for the base
 */
public record ServedMix(List<Share> shares, NetworkKind kind) {

    /** An adapter, and what its change of the weights is multiplied by. */
    public record Share(ServedAdapter adapter, double weight) {
    }

    /**
     * A mix of adapters by name.
     *
     * @param weights  by name; none for the base
     * @param adapters by name, those of the mix among them
     * @param text     how the caller writes the mix, for messages
     * @throws IllegalArgumentException if an adapter that does more than to add is weighted or added to others, or a weight is
     *                                  more than the network's type can hold
     */
    public static ServedMix of(Map<String, Double> weights, Map<String, ServedAdapter> adapters, NetworkKinds kinds,
            Supplier<String> text) {
        List<Share> shares = weights.entrySet().stream()
                .map(share -> new Share(Objects.requireNonNull(adapters.get(share.getKey())), share.getValue())).toList();
        boolean plain = shares.size() == 1 && shares.get(0).weight() == 1;
        weights.forEach((name, weight) -> {
            ServedAdapter adapter = Objects.requireNonNull(adapters.get(name));
            String more = plain ? null : adapter.moreThanAdding();
            if (more != null) {
                throw new IllegalArgumentException("\"" + text.get() + "\": adapter \"" + name + "\" can be neither multiplied "
                        + "nor added to others, because " + more + ". Ask for it alone, without a weight");
            }
            DataType type = plain ? null : adapter.tooSmallFor(weight);
            if (type != null) {
                throw new IllegalArgumentException("\"" + text.get() + "\": the weight " + weight + " of adapter \"" + name
                        + "\" is beyond what the network's data type " + type + " can hold. Ask for a smaller weight");
            }
        });
        NetworkKind own = plain ? shares.get(0).adapter().ownKind() : null;
        return new ServedMix(shares, own != null ? own : kinds.common(shares.stream()
                .flatMap(share -> share.adapter.matrices().stream()).collect(Collectors.toSet())));
    }

    /** What a matrix computes with in place of its own adapter, for some examples. */
    List<Route> routes(String layer, long from, long to) {
        return shares.stream().filter(share -> share.weight != 0)
                .map(share -> share.adapter.route(layer, share.weight, from, to)).filter(Objects::nonNull).toList();
    }

    /** Whether some adapter changes a matrix. */
    boolean changes(String layer) {
        return shares.stream().anyMatch(share -> share.adapter.matrices().contains(layer));
    }

    /** The adapter whose values have to be in the network; null for none. */
    @Nullable ServedAdapter withValues() {
        return shares.stream().map(Share::adapter).filter(adapter -> adapter.values() != null).findFirst().orElse(null);
    }
}
