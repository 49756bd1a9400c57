package io.github.dl4jlora.adapter;

import io.github.dl4jlora.internal.run.AdaptedRuntime.Route;
import io.github.dl4jlora.internal.run.AdaptedRuntime.RowsMismatchException;
import io.github.dl4jlora.internal.rewrite.AdaptedView;
import io.github.dl4jlora.internal.rewrite.Adaptation;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.INDArrayIndex;
import org.nd4j.linalg.indexing.NDArrayIndex;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.HashMap;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.Semaphore;
import java.util.stream.IntStream;

/**
 * Many named adapters on one base network, for inference by many threads at once.
 *
 * <p>DL4J's networks serve one thread at a time, so the bank keeps a pool of networks that share the base's weights: at
 * most {@code maxNetworks} callers compute at the same time, others wait. A network is told which adapters to use by
 * reference, not by copying, so adapters of the same layers share networks whatever their ranks. When the pool is full,
 * the network that was idle longest makes way.
 *
 * <p>The base is for inference while the bank stands on it. Its weights are verified by content when an adapter is
 * added, not on every request.
 */
public final class AdapterBank implements AutoCloseable {

    /** What adapters must have in common to be computed by one network. */
    private record Layout(Set<String> adapted, Set<String> trained) {

        static Layout of(LoRAAdapter adapter) {
            return new Layout(Set.copyOf(adapter.deltas().keySet()), Set.copyOf(adapter.trained().keySet()));
        }
    }

    /** An adapter, and the network whose copies compute it. A request holds on to it, whatever becomes of the bank. */
    private record Served(LoRAAdapter adapter, Layout layout, Model prototype) {
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

    private final Model base;
    private final int maxNetworks;
    private final Semaphore permits;
    // All below is guarded by this.
    private final Map<String, Served> adapters = new LinkedHashMap<>();
    private final Map<Layout, Model> prototypes = new HashMap<>();
    /** The most recently used first. */
    private final Deque<Worker> idle = new ArrayDeque<>();
    private int built;
    private boolean closed;

    /** A bank with as many networks as there are processors. */
    public AdapterBank(Model base) {
        this(base, Runtime.getRuntime().availableProcessors());
    }

    /**
     * @param base        a ComputationGraph or MultiLayerNetwork, not adapted
     * @param maxNetworks how many networks there may be, which is how many callers compute at the same time
     * @throws IllegalArgumentException if there may be no network, or the base is neither of the two
     */
    public AdapterBank(Model base, int maxNetworks) {
        if (maxNetworks < 1) {
            throw new IllegalArgumentException("maxNetworks is " + maxNetworks + ", but must be at least 1");
        }
        if (!(base instanceof ComputationGraph || base instanceof MultiLayerNetwork)) {
            throw new IllegalArgumentException("The base is " + (base == null ? null : base.getClass().getName())
                    + "; a ComputationGraph or MultiLayerNetwork is needed");
        }
        this.base = base;
        this.maxNetworks = maxNetworks;
        this.permits = new Semaphore(maxNetworks, true);
    }

    /**
     * Adds an adapter, which may be served from then on.
     *
     * @throws IllegalArgumentException if the name is taken, the adapter was made for another base or shape, is a DoRA
     *                                  adapter, or has trained biases
     */
    public void add(String name, LoRAAdapter whole) {
        Objects.requireNonNull(name, "name");
        // One base serves all: it stays whole.
        LoRAAdapter adapter = whole.toPlainLoRA();
        refuseMoreThanProducts(name, adapter);
        synchronized (this) {
            requireOpen();
            requireFree(name);
        }
        // Hashes the base and compares every shape.
        Model fitting = Adaptation.applyOfAdapter(base, adapter.config());
        adapter.applyTo(fitting);
        synchronized (this) {
            requireOpen();
            requireFree(name);
            Layout layout = Layout.of(adapter);
            adapters.put(name, new Served(adapter, layout, prototypes.computeIfAbsent(layout, key -> fitting)));
        }
    }

    private static void refuseMoreThanProducts(String name, LoRAAdapter adapter) {
        if (!adapter.biases().values().isEmpty()) {
            throw new IllegalArgumentException("Adapter \"" + name + "\" cannot be served by a bank: it has trained biases, of "
                    + adapter.biases().values().keySet() + ", and a bank adds only products A·B, row by row. Serve the network of "
                    + "LoRA.apply(base, adapter), or LoRA.merge it");
        }
        adapter.deltas().forEach((layer, delta) -> {
            if (!delta.kind().variant().isAdditive() || delta.trainsBias()) {
                throw new IllegalArgumentException("Adapter \"" + name + "\" cannot be served by a bank: on layer \"" + layer
                        + "\" it " + (delta.trainsBias() ? "has a trained bias" : "is " + delta.kind().variant().name())
                        + ", and a bank adds only products A·B, row by row. Serve the network of LoRA.apply(base, adapter), "
                        + "or LoRA.merge it");
            }
        });
    }

    private void requireFree(String name) {
        if (adapters.containsKey(name)) {
            throw new IllegalArgumentException("The bank has an adapter \"" + name + "\" already: remove it first");
        }
    }

    /**
     * Forgets an adapter; requests that have begun still get its answer, those that wait for a network included.
     *
     * @throws IllegalArgumentException if there is none of that name
     */
    public synchronized void remove(String name) {
        Layout layout = served(name).layout;
        adapters.remove(name);
        if (adapters.values().stream().noneMatch(other -> other.layout.equals(layout))) {
            prototypes.remove(layout);
        }
        for (Iterator<Worker> workers = idle.iterator(); workers.hasNext();) {
            if (isStale(workers.next())) {
                workers.remove();
                built--;
            }
        }
    }

    /** Whether a network serves no adapter any more, or holds the layers of one that was removed. */
    private boolean isStale(Worker worker) {
        return !prototypes.containsKey(worker.layout) || worker.trainedOf != null
                && adapters.values().stream().noneMatch(served -> served.adapter == worker.trainedOf);
    }

    /** Names of the adapters, in the order in which they were added. */
    public synchronized List<String> names() {
        return List.copyOf(adapters.keySet());
    }

    private Served served(String name) {
        Served served = adapters.get(name);
        if (served == null) {
            throw new IllegalArgumentException("The bank has no adapter \"" + name + "\"; it has " + adapters.keySet());
        }
        return served;
    }

    /**
     * What the base with this adapter computes.
     *
     * @throws IllegalArgumentException if there is no adapter of that name, or the network has several outputs
     * @throws IllegalStateException    if the bank is closed
     */
    public INDArray output(String name, INDArray... inputs) {
        return single(outputs(name, inputs));
    }

    /** As {@link #output(String, INDArray...)}, for networks of any number of outputs. */
    public INDArray[] outputs(String name, INDArray... inputs) {
        return compute(require(new String[] {name}).get(0), inputs);
    }

    /**
     * A mixed batch: each row with its own adapter. The products with the base's weights are computed once for the whole
     * batch, where no adapter has fully trained layers and a layer's rows are the batch's; otherwise there is one pass
     * for each adapter.
     *
     * @param names of the adapters, one for each row
     * @throws IllegalArgumentException if there is no adapter of some name, names and rows differ in number, the network has
     *                                  several outputs, or its output has another number of rows than its input
     * @throws IllegalStateException    if the bank is closed
     */
    public INDArray output(String[] names, INDArray input) {
        return single(outputs(names, input));
    }

    /** As {@link #output(String[], INDArray)}, for networks of any number of inputs and outputs. */
    public INDArray[] outputs(String[] names, INDArray... inputs) {
        for (INDArray input : inputs) {
            if (names.length == 0 || input.size(0) != names.length) {
                throw new IllegalArgumentException("There are " + names.length + " names of adapters for an input of "
                        + input.size(0)
                        + " rows " + Arrays.toString(input.shape()) + ": one for each row is needed");
            }
        }
        List<Served> byRow = require(names);
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            // Rows of one adapter side by side.
            Map<Served, List<Integer>> groups = new LinkedHashMap<>();
            IntStream.range(0, names.length)
                    .forEach(row -> groups.computeIfAbsent(byRow.get(row), key -> new ArrayList<>()).add(row));
            if (groups.size() == 1) {
                return compute(byRow.get(0), inputs);
            }
            long[] order = groups.values().stream().flatMap(List::stream).mapToLong(Integer::longValue).toArray();
            INDArray[] sorted = Arrays.stream(inputs).map(input -> rows(input, order)).toArray(INDArray[]::new);
            long[] back = new long[order.length];
            IntStream.range(0, order.length).forEach(position -> back[(int) order[position]] = position);
            INDArray[] outputs = compute(groups, sorted);
            for (INDArray output : outputs) {
                requireOneRowEach(output, names.length);
            }
            return Arrays.stream(outputs).map(output -> rows(output, back)).toArray(INDArray[]::new);
        }
    }

    /** Layers above a sequence make rows of its steps, in an order that only they know. */
    private static void requireOneRowEach(INDArray output, int examples) {
        if (output.size(0) != examples) {
            throw new IllegalArgumentException("The network's output has " + output.size(0) + " rows " + Arrays.toString(output.shape())
                    + " for " + examples + " examples, so that nobody can tell which adapter's they are. Ask once for each adapter with "
                    + "output(name, input)");
        }
    }

    private static INDArray rows(INDArray array, long[] indices) {
        INDArray[] rows = Arrays.stream(indices).mapToObj(row -> interval(array, row, row + 1)).toArray(INDArray[]::new);
        return Nd4j.concat(0, rows);
    }

    private static INDArray interval(INDArray array, long from, long to) {
        INDArrayIndex[] indices = new INDArrayIndex[array.rank()];
        Arrays.fill(indices, NDArrayIndex.all());
        indices[0] = NDArrayIndex.interval(from, to);
        return array.get(indices);
    }

    private static INDArray single(INDArray[] outputs) {
        if (outputs.length != 1) {
            throw new IllegalArgumentException("The network has " + outputs.length + " outputs: use outputs(...)");
        }
        return outputs[0];
    }

    private synchronized List<Served> require(String[] names) {
        requireOpen();
        return Arrays.stream(names).map(this::served).toList();
    }

    private void requireOpen() {
        if (closed) {
            throw new IllegalStateException("The bank is closed");
        }
    }

    private INDArray[] compute(Served served, INDArray[] inputs) {
        return withNetwork(served, worker -> {
            worker.view.adaptedMatrices().forEach((name, matrix) -> matrix.route(0, List.of(route(served, name, 0, 0))));
            return forward(worker.network, inputs);
        });
    }

    private INDArray[] compute(Map<Served, List<Integer>> groups, INDArray[] sorted) {
        Served first = groups.keySet().iterator().next();
        if (first.layout.trained.isEmpty() && groups.keySet().stream().allMatch(other -> other.layout.equals(first.layout))) {
            try {
                return computeAtOnce(first, groups, sorted);
            } catch (RowsMismatchException rowsAreNoExamples) {
                // One pass for each adapter, then.
            }
        }
        List<INDArray[]> parts = new ArrayList<>();
        long from = 0;
        for (Map.Entry<Served, List<Integer>> group : groups.entrySet()) {
            long start = from;
            long end = from + group.getValue().size();
            parts.add(compute(group.getKey(), Arrays.stream(sorted).map(input -> interval(input, start, end))
                    .toArray(INDArray[]::new)));
            from = end;
        }
        return IntStream.range(0, parts.get(0).length)
                .mapToObj(output -> Nd4j.concat(0, parts.stream().map(part -> part[output]).toArray(INDArray[]::new)))
                .toArray(INDArray[]::new);
    }

    private INDArray[] computeAtOnce(Served any, Map<Served, List<Integer>> groups, INDArray[] sorted) {
        return withNetwork(any, worker -> {
            worker.view.adaptedMatrices().forEach((name, matrix) -> {
                List<Route> routes = new ArrayList<>();
                long from = 0;
                for (Map.Entry<Served, List<Integer>> group : groups.entrySet()) {
                    routes.add(route(group.getKey(), name, from, from + group.getValue().size()));
                    from += group.getValue().size();
                }
                matrix.route(from, routes);
            });
            return forward(worker.network, sorted);
        });
    }

    private static Route route(Served served, String layer, long from, long to) {
        Delta delta = served.adapter.deltas().get(layer);
        return new Route(from, to, delta.a(), delta.b(), delta.factor());
    }

    private static INDArray[] forward(Model network, INDArray[] inputs) {
        if (network instanceof ComputationGraph graph) {
            return graph.output(inputs);
        }
        if (inputs.length != 1) {
            throw new IllegalArgumentException("A MultiLayerNetwork has one input, but there are " + inputs.length);
        }
        return new INDArray[] {((MultiLayerNetwork) network).output(inputs[0])};
    }

    /** A use of a network that nobody else has meanwhile. */
    private interface Use {
        INDArray[] of(Worker worker);
    }

    private INDArray[] withNetwork(Served served, Use use) {
        permits.acquireUninterruptibly();
        try {
            Worker worker = borrow(served);
            try {
                if (!served.layout.trained.isEmpty() && worker.trainedOf != served.adapter) {
                    worker.trainedOf = null;
                    served.adapter.assignTrained(worker.view);
                    worker.trainedOf = served.adapter;
                }
                return use.of(worker);
            } finally {
                worker.view.adaptedMatrices().values().forEach(matrix -> matrix.route(0, null));
                giveBack(worker);
            }
        } finally {
            permits.release();
        }
    }

    /** An idle network, best one that needs no change, or a new one, for which the one idle longest makes way if need be. */
    private Worker borrow(Served served) {
        synchronized (this) {
            Worker found = null;
            for (Worker worker : idle) {
                if (worker.layout.equals(served.layout) && (found == null || worker.trainedOf == served.adapter)) {
                    found = worker;
                    if (worker.trainedOf == served.adapter) {
                        break;
                    }
                }
            }
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
            return new Worker(served.layout, copy(served.prototype));
        } catch (RuntimeException | Error e) {
            synchronized (this) {
                built--;
            }
            throw e;
        }
    }

    private synchronized void giveBack(Worker worker) {
        if (closed || isStale(worker)) {
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

    /** How many networks there are now, at most {@code maxNetworks}. */
    synchronized int networks() {
        return built;
    }

    /** How many requests wait for a network. */
    int waiting() {
        return permits.getQueueLength();
    }

    /**
     * Forgets adapters and networks; the base stays open. Requests that have begun still get their answer, those that
     * wait for a network included.
     */
    @Override
    public synchronized void close() {
        closed = true;
        adapters.clear();
        prototypes.clear();
        built -= idle.size();
        idle.clear();
    }
}
