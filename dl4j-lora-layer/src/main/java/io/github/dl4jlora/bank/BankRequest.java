package io.github.dl4jlora.bank;

import io.github.dl4jlora.internal.serve.Features;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.Arrays;
import java.util.List;

/**
 * What an {@link AdapterBank} is asked: inputs, their masks if they have any, and which adapters compute them. Immutable; its
 * arrays must not be changed before the answer has come.
 *
 * <pre>{@code
 * BankRequest request = BankRequest.of("spam", input).masks(mask);
 * INDArray[] now = bank.outputs(request);
 * CompletableFuture<INDArray[]> soon = bank.submit(request, Duration.ofSeconds(2));    // with others in one pass
 * }</pre>
 */
public final class BankRequest {

    private final List<AdapterMix> mixes;
    private final Features features;

    private BankRequest(List<AdapterMix> mixes, Features features) {
        this.mixes = mixes;
        this.features = features;
    }

    /**
     * Asks for all examples with one adapter.
     *
     * @param name   of an adapter, or {@link AdapterBank#BASE}
     * @param inputs one for each of the network's, whose first dimension is the batch's
     * @return the request
     * @throws IllegalArgumentException if there is no input
     */
    public static BankRequest of(String name, INDArray... inputs) {
        return of(AdapterMix.of(name), inputs);
    }

    /**
     * Asks for all examples with one mix of adapters.
     *
     * @param mix    of adapters
     * @param inputs one for each of the network's, whose first dimension is the batch's
     * @return the request
     * @throws IllegalArgumentException if there is no input
     */
    public static BankRequest of(AdapterMix mix, INDArray... inputs) {
        return new BankRequest(List.of(mix), new Features(inputs, null));
    }

    /**
     * Asks for each example with a mix of its own.
     *
     * @param mixes  one for each example
     * @param inputs one for each of the network's, whose first dimension is the batch's
     * @return the request
     * @throws IllegalArgumentException if there is no input, or mixes and examples differ in number
     */
    public static BankRequest of(List<AdapterMix> mixes, INDArray... inputs) {
        Features features = new Features(inputs, null);
        for (INDArray input : inputs) {
            if (mixes.isEmpty() || input.size(0) != mixes.size()) {
                throw new IllegalArgumentException("The input has " + input.size(0) + (input.size(0) == 1 ? " row " : " rows ")
                        + Arrays.toString(input.shape()) + ", but " + mixes.size()
                        + (mixes.size() == 1 ? " adapter name was" : " adapter names were") + " given. Give one for each row");
            }
        }
        return new BankRequest(List.copyOf(mixes), features);
    }

    /**
     * The same request with masks for the inputs.
     *
     * @param masks one for each input, {@code [examples, steps]}; null where an input has none. Whether the number of steps is
     *              the input's is checked when a bank computes it, since the network decides which dimension the steps are
     * @return another request
     * @throws IllegalArgumentException if masks and inputs differ in number, or a mask and its input in examples
     */
    public BankRequest masks(@Nullable INDArray... masks) {
        return new BankRequest(mixes, new Features(features.inputs(), masks));
    }

    /** {@return what is asked for: one for all examples, or one for each} */
    public List<AdapterMix> mixes() {
        return mixes;
    }

    /** {@return how many examples there are} */
    public long examples() {
        return features.examples();
    }

    Features features() {
        return features;
    }
}
