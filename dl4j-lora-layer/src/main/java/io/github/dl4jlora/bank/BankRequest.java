package io.github.dl4jlora.bank;

import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.Arrays;
import java.util.List;

/**
 * What an {@link AdapterBank} is asked: inputs, masks if there are any, and which adapters are to compute them. Immutable; its
 * arrays must not be changed before the answer is there.
 */
public final class BankRequest {

    private final List<AdapterMix> mixes;
    private final Features features;

    private BankRequest(List<AdapterMix> mixes, Features features) {
        this.mixes = mixes;
        this.features = features;
    }

    /**
     * All examples with one adapter.
     *
     * @param name   of an adapter, or {@link AdapterBank#BASE}
     * @param inputs one for each of the network's, whose first dimension is the batch's
     * @return what asks for it
     * @throws IllegalArgumentException if there is no input
     */
    public static BankRequest of(String name, INDArray... inputs) {
        return of(AdapterMix.of(name), inputs);
    }

    /**
     * All examples with one mix of adapters.
     *
     * @param mix    of adapters
     * @param inputs one for each of the network's, whose first dimension is the batch's
     * @return what asks for it
     * @throws IllegalArgumentException if there is no input
     */
    public static BankRequest of(AdapterMix mix, INDArray... inputs) {
        return new BankRequest(List.of(mix), new Features(inputs, null));
    }

    /**
     * Each example with a mix of its own.
     *
     * @param mixes  one for each example
     * @param inputs one for each of the network's, whose first dimension is the batch's
     * @return what asks for it
     * @throws IllegalArgumentException if there is no input, or mixes and examples differ in number
     */
    public static BankRequest of(List<AdapterMix> mixes, INDArray... inputs) {
        Features features = new Features(inputs, null);
        for (INDArray input : inputs) {
            if (mixes.isEmpty() || input.size(0) != mixes.size()) {
                throw new IllegalArgumentException("There are " + mixes.size() + " names of adapters for an input of "
                        + input.size(0) + " rows " + Arrays.toString(input.shape()) + ": one for each row is needed");
            }
        }
        return new BankRequest(List.copyOf(mixes), features);
    }

    /**
     * The same with masks of the inputs.
     *
     * @param masks one for each input, {@code [examples, steps]}; null where an input has none. Whether the number of steps is
     *              that of the input is seen when a bank computes it, as the network says where an input has its steps
     * @return another request
     * @throws IllegalArgumentException if masks and inputs differ in number, or a mask and its input in examples
     */
    public BankRequest masks(INDArray... masks) {
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
