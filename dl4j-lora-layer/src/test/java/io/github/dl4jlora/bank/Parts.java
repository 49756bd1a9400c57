package io.github.dl4jlora.bank;

import io.github.dl4jlora.internal.serve.Lease;
import io.github.dl4jlora.internal.serve.Masks;
import io.github.dl4jlora.internal.serve.NetworkKinds;
import io.github.dl4jlora.internal.serve.NetworkPool;
import io.github.dl4jlora.internal.serve.Passes;
import io.github.dl4jlora.internal.serve.ServedAdapter;
import org.deeplearning4j.nn.api.Model;

import java.util.Arrays;
import java.util.List;

/** A bank's parts, put together as {@link AdapterBank} does, for tests that look behind it. */
final class Parts implements AutoCloseable {

    final AdapterCache cache;
    final Passes passes;
    final RequestQueue queue;

    Parts(Model base, BankConfig config) {
        SafeMetrics metrics = new SafeMetrics(config.metrics());
        NetworkKinds kinds = new NetworkKinds(base, false);
        NetworkPool pool = new NetworkPool(config.maxNetworks(), kinds);
        passes = new Passes(pool, new Masks(base), metrics::computed);
        cache = new AdapterCache(kinds, config, metrics, pool::prune);
        queue = new RequestQueue(passes, cache, config, metrics);
    }

    /** Holds them. */
    Lease hold(String... names) {
        return cache.hold(Arrays.stream(names).map(AdapterMix::of).toList());
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
        queue.close(cache::close);
    }
}
