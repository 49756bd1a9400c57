package io.github.dl4jlora.onnx.layer;

import io.github.dl4jlora.onnx.graph.Attribute;
import io.github.dl4jlora.onnx.graph.Flow;
import io.github.dl4jlora.onnx.graph.OnnxGraph;
import onnx.Onnx.TensorProto.DataType;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.jspecify.annotations.Nullable;

import java.util.List;

/** What is done with sequences [batch, size, time] or [batch, time, size], and with masks [batch, time]. */
final class Sequences {

    private Sequences() {
    }

    /** The dimension of time. */
    static int time(@Nullable RNNFormat format) {
        return format == RNNFormat.NWC ? 1 : 2;
    }

    /** The dimension of the units. */
    static int units(@Nullable RNNFormat format) {
        return format == RNNFormat.NWC ? 2 : 1;
    }

    /** Time first, [time, batch, size], as in ONNX's recurrent operators. */
    static String timeFirst(String sequence, @Nullable RNNFormat format, OnnxGraph graph) {
        return format == RNNFormat.NWC ? graph.transpose(sequence, 1, 0, 2) : graph.transpose(sequence, 2, 0, 1);
    }

    /** From [time, batch, size] back. */
    static String batchFirst(String steps, @Nullable RNNFormat format, OnnxGraph graph) {
        return format == RNNFormat.NWC ? graph.transpose(steps, 1, 0, 2) : graph.transpose(steps, 1, 2, 0);
    }

    /** [batch, time, size] from the format, or back. */
    static String unitsLast(String sequence, @Nullable RNNFormat format, OnnxGraph graph) {
        return format == RNNFormat.NWC ? sequence : graph.transpose(sequence, 0, 2, 1);
    }

    /** A mask as [time, batch, 1]. */
    static String maskTimeFirst(String mask, OnnxGraph graph) {
        return graph.unsqueeze(graph.transpose(mask, 1, 0), 2);
    }

    /** A mask as DL4J has it for rows of examples and steps: [time * batch, 1], all examples of the first step first. */
    static String maskOfRows(String mask, OnnxGraph graph) {
        return graph.reshape(graph.transpose(mask, 1, 0), -1, 1);
    }

    /** A sequence that is zero where its mask is zero. */
    static String masked(String sequence, String mask, @Nullable RNNFormat format, OnnxGraph graph) {
        return graph.add("Mul", sequence, graph.unsqueeze(mask, units(format)));
    }

    /** One dimension backwards. */
    static String reversed(String tensor, int axis, OnnxGraph graph) {
        String end = graph.ints(Long.MIN_VALUE + 1);
        return graph.add("Slice", List.of(tensor, graph.ints(-1), end, graph.ints(axis), graph.ints(-1)));
    }

    /**
     * The last step, [batch, size].
     *
     * @param mask that tells which one is the last of each example; null for the last one of all
     */
    static String last(String sequence, @Nullable String mask, @Nullable RNNFormat format, OnnxGraph graph) {
        if (mask == null) {
            return graph.add("Gather", List.of(sequence, graph.index(-1)), Attribute.of("axis", time(format)));
        }
        String steps = graph.range(graph.size(mask, 1));
        String step = graph.add("ArgMax", graph.add("Mul", present(mask, graph), steps), Attribute.of("axis", 1));
        return graph.add("GatherND", List.of(unitsLast(sequence, format, graph), step), Attribute.of("batch_dims", 1));
    }

    /** 1 where a mask is not 0, INT64. */
    static String present(String mask, OnnxGraph graph) {
        return graph.cast(graph.cast(mask, DataType.BOOL), DataType.INT64);
    }

    /** A sequence of rows [time * batch, …], all examples of the first step first, and of their mask. */
    static Flow ofRows(Flow rows, long size, @Nullable RNNFormat format, Place here) {
        OnnxGraph graph = here.graph();
        String steps = graph.reshape(rows.name(), graph.ints(-1), here.batch(), graph.ints(size));
        String mask = rows.mask() == null ? null
                : graph.transpose(graph.reshape(rows.mask(), graph.ints(-1), here.batch()), 1, 0);
        return new Flow(batchFirst(steps, format, graph), here.output(), mask);
    }
}
