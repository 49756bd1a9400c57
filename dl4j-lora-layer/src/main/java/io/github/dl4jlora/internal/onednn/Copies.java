package io.github.dl4jlora.internal.onednn;

import io.github.dl4jlora.internal.blas.HostMemory;
import io.github.dl4jlora.internal.blas.Lie;
import org.bytedeco.dnnl.global.dnnl;
import org.bytedeco.dnnl.memory;
import org.bytedeco.dnnl.primitive_attr;
import org.bytedeco.dnnl.reorder;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.lang.ref.Reference;
import java.util.Arrays;
import java.util.Comparator;
import java.util.Optional;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * Copies of arrays from one order in memory to another, such as sequences with time last to sequences with time first. Those of
 * ND4J go from number to number where orders differ.
 */
public final class Copies {

    /** Below this many values, calling oneDNN takes longer than it saves. */
    private static final long LEAST = 1 << 13;

    private Copies() {
    }

    /**
     * {@return a copy in 'c' order}
     *
     * @param type     of the copy
     * @param lifetime of the copy
     */
    public static INDArray plain(INDArray from, DataType type, LayerWorkspaceMgr workspaces, ArrayType lifetime) {
        INDArray plain = workspaces.createUninitialized(lifetime, type, from.shape(), 'c');
        copy(from, plain);
        return plain;
    }

    /**
     * {@return the array itself if it lies in 'c' order without gaps, else a copy that does}
     *
     * @param lifetime of a copy
     */
    public static INDArray asPlain(INDArray array, LayerWorkspaceMgr workspaces, ArrayType lifetime) {
        return Lie.isPlainAndC(array) ? array : plain(array, array.dataType(), workspaces, lifetime);
    }

    /**
     * {@return the rows of an array {@code [a, b, size]} as a matrix {@code [a · b, size]}: a view where they lie in memory one
     * after the other, else a copy in 'c' order}
     *
     * @param type     of the result
     * @param lifetime of a copy
     */
    public static INDArray rows(INDArray from, DataType type, LayerWorkspaceMgr workspaces, ArrayType lifetime) {
        long rows = from.size(0) * from.size(1);
        long size = from.size(2);
        if (from.dataType() == type && from.stride(2) == 1 && from.stride(1) == size
                && from.stride(0) == size * from.size(1)) {
            return Nd4j.create(from.data(), new long[] {rows, size}, new long[] {size, 1}, from.offset(), 'c');
        }
        return plain(from, type, workspaces, lifetime).reshape('c', rows, size);
    }

    /**
     * Copies all values: by oneDNN, or else by ND4J, which converts them where types differ.
     *
     * @param to of the same shape, in memory of its own; overwritten
     */
    static void copy(INDArray from, INDArray to) {
        if (!byOneDnn(from, to)) {
            to.assign(from);
        }
    }

    /** {@return whether that could be done; if not, nothing has been written} */
    static boolean byOneDnn(INDArray from, INDArray to) {
        if (!OneDnn.takes(from.length(), LEAST) || from.dataType() != DataType.FLOAT || to.dataType() != DataType.FLOAT
                || !HostMemory.holds(from, to)) {
            return false;
        }
        // The stride of a dimension of size 1 may be anything.
        int[] axes = IntStream.range(0, from.rank()).filter(axis -> from.size(axis) > 1).toArray();
        long[] shape = of(axes, from.shape());
        long[] source = of(axes, from.stride());
        long[] target = of(axes, to.stride());
        if (axes.length == 0 || !isEveryValueOnce(shape, source) || !isEveryValueOnce(shape, target)) {
            return false;
        }
        long[] numbers = Stream.of(shape, source, target).flatMapToLong(Arrays::stream).toArray();
        boolean done = Calls.run(Copies.class, numbers, () -> Compiler.compile(shape, source, target),
                from.data().addressPointer(), to.data().addressPointer());
        Reference.reachabilityFence(from);
        Reference.reachabilityFence(to);
        return done;
    }

    private static long[] of(int[] axes, long[] all) {
        return Arrays.stream(axes).mapToLong(axis -> all[axis]).toArray();
    }

    /** Not so after a broadcast, whose strides are zero, or in windows that overlap. */
    private static boolean isEveryValueOnce(long[] shape, long[] strides) {
        int[] outwards = IntStream.range(0, shape.length).boxed().sorted(Comparator.comparingLong(axis -> strides[axis]))
                .mapToInt(Integer::intValue).toArray();
        long extent = 1;
        for (int axis : outwards) {
            if (strides[axis] < extent) {
                return false;
            }
            extent = strides[axis] * shape[axis];
        }
        return true;
    }

    /** Apart from the class around it, as in {@link Products}. */
    private static final class Compiler {

        private Compiler() {
        }

        static Optional<Call> compile(long[] shape, long[] from, long[] to) {
            try (memory.desc source = OneDnn.Cpu.floats(shape, from);
                 memory.desc target = OneDnn.Cpu.floats(shape, to);
                 primitive_attr attributes = OneDnn.Cpu.attributes(false);
                 reorder.primitive_desc chosen = new reorder.primitive_desc(OneDnn.Cpu.ENGINE, source, OneDnn.Cpu.ENGINE, target,
                         attributes, true)) {
                // oneDNN's slow copies are not called "ref".
                return !OneDnn.Cpu.isFast(chosen) || chosen.impl_info_str().getString().startsWith("simple") ? Optional.empty()
                        : Optional.of(new Call(new reorder(chosen), chosen).with(dnnl.DNNL_ARG_FROM, source, source, false)
                                .with(dnnl.DNNL_ARG_TO, target, target, true));
            }
        }
    }
}
