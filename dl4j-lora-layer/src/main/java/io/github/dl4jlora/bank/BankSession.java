package io.github.dl4jlora.bank;

import io.github.dl4jlora.internal.common.GuardedBy;
import io.github.dl4jlora.internal.serve.Features;
import io.github.dl4jlora.internal.serve.Lease;
import io.github.dl4jlora.internal.serve.Passes;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.api.layers.RecurrentLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.layers.wrapper.BaseWrapperLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.stream.IntStream;

/**
 * A sequence that is fed to a bank step by step, as to DL4J's {@code rnnTimeStep}: the state of recurrent layers is the
 * session's own, whatever other sessions compute in between. It keeps the adapters that were there when it was opened. For one
 * thread at a time; others wait.
 *
 * <pre>{@code
 * try (BankSession session = bank.session(AdapterMix.of("tone"))) {
 *     for (INDArray step : steps) {                        // each [1, features]
 *         System.out.println(session.output(step));
 *     }
 * }
 * }</pre>
 */
public final class BankSession implements AutoCloseable {

    private final Passes passes;
    private final Lease lease;
    /** Throws if the base has changed. */
    private final Runnable requireIntact;
    /** Of each recurrent layer, in the network's order; null at the start of a sequence. */
    @GuardedBy("this")
    private @Nullable List<Map<String, INDArray>> state;
    @GuardedBy("this")
    private boolean closed;

    BankSession(Passes passes, Lease lease, Runnable requireIntact) {
        this.passes = passes;
        this.lease = lease;
        this.requireIntact = requireIntact;
    }

    /**
     * Feeds one step, or several.
     *
     * @param inputs one for each of the network's, {@code [examples, values]} or {@code [examples, values, steps]}; as many
     *               examples each time
     * @return one for each of the network's outputs
     * @throws IllegalArgumentException if the network has another number of inputs
     * @throws IllegalStateException    if the session is closed, the base was found to have changed, or this is called within
     *                                  {@link #compute compute}
     */
    public INDArray[] outputs(INDArray... inputs) {
        passes.requireNoneLent();
        synchronized (this) {
            requireOpen();
            passes.require(new Features(inputs, null));
            try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
                return lent(network -> steps(network, inputs));
            }
        }
    }

    /**
     * As {@link #outputs outputs}, for networks of one output.
     *
     * @param inputs one for each of the network's
     * @return the output
     * @throws IllegalStateException    if the session is closed
     * @throws IllegalArgumentException if the network has several outputs, or another number of inputs
     */
    public INDArray output(INDArray... inputs) {
        return Passes.only(outputs(inputs));
    }

    /**
     * Has a network with the session's adapters do something else than compute outputs, such as passes with a state of the
     * caller's own. Within it this thread cannot ask the bank or its sessions, which would give it a second network. Nor should
     * it wait for another thread that asks, which may wait for this network.
     *
     * @param work for which it has a network to itself, for inference alone, until it returns; another one the next time
     * @param <T>  of its result
     * @return what it returns
     * @throws IllegalStateException if the session is closed, the base was found to have changed, or this is called within
     *                               another {@code compute}
     */
    public <T> T compute(Function<Model, T> work) {
        passes.requireNoneLent();
        synchronized (this) {
            requireOpen();
            List<T> result = new ArrayList<>();
            lent(network -> {
                result.add(work.apply(network));
                return new INDArray[0];
            });
            return result.get(0);
        }
    }

    /** Lends a network with the session's adapters, and clears what state is left in it, which others would begin with. */
    private INDArray[] lent(Function<Model, INDArray[]> work) {
        return passes.compute(lease.mixes().get(0), network -> {
            try {
                return work.apply(network);
            } finally {
                recurrent(network).forEach(RecurrentLayer::rnnClearPreviousState);
            }
        });
    }

    private synchronized void requireOpen() {
        if (closed) {
            throw new IllegalStateException("The session is closed");
        }
        requireIntact.run();
    }

    /** To be called by {@link #outputs outputs} alone, which has the lock. */
    @SuppressWarnings("GuardedBy")
    private INDArray[] steps(Model network, INDArray[] inputs) {
        List<RecurrentLayer> recurrent = recurrent(network);
        List<Map<String, INDArray>> before = state;
        if (before != null) {
            IntStream.range(0, recurrent.size()).forEach(i -> recurrent.get(i).rnnSetPreviousState(before.get(i)));
        }
        INDArray[] outputs = network instanceof ComputationGraph graph ? graph.rnnTimeStep(inputs)
                : new INDArray[] {((MultiLayerNetwork) network).rnnTimeStep(inputs[0])};
        state = recurrent.stream().map(RecurrentLayer::rnnGetPreviousState).map(Map::copyOf).toList();
        return outputs;
    }

    private static List<RecurrentLayer> recurrent(Model network) {
        Layer[] layers = network instanceof ComputationGraph graph ? graph.getLayers()
                : ((MultiLayerNetwork) network).getLayers();
        List<RecurrentLayer> recurrent = new ArrayList<>();
        for (Layer layer : layers) {
            Layer inner = layer instanceof BaseWrapperLayer wrapper && !(layer instanceof RecurrentLayer)
                    ? wrapper.getUnderlying() : layer;
            if (inner instanceof RecurrentLayer one) {
                recurrent.add(one);
            }
        }
        return recurrent;
    }

    /** Begins a new sequence. */
    public synchronized void reset() {
        state = null;
    }

    /** Lets go of the adapters. */
    @Override
    public synchronized void close() {
        if (!closed) {
            closed = true;
            state = null;
            lease.close();
        }
    }
}
