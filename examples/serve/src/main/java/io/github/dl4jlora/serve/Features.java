package io.github.dl4jlora.serve;

import io.github.dl4jlora.bank.AdapterMix;
import io.github.dl4jlora.bank.BankRequest;
import io.github.dl4jlora.internal.untrusted.RawValues;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;

/**
 * The inputs of a request for a network.
 *
 * @param inputs by the input's name
 * @param masks  by the input's name, {@code [examples, steps]}; none for inputs without
 */
record Features(Map<String, INDArray> inputs, Map<String, INDArray> masks) {

    /** Bytes of the arrays as they arrived, or in the network's type, whichever are more. */
    long bytes(DataType type) {
        return Stream.concat(inputs.values().stream(), masks.values().stream())
                .mapToLong(array -> array.length() * Math.max(array.dataType().width(), type.width())).sum();
    }

    /**
     * The request to a bank.
     *
     * @throws Problem if an input is missing, surplus or of another shape than the network's
     */
    BankRequest request(AdapterMix mix, NetworkForm form) {
        List<String> names = form.inputs().stream().map(NetworkForm.Input::name).toList();
        Set<String> surplus = new TreeSet<>(inputs.keySet());
        surplus.addAll(masks.keySet());
        names.forEach(surplus::remove);
        if (!surplus.isEmpty()) {
            throw Problem.badRequest("There is no input " + quoted(surplus) + "; the network's are " + quoted(names));
        }
        for (NetworkForm.Input input : form.inputs()) {
            if (!inputs.containsKey(input.name())) {
                throw Problem.badRequest("Input \"" + input.name() + "\" is missing; the network takes " + quoted(names));
            }
            input.require(inputs.get(input.name()).shape());
        }
        long examples = inputs.get(names.get(0)).size(0);
        if (examples > form.mostExamples()) {
            throw Problem.badRequest("The request has " + examples + " examples, but may have " + form.mostExamples()
                    + " at most. Send several requests");
        }
        INDArray[] features = form.inputs().stream().map(input -> typed(input, inputs.get(input.name()), form.type()))
                .toArray(INDArray[]::new);
        requireOneNumberOfExamples(names, features);
        try {
            BankRequest request = BankRequest.of(mix, features);
            return masks.isEmpty() ? request : request.masks(names.stream().map(name -> masks.containsKey(name)
                    ? cast("The mask of input", name, masks.get(name), form.type()) : null).toArray(INDArray[]::new));
        } catch (IllegalArgumentException e) {
            throw Problem.badRequest(e.getMessage());
        }
    }

    /** Indices of words keep a wider type than the network's, whose 16 bits would make other indices of them. */
    private static INDArray typed(NetworkForm.Input input, INDArray array, DataType type) {
        if (input.isOfWords() && array.dataType().width() > type.width()) {
            return array;
        }
        return cast("Input", input.name(), array, type);
    }

    private static INDArray cast(String what, String name, INDArray array, DataType type) {
        INDArray cast = array.castTo(type);
        long place = RawValues.firstNotFinite(cast);
        if (place >= 0) {
            throw Problem.badRequest(what + " \"" + name + "\" contains " + array.dup('c').getDouble(place)
                    + ", which is outside the range of the network's type " + type);
        }
        return cast;
    }

    private static void requireOneNumberOfExamples(List<String> names, INDArray[] features) {
        for (int i = 1; i < features.length; i++) {
            if (features[i].size(0) != features[0].size(0)) {
                throw Problem.badRequest("Input \"" + names.get(i) + "\" has " + features[i].size(0) + " examples, but \""
                        + names.get(0) + "\" has " + features[0].size(0) + ": " + Arrays.toString(features[i].shape()) + ", "
                        + Arrays.toString(features[0].shape()));
            }
        }
    }

    private static String quoted(Iterable<String> names) {
        return '"' + String.join("\", \"", names) + '"';
    }
}
