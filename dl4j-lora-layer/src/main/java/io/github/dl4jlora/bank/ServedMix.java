package io.github.dl4jlora.bank;

import io.github.dl4jlora.internal.kernel.Route;

import java.util.List;
import java.util.Objects;

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

    /** What stands in for a matrix's own adapter, for some examples. */
    List<Route> routes(String layer, long from, long to) {
        return shares.stream().filter(share -> share.weight != 0)
                .map(share -> share.adapter.route(layer, share.weight, from, to)).filter(Objects::nonNull).toList();
    }

    /** Whether some adapter changes a matrix. */
    boolean changes(String layer) {
        return shares.stream().anyMatch(share -> share.adapter.changes(layer));
    }

    /** The adapter whose values have to be in the network; null for none. */
    ServedAdapter withValues() {
        return shares.stream().map(Share::adapter).filter(adapter -> adapter.values() != null).findFirst().orElse(null);
    }
}
