package io.github.dl4jlora.bank;

import io.github.dl4jlora.internal.blas.Route;
import org.nd4j.linalg.api.buffer.DataType;

import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.stream.Collectors;

/**
 * A mix whose adapters were looked up, and the kind of network that computes it. Two are equal that compute the same.
 *
 * @param shares none for the base
 * @param kind   compared by identity
 */
record ServedMix(List<Share> shares, NetworkKind kind) {

    /** An adapter, compared by identity, and what it is multiplied by. */
    record Share(ServedAdapter adapter, double weight) {
    }

    /**
     * @param adapters by name, those of the mix among them
     * @throws IllegalArgumentException if one is multiplied, or added to others, that does more than to add, or is multiplied by
     *                                  more than the network's type can hold
     */
    static ServedMix of(AdapterMix mix, Map<String, ServedAdapter> adapters, NetworkKinds kinds) {
        List<Share> shares = mix.weights().entrySet().stream()
                .map(share -> new Share(adapters.get(share.getKey()), share.getValue())).toList();
        boolean plain = shares.size() == 1 && shares.get(0).weight() == 1;
        mix.weights().forEach((name, weight) -> {
            String more = plain ? null : adapters.get(name).moreThanAdding();
            if (more != null) {
                throw new IllegalArgumentException("\"" + mix + "\": adapter \"" + name + "\" can be neither multiplied nor "
                        + "added to others, since " + more + ". Ask for it alone, without a weight");
            }
            DataType type = plain ? null : adapters.get(name).tooSmallFor(weight);
            if (type != null) {
                throw new IllegalArgumentException("\"" + mix + "\": the weight " + weight + " of adapter \"" + name
                        + "\" is beyond what the network's data type " + type + " can hold. Ask for a smaller one");
            }
        });
        NetworkKind own = plain ? shares.get(0).adapter().ownKind() : null;
        return new ServedMix(shares, own != null ? own : kinds.common(shares.stream()
                .flatMap(share -> share.adapter.matrices().stream()).collect(Collectors.toSet())));
    }

    /** What stands in for a matrix's own adapter, for some examples. */
    List<Route> routes(String layer, long from, long to) {
        return shares.stream().filter(share -> share.weight != 0)
                .map(share -> share.adapter.route(layer, share.weight, from, to)).filter(Objects::nonNull).toList();
    }

    /** Whether some adapter changes a matrix. */
    boolean changes(String layer) {
        return shares.stream().anyMatch(share -> share.adapter.matrices().contains(layer));
    }

    /** The adapter whose values have to be in the network; null for none. */
    ServedAdapter withValues() {
        return shares.stream().map(Share::adapter).filter(adapter -> adapter.values() != null).findFirst().orElse(null);
    }
}
