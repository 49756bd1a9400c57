package io.github.dl4jlora.layer;

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
 * A and B of several adapted parameters in one flat array: A, B of the first, A, B of the second, …, each in 'f' order.
 */
final class LowRankTable {

    private LowRankTable() {
    }

    static long length(List<AdaptedParameter> parameters) {
        return parameters.stream().mapToLong(AdaptedParameter::length).sum();
    }

    static List<String> keys(List<AdaptedParameter> parameters) {
        return parameters.stream().flatMap(parameter -> Stream.of(parameter.keyOfA(), parameter.keyOfB())).toList();
    }

    /** Views of {@code flat} by key. */
    static Map<String, INDArray> of(List<AdaptedParameter> parameters, INDArray flat) {
        Map<String, INDArray> table = new LinkedHashMap<>();
        long at = 0;
        for (AdaptedParameter parameter : parameters) {
            long b = at + parameter.nIn() * parameter.rank();
            long end = at + parameter.length();
            table.put(parameter.keyOfA(), interval(flat, at, b).reshape('f', parameter.nIn(), parameter.rank()));
            table.put(parameter.keyOfB(), interval(flat, b, end).reshape('f', parameter.rank(), parameter.nOut()));
            at = end;
        }
        return table;
    }

    static void initialize(AdaptedConfiguration lora, Map<String, INDArray> table, LoRAInit init) {
        lora.adapted().forEach(parameter -> lora.matrices().initialize(table.get(parameter.keyOfA()),
                table.get(parameter.keyOfB()), init, new Random(Nd4j.getRandom().nextLong())));
    }

    /**
     * Sets A or B of a running layer.
     *
     * @throws IllegalArgumentException for another key, or another shape
     */
    static void set(String layer, List<AdaptedParameter> parameters, Map<String, INDArray> table, String key, INDArray value) {
        if (!keys(parameters).contains(key)) {
            throw new IllegalArgumentException("Layer " + LoRAParams.quoted(layer) + " has no trainable parameter "
                    + LoRAParams.quoted(key) + "; it has " + keys(parameters));
        }
        INDArray current = table.get(key);
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
