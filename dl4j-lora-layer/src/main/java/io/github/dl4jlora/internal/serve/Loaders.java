package io.github.dl4jlora.internal.serve;

import io.github.dl4jlora.internal.common.GuardedBy;
import org.jspecify.annotations.Nullable;

import java.util.IdentityHashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.function.BiConsumer;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.function.Predicate;

/**
 * Threads that load the adapters of requests, so that an adapter that has to be read first holds up no other request. A request
 * whose adapter another thread loads already takes no thread meanwhile.
 *
 * @param <R> a request, equal to no other
 */
public final class Loaders<R> {

    private final Predicate<R> done;
    private final Function<R, Lease> holding;
    private final ThreadPoolExecutor threads;
    private final BiConsumer<R, Lease> loaded;
    private final BiConsumer<R, Throwable> failed;
    /** By the load that they wait for: requests, and whether they share its failure. */
    @GuardedBy("this")
    private final Map<Object, Map<R, Boolean>> waiting = new IdentityHashMap<>();

    /** Another thread loads an adapter that is asked for. */
    public static final class BusyException extends RuntimeException {

        private static final long serialVersionUID = 1L;

        private final transient CompletableFuture<?> load;
        private final boolean sharesFailure;

        /**
         * @param load          one object for all who wait for it
         * @param sharesFailure whether a failure of that load is the answer, or the adapter is to be loaded anew after it
         */
        public BusyException(CompletableFuture<?> load, boolean sharesFailure) {
            super(null, null, false, false);
            this.load = load;
            this.sharesFailure = sharesFailure;
        }

        /** @param then receives the failure, or null, on the thread that loads, or at once if that has ended */
        @SuppressWarnings("FutureReturnValueIgnored") // What follows does not fail.
        private void whenEnded(Consumer<@Nullable Throwable> then) {
            load.whenComplete((nothing, failure) -> then.accept(failure));
        }
    }

    /** Equal to another of the same request. */
    private record Load<R>(Loaders<R> loaders, R request) implements Runnable {

        @Override
        public void run() {
            loaders.run(request);
        }
    }

    /**
     * @param done    whether a request is answered, or nobody waits for it
     * @param holding loads a request's adapters and holds them, unless it throws a {@link BusyException}
     * @param most    requests whose adapters are loaded at a time
     * @param loaded  receives a request with its adapters, in memory and held
     * @param failed  receives a request whose adapters cannot be loaded
     */
    public Loaders(Predicate<R> done, Function<R, Lease> holding, int most, ThreadFactory factory, BiConsumer<R, Lease> loaded,
            BiConsumer<R, Throwable> failed) {
        this.done = done;
        this.holding = holding;
        this.threads = new ThreadPoolExecutor(most, most, 0, TimeUnit.MILLISECONDS, new LinkedBlockingQueue<>(), factory);
        this.loaded = loaded;
        this.failed = failed;
    }

    /** Loads the adapters of a request, on a thread of its own. */
    public void load(R request) {
        threads.execute(new Load<>(this, request));
    }

    private void run(R request) {
        try {
            if (!done.test(request)) {
                loaded.accept(request, holding.apply(request));
            }
        } catch (BusyException e) {
            await(request, e);
        } catch (RuntimeException | Error e) {
            failed.accept(request, e);
        }
    }

    private void await(R request, BusyException busy) {
        Object load = busy.load;
        boolean first;
        synchronized (this) {
            first = !waiting.containsKey(load);
            waiting.computeIfAbsent(load, key -> new LinkedHashMap<>()).put(request, busy.sharesFailure);
        }
        if (first) {
            busy.whenEnded(failure -> ended(load, failure));
        }
        if (done.test(request)) {
            forget(request);
        }
    }

    private void ended(Object load, @Nullable Throwable failure) {
        Map<R, Boolean> ended;
        synchronized (this) {
            ended = waiting.remove(load);
        }
        ended.forEach((request, sharesFailure) -> {
            if (failure != null && sharesFailure) {
                threads.execute(() -> failed.accept(request, failure));
            } else {
                load(request);
            }
        });
    }

    /** A request that was cancelled, or whose time is over, is not kept for a load that may never end. */
    public void forget(R request) {
        threads.remove(new Load<>(this, request));
        synchronized (this) {
            waiting.values().forEach(requests -> requests.remove(request));
        }
    }

    /** Loads no more. */
    public void shutDown() {
        threads.shutdown();
    }
}
