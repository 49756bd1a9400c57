package io.github.dl4jlora.bank;

import org.deeplearning4j.nn.api.Model;

import java.util.Arrays;
import java.util.List;

/** A bank's parts, put together as {@link AdapterBank} does, for tests that look behind it. */
final class Parts implements AutoCloseable {

    final Shelf shelf;
    final Passes passes;
    final RequestQueue queue;

    Parts(Model base, BankConfig config) {
        Told metrics = new Told(config.metrics());
        NetworkKinds kinds = new NetworkKinds(base);
        NetworkPool pool = new NetworkPool(config.maxNetworks(),
                (kind, values) -> kinds.isPresent(kind) && (values == null || values.isShelved()));
        passes = new Passes(pool, new Masks(base), metrics);
        shelf = new Shelf(kinds, config, metrics, pool::prune);
        queue = new RequestQueue(passes, shelf, config, metrics);
    }

    /** Holds them. */
    Lease hold(String... names) {
        return shelf.hold(Arrays.stream(names).map(AdapterMix::of).toList());
    }

    /** Adapters as they are now, held by nobody for this. */
    List<ServedAdapter> seen(String... names) {
        try (Lease lease = hold(names)) {
            return lease.held();
        }
    }

    /** Whether the memory of an adapter of layer fc is freed. */
    static boolean isFreed(ServedAdapter adapter) {
        return adapter.route("fc", 1, 0, 1).a().wasClosed();
    }

    @Override
    public void close() {
        queue.close(shelf::close);
    }
}
