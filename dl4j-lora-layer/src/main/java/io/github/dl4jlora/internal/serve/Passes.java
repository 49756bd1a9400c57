package io.github.dl4jlora.internal.serve;

import io.github.dl4jlora.internal.blas.Route;
import io.github.dl4jlora.internal.run.Routing.RowsMismatchException;
import org.deeplearning4j.nn.api.Model;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;

/**
 * Computes outputs with the networks of a pool: in one pass for all examples of a batch where its matrices can tell these apart,
 * else in one for each mix.
 */
public final class Passes {

    /** Is told of each batch that was computed. */
    public interface Meter {

        /**
         * @param mixes how many different ones the batch had
         * @param nanos how long it took, waiting for a network included
         */
        void computed(long examples, int mixes, long nanos);
    }

    private final NetworkPool pool;
    private final Masks masks;
    private final RowOrders orders = new RowOrders();
    private final Meter meter;

    /** Passes with the networks of a pool. */
    public Passes(NetworkPool pool, Masks masks, Meter meter) {
        this.pool = pool;
        this.masks = masks;
        this.meter = meter;
    }

    /**
     * Computes a batch.
     *
     * @param mixes one for all examples, or one for each
     * @return outputs, examples in the order of the inputs'
     * @throws IllegalArgumentException as {@link #require}; if there are several mixes, and an output has several rows for an
     *                                  example in an order of its own
     */
    public INDArray[] compute(List<ServedMix> mixes, Features features) {
        require(features);
        long start = System.nanoTime();
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            if (mixes.size() == 1) {
                INDArray[] outputs = compute(mixes.get(0), features);
                meter.computed(features.examples(), 1, System.nanoTime() - start);
                return outputs;
            }
            MixedBatch batch = new MixedBatch(mixes);
            INDArray[] outputs = batch.isOfOneMix() ? compute(batch.first(), features) : compute(batch, features);
            meter.computed(features.examples(), batch.mixes(), System.nanoTime() - start);
            return outputs;
        }
    }

    /** @throws IllegalArgumentException if inputs are missing or too many, or a mask has another shape than its input asks for */
    public void require(Features features) {
        masks.require(features);
    }

    /**
     * To be called before waiting for what a thread may hold that waits for a network.
     *
     * @throws IllegalStateException if a network is lent to this thread already
     */
    public void requireNoneLent() {
        pool.requireNoneLent();
    }

    /** The output of a network that has one. */
    public static INDArray only(INDArray[] outputs) {
        if (outputs.length != 1) {
            throw new IllegalArgumentException("The network has " + outputs.length + " outputs: use outputs(...)");
        }
        return outputs[0];
    }

    /**
     * Whether it is known which rows of a batch's outputs are whose. If not, this tries to find it out, once.
     *
     * @param mixes    one for each example, at least two
     * @param features the batch
     */
    public boolean areByExample(INDArray[] outputs, List<ServedMix> mixes, Features features) {
        learnOutputs(mixes.get(0).kind(), features, outputs);
        long examples = features.examples();
        return Arrays.stream(outputs).allMatch(output -> output.size(0) == examples
                || output.size(0) % examples == 0 && orders.areOutputsByExample());
    }

    /** Whether examples like these can share a pass with others, keep their outputs, and get them back. */
    public boolean canBeJoined(Features features) {
        return areApart(features) && !orders.areOutputsInAnotherOrder();
    }

    private boolean areApart(Features features) {
        return !masks.tieExamples(features);
    }

    private INDArray[] compute(ServedMix mix, Features features) {
        return compute(mix, new Forward(features));
    }

    /** Has a network that computes a mix do something. */
    public INDArray[] compute(ServedMix mix, Function<Model, INDArray[]> work) {
        return pool.compute(mix.kind(), mix.withValues(), routes(mix.kind(), layer -> mix.routes(layer, 0, 0)), 0, layer -> true,
                work);
    }

    private INDArray[] compute(MixedBatch batch, Features features) {
        Features sorted = batch.sorted(features);
        INDArray[] outputs = sortedOutputs(batch, sorted);
        learnOutputs(batch.first().kind(), sorted, outputs);
        return batch.restored(outputs, orders.areOutputsByExample());
    }

    private void learnOutputs(NetworkKind kind, Features features, INDArray[] outputs) {
        if (orders.areOutputsUnknown() && Arrays.stream(outputs).anyMatch(output -> output.size(0) != features.examples())) {
            learn(kind, features);
        }
    }

    private INDArray[] sortedOutputs(MixedBatch batch, Features sorted) {
        NetworkKind kind = batch.first().kind();
        Map<String, List<Route>> routes = routes(kind, batch::routes);
        if (batch.isOfOneNetwork() && areApart(sorted) && orders.mayBeByExample(routes.keySet())) {
            for (boolean again = true; again; ) {
                try {
                    return pool.compute(kind, null, routes, batch.examples(), orders::isByExample, new Forward(sorted));
                } catch (RowsMismatchException severalRowsForAnExample) {
                    again = learn(kind, sorted) && orders.mayBeByExample(routes.keySet());
                }
            }
        }
        return batch.oneByOne(sorted, this::compute);
    }

    private boolean learn(NetworkKind kind, Features features) {
        // A mask that acts on another example's rows would look like another order of rows.
        Features apart = areApart(features) ? features : new Features(features.inputs(), null);
        return orders.learn(kind, apart, (routes, examples, inOrder, some) ->
                pool.compute(kind, null, routes, examples, inOrder, new Forward(some)));
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
}
