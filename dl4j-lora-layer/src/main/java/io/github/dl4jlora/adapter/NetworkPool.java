package io.github.dl4jlora.adapter;

import io.github.dl4jlora.internal.rewrite.AdaptedView;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Semaphore;

/**
 * The networks of an {@link AdapterBank}: copies of one for each layout that adapters have, which share the base's weights
 * and are each used by one caller at a time. When there are as many as there may be, callers wait; where none of the idle
 * ones fits, the one idle longest makes way.
 */
final class NetworkPool {

    /** What adapters must have in common to be computed by one network. */
    record Layout(Set<String> adapted, Set<String> trained) {

        static Layout of(LoRAAdapter adapter) {
            return new Layout(Set.copyOf(adapter.deltas().keySet()), Set.copyOf(adapter.content().trained().keySet()));
        }
    }

    /** An adapter, and the network whose copies compute it. A request holds on to it, whatever becomes of the bank. */
    record Served(LoRAAdapter adapter, Layout layout, Model prototype) {
    }

    /** A network of the pool; {@code trainedOf} is the adapter whose fully trained layers it holds, null for none. */
    private static final class Worker {

        private final Layout layout;
        private final Model network;
        private final AdaptedView view;
        private LoRAAdapter trainedOf;

        Worker(Layout layout, Model network) {
            this.layout = layout;
            this.network = network;
            this.view = AdaptedView.of(network);
        }
    }

    /** A use of a network that nobody else has meanwhile. */
    interface Use {

        /**
         * @param network its routes are forgotten afterwards
         * @param view    of the network
         */
        INDArray[] of(Model network, AdaptedView view);
    }

    private final int maxNetworks;
    private final Semaphore permits;
    // All below is guarded by this.
    private final List<Served> served = new ArrayList<>();
    private final Map<Layout, Model> prototypes = new HashMap<>();
    /** The most recently used first. */
    private final Deque<Worker> idle = new ArrayDeque<>();
    private int built;

    NetworkPool(int maxNetworks) {
        this.maxNetworks = maxNetworks;
        this.permits = new Semaphore(maxNetworks, true);
    }

    /** @param fitting a network for the adapter, of which copies are made if there is none of its layout yet */
    synchronized Served add(LoRAAdapter adapter, Model fitting) {
        Layout layout = Layout.of(adapter);
        Served added = new Served(adapter, layout, prototypes.computeIfAbsent(layout, key -> fitting));
        served.add(added);
        return added;
    }

    /** Lets go of networks that only this adapter needed; those in use go when they are given back. */
    synchronized void remove(Served removed) {
        served.remove(removed);
        if (served.stream().noneMatch(other -> other.layout.equals(removed.layout))) {
            prototypes.remove(removed.layout);
        }
        int before = idle.size();
        idle.removeIf(this::isStale);
        built -= before - idle.size();
    }

    /** As {@link #remove} of every adapter. */
    synchronized void clear() {
        served.clear();
        prototypes.clear();
        built -= idle.size();
        idle.clear();
    }

    /** Whether a network serves no adapter any more, or holds the layers of one that was removed. */
    private boolean isStale(Worker worker) {
        return !prototypes.containsKey(worker.layout) || worker.trainedOf != null
                && served.stream().noneMatch(other -> other.adapter == worker.trainedOf);
    }

    /** Waits for a network of the adapter's layout, which holds its fully trained layers, and uses it. */
    INDArray[] with(Served adapter, Use use) {
        permits.acquireUninterruptibly();
        try {
            Worker worker = borrow(adapter);
            try {
                if (!adapter.layout.trained.isEmpty() && worker.trainedOf != adapter.adapter) {
                    worker.trainedOf = null;
                    Swap.trainedInto(worker.view, adapter.adapter);
                    worker.trainedOf = adapter.adapter;
                }
                return use.of(worker.network, worker.view);
            } finally {
                worker.view.adaptedMatrices().values().forEach(matrix -> matrix.route(0, null));
                giveBack(worker);
            }
        } finally {
            permits.release();
        }
    }

    /** An idle network, best one that needs no change, or a new one, for which the one idle longest makes way if need be. */
    private Worker borrow(Served adapter) {
        synchronized (this) {
            Worker found = idle(adapter);
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
            return new Worker(adapter.layout, copy(adapter.prototype));
        } catch (RuntimeException | Error e) {
            synchronized (this) {
                built--;
            }
            throw e;
        }
    }

    /** Null if there is none of the adapter's layout. */
    private Worker idle(Served adapter) {
        Worker found = null;
        for (Worker worker : idle) {
            if (worker.layout.equals(adapter.layout)) {
                if (worker.trainedOf == adapter.adapter) {
                    return worker;
                }
                found = found == null ? worker : found;
            }
        }
        return found;
    }

    private synchronized void giveBack(Worker worker) {
        if (isStale(worker)) {
            built--;
        } else {
            idle.addFirst(worker);
        }
    }

    private static Model copy(Model prototype) {
        // DL4J does not promise that a network can be cloned by two threads at once.
        synchronized (prototype) {
            try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
                return prototype instanceof ComputationGraph graph ? graph.clone() : ((MultiLayerNetwork) prototype).clone();
            }
        }
    }

    /** How many networks there are now, at most as many as there may be. */
    synchronized int networks() {
        return built;
    }

    /** How many callers wait for a network. */
    int waiting() {
        return permits.getQueueLength();
    }
}
