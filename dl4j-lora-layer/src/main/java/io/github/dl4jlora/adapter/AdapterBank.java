package io.github.dl4jlora.adapter;

import io.github.dl4jlora.adapter.NetworkPool.Served;
import io.github.dl4jlora.internal.rewrite.Adaptation;
import io.github.dl4jlora.internal.run.AdaptedRuntime.RowsMismatchException;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

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

    private final Model base;
    private final NetworkPool pool;
    // All below is guarded by this.
    private final Map<String, Served> adapters = new LinkedHashMap<>();
    private boolean closed;

    /**
     * A bank with as many networks as there are processors.
     *
     * @param base a ComputationGraph or MultiLayerNetwork, not adapted
     * @throws IllegalArgumentException if the base is neither of the two
     */
    public AdapterBank(Model base) {
        this(base, Runtime.getRuntime().availableProcessors());
    }

    /**
     * A bank with a number of networks.
     *
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
        this.pool = new NetworkPool(maxNetworks);
    }

    /**
     * Adds an adapter, which may be served from then on.
     *
     * @param name  by which requests ask for it
     * @param whole an adapter for the bank's base
     * @throws IllegalArgumentException if the name is taken, the adapter was made for another base or shape, is a DoRA
     *                                  adapter, or has trained biases
     * @throws IllegalStateException    if the bank is closed
     */
    public void add(String name, LoRAAdapter whole) {
        Objects.requireNonNull(name, "The name of the adapter is null");
        Objects.requireNonNull(whole, "The adapter is null");
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
            adapters.put(name, pool.add(adapter, fitting));
        }
    }

    private static void refuseMoreThanProducts(String name, LoRAAdapter adapter) {
        if (!adapter.content().biases().values().isEmpty()) {
            throw cannotServe(name, "it has trained biases, of " + adapter.content().biases().values().keySet());
        }
        adapter.deltas().forEach((layer, delta) -> {
            if (!delta.kind().variant().isAdditive() || delta.trainsBias()) {
                throw cannotServe(name, "on layer \"" + layer + "\" it "
                        + (delta.trainsBias() ? "has a trained bias" : "is " + delta.kind().variant().name()));
            }
        });
    }

    private static IllegalArgumentException cannotServe(String name, String reason) {
        return new IllegalArgumentException("Adapter \"" + name + "\" cannot be served by a bank: " + reason
                + ", and a bank adds only products A·B, row by row. Serve the network of LoRA.apply(base, adapter), "
                + "or LoRA.merge it");
    }

    private void requireFree(String name) {
        if (adapters.containsKey(name)) {
            throw new IllegalArgumentException("The bank has an adapter \"" + name + "\" already: remove it first");
        }
    }

    /**
     * Forgets an adapter; requests that have begun still get its answer, those that wait for a network included.
     *
     * @param name of an adapter that was added
     * @throws IllegalArgumentException if there is none of that name
     */
    public synchronized void remove(String name) {
        pool.remove(served(name));
        adapters.remove(name);
    }

    /** {@return names of the adapters, in the order in which they were added} */
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
     * @param name   of an adapter that was added
     * @param inputs one for each of the network's
     * @return what the network with this adapter would return
     * @throws IllegalArgumentException if there is no adapter of that name, or the network has several outputs
     * @throws IllegalStateException    if the bank is closed
     */
    public INDArray output(String name, INDArray... inputs) {
        return single(outputs(name, inputs));
    }

    /**
     * As {@link #output(String, INDArray...)}, for networks of any number of outputs.
     *
     * @param name   of an adapter that was added
     * @param inputs one for each of the network's
     * @return one for each of the network's outputs
     * @throws IllegalArgumentException if there is no adapter of that name
     * @throws IllegalStateException    if the bank is closed
     */
    public INDArray[] outputs(String name, INDArray... inputs) {
        return compute(require(new String[] {name}).get(0), inputs);
    }

    /**
     * A mixed batch: each row with its own adapter. The products with the base's weights are computed once for the whole
     * batch, where no adapter has fully trained layers and a layer's rows are the batch's; otherwise there is one pass
     * for each adapter.
     *
     * @param names of the adapters, one for each row
     * @param input whose first dimension is the batch's
     * @return rows in the order of the input's
     * @throws IllegalArgumentException if there is no adapter of some name, names and rows differ in number, the network has
     *                                  several outputs, or its output has another number of rows than its input
     * @throws IllegalStateException    if the bank is closed
     */
    public INDArray output(String[] names, INDArray input) {
        return single(outputs(names, input));
    }

    /**
     * As {@link #output(String[], INDArray)}, for networks of any number of inputs and outputs.
     *
     * @param names  of the adapters, one for each row
     * @param inputs one for each of the network's, whose first dimension is the batch's
     * @return one for each of the network's outputs, rows in the order of the inputs'
     * @throws IllegalArgumentException if there is no adapter of some name, names and rows differ in number, or an output
     *                                  has another number of rows than the inputs
     * @throws IllegalStateException    if the bank is closed
     */
    public INDArray[] outputs(String[] names, INDArray... inputs) {
        for (INDArray input : inputs) {
            if (names.length == 0 || input.size(0) != names.length) {
                throw new IllegalArgumentException("There are " + names.length + " names of adapters for an input of "
                        + input.size(0) + " rows " + Arrays.toString(input.shape()) + ": one for each row is needed");
            }
        }
        List<Served> byRow = require(names);
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            MixedBatch batch = new MixedBatch(byRow);
            return batch.isOfOneAdapter() ? compute(batch.first(), inputs) : batch.restored(compute(batch, batch.sorted(inputs)));
        }
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
        return pool.with(served, (network, view) -> {
            view.adaptedMatrices().forEach((layer, matrix) -> matrix.route(0, List.of(MixedBatch.route(served, layer))));
            return forward(network, inputs);
        });
    }

    private INDArray[] compute(MixedBatch batch, INDArray[] sorted) {
        if (batch.isOfOneNetwork()) {
            try {
                return pool.with(batch.first(), (network, view) -> {
                    view.adaptedMatrices().forEach((layer, matrix) -> matrix.route(batch.rows(), batch.routes(layer)));
                    return forward(network, sorted);
                });
            } catch (RowsMismatchException rowsAreNoExamples) {
                // One pass for each adapter, then.
            }
        }
        return batch.oneByOne(sorted, this::compute);
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

    /** How many networks there are now, at most {@code maxNetworks}. */
    int networks() {
        return pool.networks();
    }

    /** How many requests wait for a network. */
    int waiting() {
        return pool.waiting();
    }

    /**
     * Forgets adapters and networks; the base stays open. Requests that have begun still get their answer, those that
     * wait for a network included.
     */
    @Override
    public synchronized void close() {
        closed = true;
        adapters.clear();
        pool.clear();
    }
}
