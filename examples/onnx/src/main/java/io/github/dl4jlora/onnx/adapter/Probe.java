package io.github.dl4jlora.onnx.adapter;

import io.github.dl4jlora.onnx.OnnxExportException;
import io.github.dl4jlora.onnx.graph.Weight;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;

/**
 * Finds out which value of a parameter went where: exporters permute, reshape and cut what they are given. While it looks, they
 * are given numbers in the place of values.
 */
final class Probe {

    private boolean isLooking;
    /** By parameter that is numbered now. */
    private Map<Input, INDArray> numbered = Map.of();
    private final Set<Input> touched = new LinkedHashSet<>();

    /** The values of a parameter or, while this looks, numbers in their place: zeros of one that is not asked for. */
    INDArray values(@Nullable Input input, Weight weight) {
        if (!isLooking) {
            return weight.values().get();
        }
        if (input != null) {
            touched.add(input);
        }
        INDArray numbers = input == null ? null : numbered.get(input);
        return numbers == null ? Nd4j.zeros(DataType.DOUBLE, weight.shape())
                : Objects.requireNonNull(input).restored(numbers, weight.shape());
    }

    /** What the values of a weight are, by input; empty if no adapter changes any. */
    Map<Input, Pick> picks(Weight weight) {
        isLooking = true;
        try {
            numbered = Map.of();
            touched.clear();
            weight.values().get();
            Map<Input, Pick> picks = new LinkedHashMap<>();
            for (Input input : List.copyOf(touched)) {
                Pick pick = pick(weight, input);
                if (!pick.isEmpty()) {
                    picks.put(input, pick);
                }
            }
            return picks;
        } finally {
            isLooking = false;
            numbered = Map.of();
        }
    }

    /** Looks twice, with other numbers: what is not picked but computed gives itself away. */
    private Pick pick(Weight weight, Input input) {
        double[] numbers = new double[(int) input.count()];
        Arrays.setAll(numbers, i -> i + 1);
        double[] first = seen(weight, input, numbers);
        Arrays.setAll(numbers, i -> 2.0 * (i + 1) + 1);
        double[] second = seen(weight, input, numbers);
        int[] ids = new int[first.length];
        for (int i = 0; i < ids.length; i++) {
            ids[i] = (int) first[i];
            boolean isPicked = ids[i] == first[i] && ids[i] >= 0 && ids[i] <= input.count();
            if (!isPicked || second[i] != (ids[i] == 0 ? 0 : 2 * first[i] + 1)) {
                throw OnnxExportException.of(input.name(), "the graph does not have its values as they are in the network, but "
                        + "what is computed from them", AdapterInputs.MERGE);
            }
        }
        return new Pick(weight.shape(), ids);
    }

    private double[] seen(Weight weight, Input input, double[] numbers) {
        numbered = Map.of(input, Nd4j.createFromArray(numbers));
        INDArray seen = weight.values().get().castTo(DataType.DOUBLE).dup('c');
        return seen.reshape(seen.length()).toDoubleVector();
    }
}
