package io.github.dl4jlora.internal.run;

import io.github.dl4jlora.LoRAInit;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;

/**
 * What trains of a layer in one flat array: A, B of the first adapted parameter, A, B of the second, …, each in 'f' order, then
 * trained biases {@code [1, length]}.
 */
public final class LowRankTable {

    private LowRankTable() {
    }

    public static long length(AdaptedConfiguration lora) {
        return lora.adapted().stream().mapToLong(AdaptedParameter::length).sum()
                + lora.biases().stream().mapToLong(TrainedBias::length).sum();
    }

    /** Keys of all A and B. */
    static List<String> lowRankKeys(AdaptedConfiguration lora) {
        return lora.adapted().stream().flatMap(parameter -> Stream.of(parameter.keyOfA(), parameter.keyOfB())).toList();
    }

    public static List<String> biasKeys(AdaptedConfiguration lora) {
        return lora.biases().stream().map(TrainedBias::key).toList();
    }

    static List<String> keys(AdaptedConfiguration lora) {
        return Stream.concat(lowRankKeys(lora).stream(), biasKeys(lora).stream()).toList();
    }

    /** Views of {@code flat} by key. */
    static Map<String, INDArray> of(AdaptedConfiguration lora, INDArray flat) {
        Map<String, INDArray> table = new LinkedHashMap<>();
        long at = 0;
        for (AdaptedParameter parameter : lora.adapted()) {
            long b = at + parameter.nIn() * parameter.rank();
            long end = at + parameter.length();
            table.put(parameter.keyOfA(), interval(flat, at, b).reshape('f', parameter.nIn(), parameter.rank()));
            table.put(parameter.keyOfB(), interval(flat, b, end).reshape('f', parameter.rank(), parameter.nOut()));
            at = end;
        }
        for (TrainedBias bias : lora.biases()) {
            table.put(bias.key(), interval(flat, at, at + bias.length()).reshape('f', 1, bias.length()));
            at += bias.length();
        }
        return table;
    }

    static void initialize(AdaptedConfiguration lora, Map<String, INDArray> table, LoRAInit init) {
        lora.adapted().forEach(parameter -> lora.matrices().initialize(table.get(parameter.keyOfA()),
                table.get(parameter.keyOfB()), init, new Random(Nd4j.getRandom().nextLong())));
    }

    /**
     * Sets A, B or a bias of a running layer.
     *
     * @throws IllegalArgumentException for another key, or another shape
     */
    static void set(String layer, AdaptedConfiguration lora, Map<String, INDArray> table, String key, INDArray value) {
        if (!keys(lora).contains(key)) {
            throw new IllegalArgumentException("Layer " + LoRAParams.quoted(layer) + " has no trainable parameter "
                    + LoRAParams.quoted(key) + "; it has " + keys(lora));
        }
        assign(layer, key, table.get(key), value);
    }

    /**
     * @throws IllegalArgumentException for another shape
     */
    static void assign(String layer, String key, INDArray current, INDArray value) {
        if (!Arrays.equals(current.shape(), value.shape())) {
            throw new IllegalArgumentException("Layer " + LoRAParams.quoted(layer) + ": parameter " + key + " has shape "
                    + Arrays.toString(current.shape()) + ", but the new value has " + Arrays.toString(value.shape()));
        }
        current.assign(value);
    }

    static INDArray interval(INDArray flat, long from, long to) {
        return flat.reshape(flat.length()).get(NDArrayIndex.interval(from, to));
    }
}
