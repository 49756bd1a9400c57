package io.github.dl4jlora.internal.serve;

import io.github.dl4jlora.internal.blas.Route;
import io.github.dl4jlora.internal.common.GuardedBy;
import io.github.dl4jlora.internal.inspect.AdaptedView;
import io.github.dl4jlora.internal.swap.Swap;
import org.deeplearning4j.nn.api.Model;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.Semaphore;
import java.util.function.Function;
import java.util.function.Predicate;

/**
 * The networks of a bank: copies, which share the base's weights and are each used by one caller at a time. When there are as
 * many as there may be, callers wait; where none of the idle ones fits, the one idle longest makes way.
 */
public final class NetworkPool {

    /** A network. */
    private static final class Worker {

        private final NetworkKind kind;
        private final Model network;
        private final AdaptedView view;
        /** The adapter whose values it holds; null for none. While a caller has the network, it is the caller's. */
        private @Nullable ServedAdapter valuesOf;

        Worker(NetworkKind kind) {
            this.kind = kind;
            this.network = kind.copy();
            this.view = AdaptedView.of(network);
        }
    }

    private final int maxNetworks;
    private final Semaphore permits;
    private final NetworkKinds kinds;
    /** Set for a thread while a network is lent to it. */
    private final ThreadLocal<Boolean> lent = new ThreadLocal<>();
    /** The most recently used first. */
    @GuardedBy("this")
    private final Deque<Worker> idle = new ArrayDeque<>();
    @GuardedBy("this")
    private int built;

    /** @param kinds that are needed; networks of others are let go of */
    public NetworkPool(int maxNetworks, NetworkKinds kinds) {
        this.maxNetworks = maxNetworks;
        this.permits = new Semaphore(maxNetworks, true);
        this.kinds = kinds;
    }

    /** Lets go of networks that are not needed any more; those in use go when they are given back. */
    public synchronized void prune() {
        int before = idle.size();
        idle.removeIf(worker -> !isNeeded(worker));
        built -= before - idle.size();
    }

    private boolean isNeeded(Worker worker) {
        return kinds.isPresent(worker.kind) && (worker.valuesOf == null || !worker.valuesOf.isRetired());
    }

    /**
     * Waits for a network, and computes with it.
     *
     * @param values  the adapter whose values it must hold; null for none
     * @param routes  by matrix; a matrix without any computes what the base does
     * @param inOrder whether a matrix with several rows for an example has them by example:
     *                {@link io.github.dl4jlora.internal.run.AdaptedRuntime#route}
     * @param work    has the network to itself until it returns
     * @throws IllegalStateException as {@link #requireNoneLent}
     */
    INDArray[] compute(NetworkKind kind, @Nullable ServedAdapter values, Map<String, List<Route>> routes, long examples,
                       Predicate<String> inOrder, Function<Model, INDArray[]> work) {
        requireNoneLent();
        permits.acquireUninterruptibly();
        try {
            lent.set(true);
            Worker worker = borrow(kind, values);
            try {
                if (values != null && worker.valuesOf != values) {
                    worker.valuesOf = null;
                    Swap.valuesInto(worker.view, Objects.requireNonNull(values.values()));
                    worker.valuesOf = values;
                }
                worker.view.adaptedMatrices().forEach((layer, matrix) ->
                        matrix.route(examples, () -> inOrder.test(layer), routes.getOrDefault(layer, List.of())));
                return work.apply(worker.network);
            } finally {
                worker.view.adaptedMatrices().values().forEach(matrix -> matrix.route(0, () -> false, null));
                giveBack(worker);
            }
        } finally {
            lent.remove();
            permits.release();
        }
    }

    /**
     * A thread that waits for a second network may wait for itself, or for another that waits in the same way.
     *
     * @throws IllegalStateException if this thread has a network already
     */
    void requireNoneLent() {
        if (lent.get() != null) {
            throw new IllegalStateException("This thread already has a network of the bank: ask after compute(...) has "
                    + "returned");
        }
    }

    /** An idle network, best one with the values; else a new one, for which the one idle longest makes way if need be. */
    private Worker borrow(NetworkKind kind, @Nullable ServedAdapter values) {
        synchronized (this) {
            Worker found = idle(kind, values);
            if (found != null) {
                idle.remove(found);
                return found;
            }
            if (built == maxNetworks) {
                idle.removeLast();
                built--;
            }
            built++;
        }
        try {
            return new Worker(kind);
        } catch (RuntimeException | Error e) {
            synchronized (this) {
                built--;
            }
            throw e;
        }
    }

    /** Null if there is none of the kind. */
    @GuardedBy("this")
    private @Nullable Worker idle(NetworkKind kind, @Nullable ServedAdapter values) {
        Worker found = null;
        for (Worker worker : idle) {
            if (worker.kind == kind) {
                if (worker.valuesOf == values) {
                    return worker;
                }
                found = found == null ? worker : found;
            }
        }
        return found;
    }

    private synchronized void giveBack(Worker worker) {
        if (isNeeded(worker)) {
            idle.addFirst(worker);
        } else {
            built--;
        }
    }

    /** How many networks there are now. */
    public synchronized int networks() {
        return built;
    }

    /** How many callers wait for a network. */
    public int waiting() {
        return permits.getQueueLength();
    }
}
