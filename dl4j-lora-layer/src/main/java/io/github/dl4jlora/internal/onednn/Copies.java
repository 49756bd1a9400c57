package io.github.dl4jlora.internal.onednn;

import io.github.dl4jlora.internal.blas.HostMemory;
import org.bytedeco.dnnl.global.dnnl;
import org.bytedeco.dnnl.memory;
import org.bytedeco.dnnl.primitive_attr;
import org.bytedeco.dnnl.reorder;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.lang.ref.Reference;
import java.util.Arrays;
import java.util.Optional;

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
     * Copies all values: by oneDNN, or else by ND4J, which converts them where types differ.
     *
     * @param to of the same shape, in memory of its own; overwritten
     */
    public static void copy(INDArray from, INDArray to) {
        if (!byOneDnn(from, to)) {
            to.assign(from);
        }
    }

    private static boolean byOneDnn(INDArray from, INDArray to) {
        if (!OneDnn.takes(from.length(), LEAST) || from.dataType() != DataType.FLOAT || to.dataType() != DataType.FLOAT
                || !HostMemory.holds(from, to) || !isEveryValueOnce(from) || !isEveryValueOnce(to)) {
            return false;
        }
        long[] shape = from.shape();
        long[] numbers = new long[3 * shape.length];
        System.arraycopy(shape, 0, numbers, 0, shape.length);
        System.arraycopy(from.stride(), 0, numbers, shape.length, shape.length);
        System.arraycopy(to.stride(), 0, numbers, 2 * shape.length, shape.length);
        boolean done = Calls.run(Copies.class, numbers, () -> Compiler.compile(shape, from.stride(), to.stride()),
                from.data().addressPointer(), to.data().addressPointer());
        Reference.reachabilityFence(from);
        Reference.reachabilityFence(to);
        return done;
    }

    /** Not so after a broadcast, whose strides are zero. */
    private static boolean isEveryValueOnce(INDArray array) {
        return array.rank() > 0 && Arrays.stream(array.stride()).allMatch(stride -> stride > 0);
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
                return !OneDnn.Cpu.isFast(chosen) ? Optional.empty() : Optional.of(new Call(new reorder(chosen), chosen)
                        .with(dnnl.DNNL_ARG_FROM, source, source, false).with(dnnl.DNNL_ARG_TO, target, target, true));
            }
        }
    }
}
