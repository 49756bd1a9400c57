package io.github.dl4jlora.internal.swap;

import io.github.dl4jlora.internal.common.Divergence;
import io.github.dl4jlora.internal.untrusted.Few;
import io.github.dl4jlora.internal.untrusted.RawValues;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.Arrays;
import java.util.Set;
import java.util.TreeSet;

/** Whether names, shapes and values of an adapter are what the network's parameters can take. */
final class FitChecks {

    private FitChecks() {
    }

    /** @throws IllegalArgumentException if there is a name that either has alone */
    static void requireSame(String what, Set<String> missing, Set<String> surplus) {
        if (!missing.isEmpty() || !surplus.isEmpty()) {
            throw new IllegalArgumentException("The adapter and the network differ in the " + what + ": missing in the adapter "
                    + Few.of(missing) + ", surplus in it " + Few.of(surplus)
                    + ". Make the network with LoRA.apply(base, adapter)");
        }
    }

    static Set<String> without(Set<String> all, Set<String> some) {
        Set<String> rest = new TreeSet<>(all);
        rest.removeAll(some);
        return rest;
    }

    /** The value, if it has the parameter's shape. */
    static INDArray shaped(String layer, String key, INDArray value, INDArray parameter) {
        requireShape(layer, key, value, parameter);
        return value;
    }

    static void requireShape(String layer, String key, INDArray value, INDArray parameter) {
        requireShape(layer, key, value, parameter.shape());
    }

    static void requireShape(String layer, String key, INDArray value, long... shape) {
        if (!Arrays.equals(value.shape(), shape)) {
            throw new IllegalArgumentException("Layer \"" + layer + "\": the adapter's " + key + " has shape "
                    + Arrays.toString(value.shape()) + ", but the network's has " + Arrays.toString(shape)
                    + ". Make the network with LoRA.apply(base, adapter), or set the rank with override");
        }
    }

    /** The value in the parameter's data type, which may have a smaller range than the file's. */
    static INDArray inTypeOf(INDArray parameter, String layer, String key, INDArray value) {
        INDArray cast = value.castTo(parameter.dataType());
        long place = RawValues.firstNotFinite(cast);
        if (place >= 0) {
            double found = value.dup('c').getDouble(place);
            throw new IllegalArgumentException("Layer \"" + layer + "\": the adapter's " + key + " of type " + value.dataType()
                    + " has " + found + " at position " + place + (Double.isFinite(found)
                    ? ", too large for the network's data type " + parameter.dataType() + ". Convert the base with "
                    + "convertDataType(DataType." + value.dataType() + "), and adapt that"
                    : ": its training diverged. " + Divergence.remedy(value.dataType())));
        }
        return cast;
    }
}
