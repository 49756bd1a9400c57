package io.github.dl4jlora.bank;

import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.internal.kernel.Route;
import io.github.dl4jlora.internal.peft.AdapterContent;
import io.github.dl4jlora.internal.run.AdaptedRuntime.RowsMismatchException;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.Function;

/**
 * Many named adapters on one base network, for inference by many threads at once.
 *
 * <p>DL4J's networks serve one thread at a time, so the bank keeps a pool of networks that share the base's weights: at
 * most {@code maxNetworks} callers compute at the same time, others wait. A network is told which adapters to use by
 * reference, not by copying, so that all adapters share all networks, whatever their layers, ranks and variants; those with
 * layers that were trained in full, or with biases of layers that they do not adapt, have networks of their own.
 *
 * <p>The base is for inference while the bank stands on it. Its weights are verified by content when the bank is made, and by
 * {@link #verify}, not on every request, nor when an adapter is added.
 */
public final class AdapterBank implements AutoCloseable {

    /** The name by which requests ask for the base without any adapter. */
    public static final String BASE = "__base__";

    private final NetworkKinds kinds;
    private final NetworkPool pool;
    private final RowOrders orders = new RowOrders();
    private final Object adding = new Object();
    // All below is guarded by this. Nobody waits for the pool's lock while holding it.
    private final Map<String, ServedAdapter> adapters = new LinkedHashMap<>();
    private boolean closed;

    /**
     * A bank with as many networks as there are processors.
     *
     * @param base a ComputationGraph or MultiLayerNetwork, not adapted
     * @throws IllegalArgumentException if the base is neither of the two, is adapted, or has no parameters
     */
    public AdapterBank(Model base) {
        this(base, Runtime.getRuntime().availableProcessors());
    }

    /**
     * A bank with a number of networks.
     *
     * @param base        a ComputationGraph or MultiLayerNetwork, not adapted
     * @param maxNetworks how many networks there may be, which is how many callers compute at the same time
     * @throws IllegalArgumentException if there may be no network, or as for {@link #AdapterBank(Model)}
     */
    public AdapterBank(Model base, int maxNetworks) {
        if (maxNetworks < 1) {
            throw new IllegalArgumentException("maxNetworks is " + maxNetworks + ", but must be at least 1");
        }
        if (!(base instanceof ComputationGraph || base instanceof MultiLayerNetwork)) {
            throw new IllegalArgumentException("The base is " + (base == null ? null : base.getClass().getName())
                    + "; a ComputationGraph or MultiLayerNetwork is needed");
        }
        this.kinds = new NetworkKinds(base);
        this.pool = new NetworkPool(maxNetworks, this::isNeeded);
    }

    private synchronized boolean isNeeded(NetworkKind kind, ServedAdapter values) {
        return kinds.isPresent(kind) && (values == null || adapters.containsValue(values));
    }

    /**
     * Adds an adapter, which may be served from then on.
     *
     * @param name    by which requests ask for it
     * @param adapter for the bank's base
     * @throws IllegalArgumentException if the name is taken, or is that of the base, or the adapter was made for another base or
     *                                  shape
     * @throws IllegalStateException    if the bank is closed
     */
    public void add(String name, LoRAAdapter adapter) {
        put(name, adapter, false);
    }

    /**
     * Adds an adapter in place of that of the same name, if there is one. Requests that have begun are answered by the old one.
     *
     * @param name    by which requests ask for it
     * @param adapter for the bank's base
     * @throws IllegalArgumentException as {@link #add}, but for a name that is taken; the old one then stays
     * @throws IllegalStateException    if the bank is closed
     */
    public void replace(String name, LoRAAdapter adapter) {
        put(name, adapter, true);
    }

    private void put(String name, LoRAAdapter adapter, boolean replaces) {
        Objects.requireNonNull(name, "The name of the adapter is null");
        Objects.requireNonNull(adapter, "The adapter is null");
        if (name.equals(BASE)) {
            throw new IllegalArgumentException("\"" + BASE + "\" is the base without any adapter: choose another name");
        }
        synchronized (adding) {
            requireRoom(name, replaces);
            AdapterContent content = AdapterContent.of(adapter);
            NetworkKinds.Candidate candidate = kinds.candidate(name, content);
            synchronized (this) {
                requireRoom(name, replaces);
                kinds.install(candidate.kind(), content);
                adapters.put(name, candidate.served());
                kinds.retain(adapters.values());
            }
        }
        pool.prune();
    }

    private synchronized void requireRoom(String name, boolean replaces) {
        requireOpen();
        if (!replaces && adapters.containsKey(name)) {
            throw new IllegalArgumentException("The bank has an adapter \"" + name + "\" already: replace it, or remove "
                    + "it first");
        }
    }

    /**
     * Forgets an adapter; requests that have begun still get its answer, those that wait for a network included.
     *
     * @param name of an adapter that was added
     * @throws IllegalArgumentException if there is none of that name
     */
    public void remove(String name) {
        synchronized (adding) {
            synchronized (this) {
                served(name);
                adapters.remove(name);
                kinds.retain(adapters.values());
            }
        }
        pool.prune();
    }

    /** {@return names of the adapters, in the order in which they were added} */
    public synchronized List<String> names() {
        return List.copyOf(adapters.keySet());
    }

    /**
     * Verifies the base by content, which takes a second for every gigabyte or two.
     *
     * @throws IllegalStateException naming the layer, if its weights were changed or closed since the bank was made
     */
    public void verify() {
        kinds.verify();
    }

    private ServedAdapter served(String name) {
        ServedAdapter served = adapters.get(name);
        if (served == null) {
            throw new IllegalArgumentException("The bank has no adapter \"" + name + "\"; it has " + adapters.keySet());
        }
        return served;
    }

    /**
     * What the base with this adapter computes.
     *
     * @param name   of an adapter that was added, or {@link #BASE}
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
     * @param name   of an adapter that was added, or {@link #BASE}
     * @param inputs one for each of the network's
     * @return one for each of the network's outputs
     * @throws IllegalArgumentException if there is no adapter of that name
     * @throws IllegalStateException    if the bank is closed
     */
    public INDArray[] outputs(String name, INDArray... inputs) {
        return outputs(AdapterMix.of(name), inputs);
    }

    /**
     * What the base with a mix of adapters computes.
     *
     * @param mix    of adapters that were added
     * @param inputs one for each of the network's
     * @return what a network with the sum of their changes would return
     * @throws IllegalArgumentException if there is no adapter of some name, the network has several outputs, or one that does
     *                                  more than to add (DoRA, trained biases, fully trained layers) is weighted or added to
     *                                  others
     * @throws IllegalStateException    if the bank is closed
     */
    public INDArray output(AdapterMix mix, INDArray... inputs) {
        return single(outputs(mix, inputs));
    }

    /**
     * As {@link #output(AdapterMix, INDArray...)}, for networks of any number of outputs.
     *
     * @param mix    of adapters that were added
     * @param inputs one for each of the network's
     * @return one for each of the network's outputs
     * @throws IllegalArgumentException as there, but for several outputs
     * @throws IllegalStateException    if the bank is closed
     */
    public INDArray[] outputs(AdapterMix mix, INDArray... inputs) {
        ServedMix served = look(List.of(mix)).get(0);
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            return compute(served, inputs);
        }
    }

    /**
     * A mixed batch: each example with its own adapter. The products with the base's weights are computed once for the whole
     * batch, where the adapters change nothing but layers that can tell examples apart; otherwise there is one pass for each
     * adapter.
     *
     * @param names of the adapters, one for each example; {@link #BASE} for none
     * @param input whose first dimension is the batch's
     * @return examples in the order of the input's
     * @throws IllegalArgumentException if there is no adapter of some name, names and examples differ in number, the network has
     *                                  several outputs, or its output has several rows for an example in an order of its own
     * @throws IllegalStateException    if the bank is closed
     */
    public INDArray output(String[] names, INDArray input) {
        return single(outputs(names, input));
    }

    /**
     * As {@link #output(String[], INDArray)}, for networks of any number of inputs and outputs.
     *
     * @param names  of the adapters, one for each example; {@link #BASE} for none
     * @param inputs one for each of the network's, whose first dimension is the batch's
     * @return one for each of the network's outputs, examples in the order of the inputs'
     * @throws IllegalArgumentException as there, but for several outputs
     * @throws IllegalStateException    if the bank is closed
     */
    public INDArray[] outputs(String[] names, INDArray... inputs) {
        return outputs(Arrays.stream(names).map(AdapterMix::of).toList(), inputs);
    }

    /**
     * As {@link #output(String[], INDArray)}, each example with its own mix.
     *
     * @param mixes one for each example
     * @param input whose first dimension is the batch's
     * @return examples in the order of the input's
     * @throws IllegalArgumentException as there, and as {@link #output(AdapterMix, INDArray...)}
     * @throws IllegalStateException    if the bank is closed
     */
    public INDArray output(List<AdapterMix> mixes, INDArray input) {
        return single(outputs(mixes, input));
    }

    /**
     * As {@link #output(List, INDArray)}, for networks of any number of inputs and outputs.
     *
     * @param mixes  one for each example
     * @param inputs one for each of the network's, whose first dimension is the batch's
     * @return one for each of the network's outputs, examples in the order of the inputs'
     * @throws IllegalArgumentException as there, but for several outputs
     * @throws IllegalStateException    if the bank is closed
     */
    public INDArray[] outputs(List<AdapterMix> mixes, INDArray... inputs) {
        if (inputs.length == 0) {
            throw new IllegalArgumentException("There is no input");
        }
        for (INDArray input : inputs) {
            if (mixes.isEmpty() || input.size(0) != mixes.size()) {
                throw new IllegalArgumentException("There are " + mixes.size() + " names of adapters for an input of "
                        + input.size(0) + " rows " + Arrays.toString(input.shape()) + ": one for each row is needed");
            }
        }
        List<ServedMix> byExample = look(mixes);
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            MixedBatch batch = new MixedBatch(byExample);
            if (batch.isOfOneMix()) {
                return compute(batch.first(), inputs);
            }
            INDArray[] sorted = batch.sorted(inputs);
            INDArray[] outputs = compute(batch, sorted);
            if (orders.areOutputsUnknown() && Arrays.stream(outputs).anyMatch(output -> output.size(0) != mixes.size())) {
                learn(batch.first().kind(), sorted);
            }
            return batch.restored(outputs, orders.areOutputsByExample());
        }
    }

    private static INDArray single(INDArray[] outputs) {
        if (outputs.length != 1) {
            throw new IllegalArgumentException("The network has " + outputs.length + " outputs: use outputs(...)");
        }
        return outputs[0];
    }

    private synchronized List<ServedMix> look(List<AdapterMix> mixes) {
        requireOpen();
        return mixes.stream().map(this::look).toList();
    }

    private ServedMix look(AdapterMix mix) {
        List<ServedMix.Share> shares = mix.weights().entrySet().stream()
                .map(share -> new ServedMix.Share(served(share.getKey()), share.getValue())).toList();
        boolean plain = shares.size() == 1 && shares.get(0).weight() == 1;
        mix.weights().forEach((name, weight) -> {
            String more = plain ? null : served(name).moreThanAdding();
            if (more != null) {
                throw new IllegalArgumentException("\"" + mix + "\": adapter \"" + name + "\" can be neither multiplied nor "
                        + "added to others, since " + more + ". Ask for it alone, without a weight");
            }
        });
        NetworkKind own = plain ? shares.get(0).adapter().ownKind() : null;
        return new ServedMix(shares, own == null ? kinds.common() : own);
    }

    private void requireOpen() {
        if (closed) {
            throw new IllegalStateException("The bank is closed");
        }
    }

    private INDArray[] compute(ServedMix mix, INDArray[] inputs) {
        return pool.compute(mix.kind(), mix.withValues(), routes(mix.kind(), layer -> mix.routes(layer, 0, 0)), 0, layer -> true,
                inputs);
    }

    private INDArray[] compute(MixedBatch batch, INDArray[] sorted) {
        NetworkKind kind = batch.first().kind();
        Map<String, List<Route>> routes = routes(kind, batch::routes);
        if (batch.isOfOneNetwork() && orders.mayBeByExample(routes.keySet())) {
            for (boolean again = true; again; ) {
                try {
                    return pool.compute(kind, null, routes, batch.examples(), orders::isByExample, sorted);
                } catch (RowsMismatchException severalRowsForAnExample) {
                    again = learn(kind, sorted) && orders.mayBeByExample(routes.keySet());
                }
            }
        }
        return batch.oneByOne(sorted, this::compute);
    }

    private boolean learn(NetworkKind kind, INDArray[] inputs) {
        return orders.learn(kind, inputs, (routes, examples, inOrder, some) ->
                pool.compute(kind, null, routes, examples, inOrder, some));
    }

    private static Map<String, List<Route>> routes(NetworkKind kind, Function<String, List<Route>> ofLayer) {
        Map<String, List<Route>> routes = new HashMap<>();
        kind.matrices().forEach(layer -> {
            List<Route> some = ofLayer.apply(layer);
            if (!some.isEmpty()) {
                routes.put(layer, some);
            }
        });
        return routes;
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
    public void close() {
        synchronized (adding) {
            synchronized (this) {
                closed = true;
                adapters.clear();
                kinds.clear();
            }
        }
        pool.prune();
    }
}
