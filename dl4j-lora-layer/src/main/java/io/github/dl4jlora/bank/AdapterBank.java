package io.github.dl4jlora.bank;

import io.github.dl4jlora.adapter.LoRAAdapter;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;

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

    private final NetworkPool pool;
    private final Passes passes;
    private final Shelf shelf;
    private final RequestQueue queue;
    private final Watch watch;
    private volatile boolean closed;

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
        this(base, BankConfig.builder().maxNetworks(maxNetworks).build());
    }

    /**
     * A bank.
     *
     * @param base   a ComputationGraph or MultiLayerNetwork, not adapted
     * @param config how it works
     * @throws IllegalArgumentException as for {@link #AdapterBank(Model)}
     */
    public AdapterBank(Model base, BankConfig config) {
        if (!(base instanceof ComputationGraph || base instanceof MultiLayerNetwork)) {
            throw new IllegalArgumentException("The base is " + (base == null ? null : base.getClass().getName())
                    + "; a ComputationGraph or MultiLayerNetwork is needed");
        }
        Told metrics = new Told(config.metrics());
        NetworkKinds kinds = new NetworkKinds(base);
        this.pool = new NetworkPool(config.maxNetworks(),
                (kind, values) -> kinds.isPresent(kind) && (values == null || values.isShelved()));
        this.passes = new Passes(pool, new Masks(base), metrics);
        this.shelf = new Shelf(kinds, config, metrics, pool::prune);
        this.queue = new RequestQueue(passes, shelf, config, metrics);
        this.watch = new Watch(kinds::verify, config.verifyEvery().orElse(null));
    }

    /**
     * Adds an adapter, which may be served from then on.
     *
     * @param name    by which requests ask for it
     * @param adapter for the bank's base
     * @throws IllegalArgumentException if the name is taken, or no adapter may be called so ({@link AdapterName}), or the adapter
     *                                  was made for another base or shape
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

    /**
     * Finds out whether an adapter could be added, and adds nothing.
     *
     * @param name    that it would have; whether it is taken is not looked at
     * @param adapter for the bank's base
     * @throws IllegalArgumentException if no adapter may be called so, or it was made for another base or shape
     * @throws IllegalStateException    if the bank is closed
     */
    public void check(String name, LoRAAdapter adapter) {
        Objects.requireNonNull(adapter, "The adapter is null");
        shelf.check(AdapterName.require(name), adapter);
    }

    private void put(String name, LoRAAdapter adapter, boolean replaces) {
        Objects.requireNonNull(adapter, "The adapter is null");
        shelf.put(AdapterName.require(name), adapter, replaces);
    }

    /**
     * Forgets an adapter; requests that have begun still get its answer, those that wait for a network included.
     *
     * @param name of an adapter that was added
     * @throws IllegalArgumentException if there is none of that name, or none may be called so
     */
    public void remove(String name) {
        shelf.remove(AdapterName.require(name));
    }

    /**
     * Forgets what was loaded of an adapter from the source: the next request for it loads it anew. Requests that have begun are
     * answered by the old one. Adapters that were added stay.
     *
     * @param name of any adapter, or of none
     * @throws IllegalArgumentException if no adapter may be called so: {@link AdapterName}
     * @throws IllegalStateException    if the bank is closed
     */
    public void refresh(String name) {
        shelf.refresh(AdapterName.require(name));
    }

    /**
     * Which adapters can be asked for.
     *
     * @return names of those that were added, in that order, and then those that the source has; without names that break
     *         {@link AdapterName}, which nobody can ask for
     * @throws java.io.UncheckedIOException if the source cannot tell
     */
    public List<String> names() {
        return shelf.names();
    }

    /** {@return how much of everything there is at the moment} */
    public BankStatus status() {
        return new BankStatus(pool.networks(), pool.waiting(), queue.queued(), shelf.size(), shelf.bytes(), shelf.loadedBytes());
    }

    /** {@return what the last look at the base found: {@link #verify}, {@link BankConfig.Builder#verifyEvery}} */
    public BaseStatus baseStatus() {
        return watch.status();
    }

    /**
     * Verifies the base by content, which takes a second for every gigabyte or two.
     *
     * @throws IllegalStateException naming the layer, if its weights were changed or closed since the bank was made
     */
    public void verify() {
        watch.verify();
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
        return outputs(BankRequest.of(mix, inputs));
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
        return outputs(BankRequest.of(mixes, inputs));
    }

    /**
     * What a request asks for, computed by the calling thread.
     *
     * @param request inputs, masks if there are any, and mixes
     * @return one for each of the network's outputs, examples in the order of the inputs'
     * @throws IllegalArgumentException as for {@link #outputs(List, INDArray...)}, or if a mask has another number of steps than
     *                                  its input
     * @throws IllegalStateException    if the bank is closed
     */
    public INDArray[] outputs(BankRequest request) {
        requireServing();
        try (Lease lease = shelf.hold(request.mixes())) {
            return passes.compute(lease.mixes(), request.features());
        }
    }

    /**
     * Has a request computed in a batch with others that wait: those of many callers take one pass, whatever adapters they ask
     * for. See {@link BankConfig.Builder#maxBatch} and {@link BankConfig.Builder#maxDelay}. Each adapter gets its turn.
     *
     * @param request inputs, masks if there are any, and mixes
     * @return the outputs, or what {@link #outputs(BankRequest)} would throw; to cancel it gives the request up. What depends on
     *         it runs on the thread that computes, unless it is asynchronous
     * @throws BankOverloadedException if as many examples wait as may
     * @throws IllegalStateException   if the bank is closed
     */
    public CompletableFuture<INDArray[]> submit(BankRequest request) {
        requireServing();
        return queue.submit(request, null);
    }

    /**
     * As {@link #submit(BankRequest)}, for so long.
     *
     * @param request inputs, masks if there are any, and mixes
     * @param timeout after which the request is given up with a {@link java.util.concurrent.TimeoutException}
     * @return as there
     * @throws BankOverloadedException if as many examples wait as may
     * @throws IllegalStateException   if the bank is closed
     */
    public CompletableFuture<INDArray[]> submit(BankRequest request, Duration timeout) {
        requireServing();
        return queue.submit(request, Objects.requireNonNull(timeout, "The timeout is null"));
    }

    /**
     * Begins a sequence that is fed step by step.
     *
     * @param mix of adapters, which the session keeps as they are now
     * @return a session, to be closed
     * @throws IllegalArgumentException as for {@link #output(AdapterMix, INDArray...)}
     * @throws IllegalStateException    if the bank is closed
     */
    public BankSession session(AdapterMix mix) {
        requireServing();
        return new BankSession(passes, shelf.hold(List.of(mix)), watch::requireIntact);
    }

    private void requireServing() {
        if (closed) {
            throw new IllegalStateException("The bank is closed");
        }
        watch.requireIntact();
    }

    static INDArray single(INDArray[] outputs) {
        if (outputs.length != 1) {
            throw new IllegalArgumentException("The network has " + outputs.length + " outputs: use outputs(...)");
        }
        return outputs[0];
    }

    /**
     * Takes no more requests, waits until those that were submitted are answered, and forgets adapters and networks; the base
     * stays open. Other requests that have begun still get their answer, those that wait for a network included. What depends on
     * an answer, and runs on the thread that computed it, does not wait: the rest is done when all are answered.
     */
    @Override
    public void close() {
        closed = true;
        watch.close();
        queue.close(shelf::close);
    }
}
