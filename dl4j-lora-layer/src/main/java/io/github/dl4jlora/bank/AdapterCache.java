package io.github.dl4jlora.bank;

import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.internal.common.GuardedBy;
import io.github.dl4jlora.internal.content.AdapterContent;
import io.github.dl4jlora.internal.content.ContentAccess;
import io.github.dl4jlora.internal.serve.Lease;
import io.github.dl4jlora.internal.serve.Loaders;
import io.github.dl4jlora.internal.serve.NetworkKinds;
import io.github.dl4jlora.internal.serve.ServedAdapter;
import io.github.dl4jlora.internal.serve.ServedMix;
import io.github.dl4jlora.internal.untrusted.Few;
import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.io.InterruptedIOException;
import java.io.UncheckedIOException;
import java.nio.channels.ClosedByInterruptException;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.function.Function;
import java.util.stream.Stream;

/**
 * The adapters of a bank by name: those that were added, and those that came from its source, of which the least recently used
 * make room for others.
 */
final class AdapterCache {

    /** An adapter that made room. */
    private record Evicted(String name, ServedAdapter adapter) {
    }

    /** An adapter on its way from the source. */
    private static final class Loading extends CompletableFuture<Void> {

        /** Whether it was forgotten already: it then serves those who wait for it, and nobody else. Guarded by the cache. */
        private boolean stale;
    }

    private final NetworkKinds kinds;
    private final @Nullable AdapterSource source;
    private final long maxBytes;
    private final SafeMetrics metrics;
    /** Lets go of networks that are not needed any more. */
    private final Runnable prune;
    private final ServableNames servable = new ServableNames("The source of a bank");
    /**
     * The lock of whoever prepares an adapter and installs its kind, so that no two extend the same kind, or look up the base's
     * values in its prototype, which is for one thread at a time. It is taken before this. Whoever holds this waits for no
     * source, and for no other lock than those of kinds and adapters.
     */
    private final Object adding = new Object();
    @GuardedBy("this")
    private final Map<String, ServedAdapter> added = new LinkedHashMap<>();
    /** In LRU order, eldest first. */
    @GuardedBy("this")
    private final Map<String, ServedAdapter> loaded = new LinkedHashMap<>(16, 0.75f, true);
    @GuardedBy("this")
    private final Map<String, Loading> loading = new HashMap<>();
    @GuardedBy("this")
    private long loadedBytes;
    @GuardedBy("this")
    private boolean closed;

    AdapterCache(NetworkKinds kinds, BankConfig config, SafeMetrics metrics, Runnable prune) {
        this.kinds = kinds;
        this.source = config.source().orElse(null);
        this.maxBytes = config.maxBytes();
        this.metrics = metrics;
        this.prune = prune;
    }

    /** @throws IllegalArgumentException if the name is taken and this does not replace it, or the adapter does not fit */
    void put(String name, LoRAAdapter adapter, boolean replaces) {
        synchronized (adding) {
            requireRoom(name, replaces);
            AdapterContent content = ContentAccess.of(adapter);
            NetworkKinds.Candidate candidate = kinds.candidate(name, content);
            synchronized (this) {
                kinds.install(candidate.kind(), content);
                retire(added.put(name, candidate.served()));
                forget(name);
            }
        }
        prune.run();
    }

    private synchronized void requireRoom(String name, boolean replaces) {
        requireOpen();
        if (!replaces && added.containsKey(name)) {
            throw new IllegalArgumentException("The bank already has an adapter \"" + name + "\": replace it, or remove it "
                    + "first");
        }
    }

    void remove(String name) {
        boolean found;
        boolean comes;
        synchronized (adding) {
            synchronized (this) {
                ServedAdapter old = added.remove(name);
                retire(old);
                found = old != null;
                comes = loaded.containsKey(name);
            }
        }
        if (!found) {
            throw comes ? new IllegalArgumentException("Adapter \"" + name + "\" came from the bank's source and cannot be "
                    + "removed from the bank: remove it from the source, then refresh it") : unknown(name);
        }
        prune.run();
    }

    /** @throws IllegalArgumentException if the adapter does not fit */
    void check(String name, LoRAAdapter adapter) {
        synchronized (adding) {
            requireOpen();
            kinds.candidate(name, ContentAccess.of(adapter)).served().release();
        }
    }

    /** Forgets what came from the source by this name. */
    void refresh(String name) {
        synchronized (this) {
            requireOpen();
            forget(name);
        }
        prune.run();
    }

    @GuardedBy("this")
    private void forget(String name) {
        Loading load = loading.get(name);
        if (load != null) {
            load.stale = true;
        }
        ServedAdapter old = loaded.remove(name);
        if (old != null) {
            loadedBytes -= old.bytes();
            retire(old);
        }
    }

    /** @param adapter null for none */
    @GuardedBy("this")
    private void retire(@Nullable ServedAdapter adapter) {
        if (adapter != null) {
            adapter.retire();
            if (adapter.ownKind() != null || added.isEmpty() && loaded.isEmpty()) {
                kinds.retain(Stream.of(added, loaded).map(Map::values).flatMap(Collection::stream).toList());
            }
        }
    }

    /** Names of adapters that were added, in that order, then names from the source. */
    List<String> names() {
        Set<String> names = namesOfAdded();
        try {
            names.addAll(source == null ? List.of() : servable.of(source.names()));
        } catch (IOException e) {
            throw new UncheckedIOException("The source cannot list its adapters: " + e.getMessage(), e);
        }
        return List.copyOf(names);
    }

    private synchronized Set<String> namesOfAdded() {
        return new LinkedHashSet<>(added.keySet());
    }

    /**
     * Looks mixes up without waiting.
     *
     * @return null if some adapter would have to be loaded first
     * @throws UnknownAdapterException if there is none of some name, and no source
     */
    synchronized @Nullable Lease holdPresent(List<AdapterMix> mixes) {
        requireOpen();
        for (AdapterMix mix : mixes) {
            for (String name : mix.weights().keySet()) {
                if (present(name) == null) {
                    if (source == null) {
                        throw unknown(name);
                    }
                    return null;
                }
            }
        }
        return hold(mixes);
    }

    /**
     * Looks mixes up, and loads what is not there.
     *
     * @throws UnknownAdapterException if there is none of some name
     * @throws UncheckedIOException    if one cannot be loaded
     */
    Lease hold(List<AdapterMix> mixes) {
        return hold(mixes, this::held);
    }

    /**
     * As {@link #hold(List)}, for a thread that must not wait for others.
     *
     * @throws Loaders.BusyException if another thread loads one of the adapters; then none is held
     */
    Lease holdUnlessBusy(List<AdapterMix> mixes) {
        return hold(mixes, name -> {
            Attempt attempt = attempt(name);
            if (attempt.adapter() == null) {
                throw new Loaders.BusyException(Objects.requireNonNull(attempt.load()), !attempt.stale());
            }
            return attempt.adapter();
        });
    }

    private Lease hold(List<AdapterMix> mixes, Function<String, ServedAdapter> holding) {
        Map<String, ServedAdapter> held = new LinkedHashMap<>();
        try {
            requireOpen();
            mixes.stream().flatMap(mix -> mix.weights().keySet().stream()).distinct()
                    .forEach(name -> held.put(name, holding.apply(name)));
            Map<AdapterMix, ServedMix> served = new HashMap<>();
            mixes.forEach(mix -> served.computeIfAbsent(mix,
                    each -> ServedMix.of(each.weights(), held, kinds, each::toString)));
            return new Lease(mixes.stream().map(served::get).toList(), List.copyOf(held.values()));
        } catch (RuntimeException | Error e) {
            held.values().forEach(ServedAdapter::release);
            throw e;
        }
    }

    private ServedAdapter held(String name) {
        for (;;) {
            Attempt attempt = attempt(name);
            if (attempt.adapter() != null) {
                return attempt.adapter();
            }
            try {
                Objects.requireNonNull(attempt.load()).join();
            } catch (CompletionException e) {
                if (!attempt.stale()) {
                    throw e.getCause() instanceof RuntimeException cause ? cause : e;
                }
            }
        }
    }

    /**
     * @param adapter in memory, and held; null if another thread loads it
     * @param load    of the other thread; null if the adapter is in memory
     * @param stale   whether that load was forgotten already
     */
    private record Attempt(@Nullable ServedAdapter adapter, @Nullable Loading load, boolean stale) {
    }

    /** An adapter that is in memory, or that nobody else loads: then this thread does. */
    private Attempt attempt(String name) {
        Loading load;
        synchronized (this) {
            requireOpen();
            ServedAdapter present = present(name);
            if (present != null) {
                present.hold();
                return new Attempt(present, null, false);
            }
            if (source == null) {
                throw unknown(name);
            }
            load = loading.get(name);
            if (load != null) {
                return new Attempt(null, load, load.stale);
            }
            load = new Loading();
            loading.put(name, load);
        }
        return new Attempt(load(name, load), null, false);
    }

    /** Loads an adapter. It is held once for the caller, and once for the cache unless it was forgotten in the meantime. */
    private ServedAdapter load(String name, Loading load) {
        try {
            long start = System.nanoTime();
            LoRAAdapter adapter = fetched(name);
            List<Evicted> evicted = new ArrayList<>();
            ServedAdapter served;
            synchronized (adding) {
                requireOpen();
                AdapterContent content = ContentAccess.of(adapter);
                NetworkKinds.Candidate candidate = kinds.candidate(name, content);
                served = candidate.served();
                synchronized (this) {
                    kinds.install(candidate.kind(), content);
                    served.hold();
                    loading.remove(name);
                    if (load.stale) {
                        retire(served);
                    } else {
                        loaded.put(name, served);
                        loadedBytes += served.bytes();
                        makeRoom(served, evicted);
                    }
                }
            }
            load.complete(null);
            metrics.loaded(name, served.bytes(), System.nanoTime() - start);
            evicted.forEach(one -> metrics.evicted(one.name, one.adapter.bytes()));
            if (!evicted.isEmpty()) {
                prune.run();
            }
            return served;
        } catch (IOException | RuntimeException | Error e) {
            RuntimeException failure = failure(name, e);
            synchronized (this) {
                loading.remove(name);
            }
            load.completeExceptionally(failure);
            if (!(e instanceof UnknownAdapterException)) {
                metrics.notLoaded(name, e instanceof Exception cause ? cause : failure);
            }
            throw failure;
        }
    }

    /** Others wait for the same load, so an interrupt of the thread that does it does not stop it. */
    private LoRAAdapter fetched(String name) throws IOException {
        boolean interrupted = false;
        try {
            for (;;) {
                interrupted |= Thread.interrupted();
                try {
                    return Objects.requireNonNull(source).load(name).orElseThrow(() -> unknown(name));
                } catch (ClosedByInterruptException e) {
                    interrupted = true;
                } catch (InterruptedIOException e) {
                    // A source may also say so when a time limit of its own is over.
                    if (!Thread.currentThread().isInterrupted()) {
                        throw e;
                    }
                    interrupted = true;
                }
            }
        } finally {
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }

    /**
     * An adapter of the source that does not fit, or for which memory is too short, is the source's failure, and no illegal
     * argument of whoever asks for it.
     */
    private static RuntimeException failure(String name, Throwable e) {
        IOException io = e instanceof IOException cause ? cause : e instanceof Error
                || e instanceof IllegalArgumentException && !(e instanceof UnknownAdapterException) ? new IOException(e) : null;
        return io == null ? (RuntimeException) e : new UncheckedIOException("Adapter \"" + name + "\" cannot be loaded: "
                + (e instanceof Error || e.getMessage() == null ? e : e.getMessage()), io);
    }

    /** @param evicted receives those that made room */
    @GuardedBy("this")
    private void makeRoom(ServedAdapter newest, List<Evicted> evicted) {
        Iterator<Map.Entry<String, ServedAdapter>> eldest = loaded.entrySet().iterator();
        while (loadedBytes > maxBytes && eldest.hasNext()) {
            Map.Entry<String, ServedAdapter> entry = eldest.next();
            if (entry.getValue() != newest) {
                evicted.add(new Evicted(entry.getKey(), entry.getValue()));
                loadedBytes -= entry.getValue().bytes();
                eldest.remove();
            }
        }
        for (Evicted one : evicted) {
            retire(one.adapter);
        }
    }

    /** Null if it is not in memory. */
    @GuardedBy("this")
    private @Nullable ServedAdapter present(String name) {
        ServedAdapter own = added.get(name);
        return own != null ? own : loaded.get(name);
    }

    /** Does not name what the source has: to list thousands would take longer than to answer. */
    private UnknownAdapterException unknown(String name) {
        Collection<String> known = namesOfAdded();
        String some = Few.of(known);
        return new UnknownAdapterException(name, "The bank has no adapter \"" + name + "\"" + (source == null ? "; it has " + some
                : known.isEmpty() ? ", and neither has its source" : ", and neither has its source; the adapters added are "
                + some));
    }

    private synchronized void requireOpen() {
        if (closed) {
            throw new IllegalStateException("The bank is closed");
        }
    }

    synchronized int size() {
        return added.size() + loaded.size();
    }

    synchronized long bytes() {
        return added.values().stream().mapToLong(ServedAdapter::bytes).sum() + loadedBytes;
    }

    synchronized long loadedBytes() {
        return loadedBytes;
    }

    void close() {
        synchronized (adding) {
            synchronized (this) {
                closed = true;
                Stream.of(added, loaded).map(Map::values).flatMap(Collection::stream).forEach(ServedAdapter::retire);
                added.clear();
                loaded.clear();
                loadedBytes = 0;
                kinds.clear();
            }
        }
        prune.run();
    }
}
