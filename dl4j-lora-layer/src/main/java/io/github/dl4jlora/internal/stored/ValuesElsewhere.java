package io.github.dl4jlora.internal.stored;

import io.github.dl4jlora.internal.untrusted.RawValues;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.Pointer;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.api.Trainable;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataBuffer;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.pointers.PagedPointer;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.io.IOException;
import java.lang.ref.Cleaner;
import java.lang.ref.Reference;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The parts of a network whose values are elsewhere. */
public final class ValuesElsewhere {

    private static final Cleaner CLEANER = Cleaner.create();
    /** Bytes; smaller blocks are not worth pages of their own. */
    private static final long KEPT_AT_LEAST = 128 << 10;
    private static final long FRESH = 33 << 20;

    private ValuesElsewhere() {
    }

    /**
     * Zeros that take no memory until they are accessed: the system hands out pages of a large new block only then. Where arrays
     * live on a device, they are zeros like any other.
     *
     * @param type of floating-point numbers
     * @return shape {@code [1, length]}; not to be made while a workspace is open
     * @throws IllegalStateException if the system has no room even for memory that is not accessed
     */
    public static INDArray vector(DataType type, long length) {
        if (!Nd4j.getBackend().getEnvironment().isCPU()) {
            return Nd4j.zeros(type, 1, length);
        }
        Pointer block = untouched(length, type.width());
        if (block == null || block.isNull()) {
            throw new IllegalStateException("this machine has no memory for " + length + " values of type " + type);
        }
        DataBuffer buffer = Nd4j.createBuffer(new PagedPointer(block, length), length, type);
        // ND4J frees only what it has allocated. Views hold the buffer, so the block is freed with the last of them.
        CLEANER.register(buffer, () -> Pointer.free(block));
        return Nd4j.create(buffer, 1, length);
    }

    /**
     * GNU's allocator takes a block below its threshold, which grows to 32 MiB, out of memory that it keeps, and writes zeros
     * over it. A larger block consists of untouched pages, unless the allocator happens to have kept as much in one piece; pages
     * beyond the length asked for cost nothing.
     */
    private static @Nullable Pointer untouched(long length, int width) {
        return Pointer.calloc(length * width < KEPT_AT_LEAST ? length : Math.max(length, FRESH / width), width);
    }

    /**
     * An array on memory of another owner. The memory stays reachable as long as the array, or a view of it, is in use. Where
     * arrays live on a device, the array is a copy.
     *
     * @param type   of floating-point numbers, whose little-endian bytes these are
     * @param memory direct; may be read-only
     * @return shape {@code [n]}
     */
    public static INDArray on(ByteBuffer memory, DataType type) throws IOException {
        long length = memory.remaining() / type.width();
        if (!Nd4j.getBackend().getEnvironment().isCPU()) {
            ByteBuffer from = memory.duplicate();
            return RawValues.filled(type, length, values -> RawValues.forEachChunkOf(values, bytes -> {
                int chunk = bytes.remaining();
                bytes.put(from.slice(from.position(), chunk));
                from.position(from.position() + chunk);
                return true;
            }));
        }
        Pointer block = new BytePointer(memory.slice());
        DataBuffer buffer = Nd4j.createBuffer(new PagedPointer(block, length), length, type);
        CLEANER.register(buffer, () -> Reference.reachabilityFence(memory));
        return Nd4j.create(buffer, length);
    }

    /** The layers or vertices that have parameters, in the order of the parameter vector. */
    public static List<Trainable> layers(Model network) {
        List<Trainable> layers = new ArrayList<>();
        if (network instanceof ComputationGraph graph) {
            for (int position : graph.topologicalSortOrder()) {
                layers.add(graph.getVertices()[position]);
            }
        } else {
            layers.addAll(Arrays.asList(((MultiLayerNetwork) network).getLayers()));
        }
        // Decided by the arrays: a graph's own numParams() leaves out vertices that are no layers.
        layers.removeIf(layer -> length(layer.params()) == 0);
        return layers;
    }

    /**
     * A layer's parameters as they would be on another vector.
     *
     * @param flat shape {@code [n]}, with an offset of 0, as long as the layer's own vector
     * @return views by DL4J's keys
     */
    public static Map<String, INDArray> sameViews(Trainable layer, INDArray flat) {
        Map<String, INDArray> views = new LinkedHashMap<>();
        long begin = layer.params().offset();
        layer.paramTable(false).forEach((key, own) -> views.put(key,
                Nd4j.create(flat.data(), own.shape(), own.stride(), own.offset() - begin, own.ordering())));
        return views;
    }

    /** How many parameters are in an array of them: 0 for null. */
    public static long length(@Nullable INDArray parameters) {
        return parameters == null ? 0 : parameters.length();
    }
}
