package io.github.dl4jlora.onnx.layer;

import io.github.dl4jlora.onnx.graph.Flow;
import io.github.dl4jlora.onnx.graph.OnnxGraph;
import onnx.Onnx.TensorProto.DataType;
import org.jspecify.annotations.Nullable;

import java.util.List;
import java.util.Objects;

/** What DL4J does with masks. */
final class Masks {

    private Masks() {
    }

    /** The mask of what several inputs become together: steps that any of them has; none if one of them has no mask. */
    static @Nullable String any(List<Flow> inputs, OnnxGraph graph) {
        List<String> masks = inputs.stream().map(Flow::mask).filter(Objects::nonNull).toList();
        if (masks.size() < inputs.size()) {
            return null;
        }
        List<String> distinct = masks.stream().distinct().toList();
        return distinct.size() == 1 ? distinct.get(0) : graph.cast(distinct.stream().map(mask -> graph.cast(mask, DataType.BOOL))
                .reduce((left, right) -> graph.add("Or", left, right)).orElseThrow(), DataType.FLOAT);
    }

    /** Values [rows, units], those of masked rows 0. */
    static String apply(String values, @Nullable String mask, Place here) {
        return mask == null ? values : here.graph().add("Mul", values, mask);
    }
}
