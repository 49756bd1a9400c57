package io.github.dl4jlora.bank;

import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.internal.serve.Lease;
import io.github.dl4jlora.internal.serve.Masks;
import io.github.dl4jlora.internal.serve.NetworkKinds;
import io.github.dl4jlora.internal.serve.NetworkPool;
import io.github.dl4jlora.internal.serve.Passes;
import org.deeplearning4j.nn.api.Model;
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
 * reference, not by copying, so that all adapters share all networks, whatever their layers, ranks and variants. Only adapters
 * with layers that were trained in full, or with biases of layers that they do not adapt, have networks of their own.
 *
 * <p>The base is for inference alone as long as the bank uses it. Its weights are verified by content when the bank is made and
 * by {@link #verify}, but not when an adapter is added or on each request.
 *
 * <pre>{@code
 * try (AdapterBank bank = new AdapterBank(base, 4)) {     // up to four threads compute at a time
 *     bank.add("spam", spam);
 *     bank.add("tone", tone);
 *     INDArray answer = bank.output("spam", input);
 *     INDArray rows = bank.output(new String[] {"spam", "tone"}, twoRows);    // an adapter for each row
 * }
 * }</pre>
 */
public final class AdapterBank implements AutoCloseable {

    /** The name by which requests ask for the base without any adapter. */
    public static final String BASE = AdapterName.BASE;

    private final NetworkPool pool;
    private final Passes passes;
    private final AdapterCache cache;
    private final RequestQueue queue;
    private final BaseVerifier verifier;
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
        SafeMetrics metrics = new SafeMetrics(config.metrics());
        NetworkKinds kinds = new NetworkKinds(base, config.pack());
        this.pool = new NetworkPool(config.maxNetworks(), kinds);
        this.passes = new Passes(pool, new Masks(base), metrics::computed);
        this.cache = new AdapterCache(kinds, config, metrics, pool::prune);
        this.queue = new RequestQueue(passes, cache, config, metrics);
        this.verifier = new BaseVerifier(kinds::verify, config.verifyEvery().orElse(null));
    }

    /**
     * Adds an adapter, which requests may ask for from then on.
     *
     * @param name    that requests ask for
     * @param adapter for the bank's base
     * @throws IllegalArgumentException if the name is taken or is none that an adapter may have ({@link AdapterName}), or the
     *                                  adapter was made for another base or shape
     * @throws IllegalStateException    if the bank is closed
     */
    public void add(String name, LoRAAdapter adapter) {
        put(name, adapter, false);
    }

    /**
     * Adds an adapter, in place of the one of the same name if there is one. Requests that have begun are answered by the old
     * one.
     *
     * @param name    that requests ask for
     * @param adapter for the bank's base
     * @throws IllegalArgumentException as {@link #add add}, except for a name that is taken; the old one then stays
     * @throws IllegalStateException    if the bank is closed
     */
    public void replace(String name, LoRAAdapter adapter) {
        put(name, adapter, true);
    }

    /**
     * Checks whether an adapter could be added, and does not add it.
     *
     * @param name    that it would have; it may be taken
     * @param adapter for the bank's base
     * @throws IllegalArgumentException if no adapter may have this name, or it was made for another base or shape
     * @throws IllegalStateException    if the bank is closed
     */
    public void check(String name, LoRAAdapter adapter) {
        Objects.requireNonNull(adapter, "The adapter is null");
        cache.check(AdapterName.require(name), adapter);
    }

    private void put(String name, LoRAAdapter adapter, boolean replaces) {
        Objects.requireNonNull(adapter, "The adapter is null");
        cache.put(AdapterName.require(name), adapter, replaces);
    }

    /**
     * Forgets an adapter. Requests that have begun still get its answer, including those that wait for a network.
     *
     * @param name of an adapter that was added
     * @throws IllegalArgumentException if there is none of that name, or no adapter may have it
     */
    public void remove(String name) {
        cache.remove(AdapterName.require(name));
    }

    /**
     * Forgets an adapter that was loaded from the source: the next request for it loads it again. Requests that have begun are
     * answered by the old one. Adapters that were added stay.
     *
     * @param name which no adapter needs to have
     * @throws IllegalArgumentException if no adapter may have it: {@link AdapterName}
     * @throws IllegalStateException    if the bank is closed
     */
    public void refresh(String name) {
        cache.refresh(AdapterName.require(name));
    }

    /**
     * Lists the adapters that requests can ask for.
     *
     * @return names of adapters that were added, in that order, then those that the source has, without names that break
     *         {@link AdapterName}
     * @throws java.io.UncheckedIOException if the source's names cannot be read
     */
    public List<String> names() {
        return cache.names();
    }

    /** {@return what the bank holds, and how many wait, at the moment} */
    public BankStatus status() {
        return new BankStatus(pool.networks(), pool.waiting(), queue.queued(), cache.size(), cache.bytes(), cache.loadedBytes());
    }

    /** {@return what the last verification of the base found: {@link #verify}, {@link BankConfig.Builder#verifyEvery}} */
    public BaseStatus baseStatus() {
        return verifier.status();
    }

    /**
     * Verifies the base by content, which takes a second for every gigabyte or two.
     *
     * @throws IllegalStateException naming the layer, if its weights were changed or closed since the bank was made
     */
    public void verify() {
        verifier.verify();
    }

    /**
     * Computes the outputs of the base with an adapter.
     *
     * @param name   of an adapter that was added, or {@link #BASE}
     * @param inputs one for each of the network's
     * @return what the network with this adapter would return
     * @throws UnknownAdapterException  if there is no adapter of that name
     * @throws IllegalArgumentException if the network has several outputs or another number of inputs, or no adapter may have
     *                                  that name: {@link AdapterName}
     * @throws IllegalStateException    if the bank is closed
     */
    public INDArray output(String name, INDArray... inputs) {
        return Passes.only(outputs(name, inputs));
    }

    /**
     * As {@link #output(String, INDArray...)}, for networks of any number of outputs.
     *
     * @param name   of an adapter that was added, or {@link #BASE}
     * @param inputs one for each of the network's
     * @return one for each of the network's outputs
     * @throws UnknownAdapterException  if there is no adapter of that name
     * @throws IllegalArgumentException as there, but for several outputs
     * @throws IllegalStateException    if the bank is closed
     */
    public INDArray[] outputs(String name, INDArray... inputs) {
        return outputs(AdapterMix.of(name), inputs);
    }

    /**
     * Computes the outputs of the base with a mix of adapters.
     *
     * @param mix    of adapters that were added
     * @param inputs one for each of the network's
     * @return what a network with the sum of their changes would return
     * @throws UnknownAdapterException  if there is no adapter of some name
     * @throws IllegalArgumentException if the network has several outputs or another number of inputs, or an adapter that does
     *                                  more than to add (DoRA, trained biases, fully trained layers) is weighted or added to
     *                                  others
     * @throws IllegalStateException    if the bank is closed
     */
    public INDArray output(AdapterMix mix, INDArray... inputs) {
        return Passes.only(outputs(mix, inputs));
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
     * Computes a mixed batch: each example with its own adapter. The products with the base's weights are computed once for the
     * whole batch, where the adapters change nothing but layers that can tell examples apart; otherwise there is one pass for
     * each adapter.
     *
     * @param names of the adapters, one for each example; {@link #BASE} for none
     * @param input whose first dimension is the batch's
     * @return examples in the order of the input's
     * @throws UnknownAdapterException  if there is no adapter of some name
     * @throws IllegalArgumentException if names and examples differ in number, the network has several outputs, or its output has
     *                                  several rows for an example in an order of its own
     * @throws IllegalStateException    if the bank is closed
     */
    public INDArray output(String[] names, INDArray input) {
        return Passes.only(outputs(names, input));
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
        return Passes.only(outputs(mixes, input));
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
     * Computes what a request asks for, on the calling thread.
     *
     * @param request inputs, masks if there are any, and mixes
     * @return one for each of the network's outputs, examples in the order of the inputs'
     * @throws IllegalArgumentException as for {@link #outputs(List, INDArray...)}, or if a mask has another number of steps than
     *                                  its input
     * @throws IllegalStateException    if the bank is closed
     */
    public INDArray[] outputs(BankRequest request) {
        requireServing();
        try (Lease lease = cache.hold(request.mixes())) {
            return passes.compute(lease.mixes(), request.features());
        }
    }

    /**
     * Has a request computed in a batch with others that wait: those of many callers take one pass, whatever adapters they ask
     * for. See {@link BankConfig.Builder#maxBatch} and {@link BankConfig.Builder#maxDelay}. Each adapter gets its turn.
     *
     * @param request inputs, masks if there are any, and mixes
     * @return the outputs, or what {@link #outputs(BankRequest)} would throw; cancelling it withdraws the request. What depends
     *         on it runs on a thread of the bank, which does nothing else meanwhile, unless it is asynchronous
     * @throws BankOverloadedException if too many examples are waiting
     * @throws IllegalStateException   if the bank is closed
     */
    public CompletableFuture<INDArray[]> submit(BankRequest request) {
        requireServing();
        return queue.submit(request, null);
    }

    /**
     * As {@link #submit(BankRequest)}, with a time limit.
     *
     * @param request inputs, masks if there are any, and mixes
     * @param timeout after which the request is given up with a {@link java.util.concurrent.TimeoutException}
     * @return as there
     * @throws BankOverloadedException if too many examples are waiting
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
        return new BankSession(passes, cache.hold(List.of(mix)), verifier::requireIntact);
    }

    private void requireServing() {
        if (closed) {
            throw new IllegalStateException("The bank is closed");
        }
        verifier.requireIntact();
    }

    /**
     * Takes no more requests, waits until those that were submitted are answered, and forgets adapters and networks; the base
     * stays open. Other requests that have begun still get their answer, including those that wait for a network. On a thread of
     * the bank, where what depends on an answer may call this, it does not wait: the rest is done when all are answered.
     */
    @Override
    public void close() {
        closed = true;
        verifier.close();
        queue.close(cache::close);
    }
}
